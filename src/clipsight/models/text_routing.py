"""Choice of the text tower, in model folders that have a second one for languages other than English.

A text goes to the English tower if all its words are English, by the folder's list of words, and not all of
them are commoner in another language; any other text goes to the multilingual tower. So "a chat" is English,
"chat" is a cat, and "我的 laptop" is not English.
"""

import re
import unicodedata

from clipsight.core.errors import ModelError
from clipsight.models.folder import ENGLISH_WORDS, MULTILINGUAL, ModelFolder

ENGLISH = "textual"
"""Folder of the only text tower, or of the English one of two."""

COMMONER_ELSEWHERE = "?"
"""Stands in the list before a word that another language uses more often than English."""

_WORD = re.compile(r"[^\W\d_]+")


class TextRouting:
    """Names the text tower for a text: `ENGLISH`, or `folder.MULTILINGUAL`.

    Raises ModelError if the list of English words can't be read.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._lines = _read_lines(folder) if folder.is_multilingual else None

    def tower(self, text: str) -> str:
        """Name of the tower; texts without letters go to the English one."""
        if self._lines is None:
            return ENGLISH
        words = words_of(text)
        unsure = [word for word in words if word not in self._lines]
        if len(unsure) < max(1, len(words)) and all(COMMONER_ELSEWHERE + w in self._lines for w in unsure):
            return ENGLISH
        return MULTILINGUAL


def words_of(text: str) -> list[str]:
    """The runs of letters in `text`, in lower case: "a dog's 2 toys" has the words a, dog, s and toys."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _read_lines(folder: ModelFolder) -> frozenset[str]:
    file = folder.path / MULTILINGUAL / ENGLISH_WORDS
    try:
        return frozenset(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"model folder {folder.path}: {MULTILINGUAL}/{ENGLISH_WORDS} can't be read ({error})"
        ) from error
