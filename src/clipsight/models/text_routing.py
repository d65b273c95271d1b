"""Choice of the text tower, in model folders that have a second one for languages other than English.

A text goes to the English tower if more than four fifths of its words are in the folder's list of English
words, and not all of them are commoner in another language; the others may be typing errors, in ASCII.
Any other text goes to the multilingual tower. So "a chat" is English, "chat" and "我的 laptop" are not.
"""

import re
import unicodedata

from clipsight.core.errors import ModelError
from clipsight.models.folder import ENGLISH_WORDS, MULTILINGUAL, ModelFolder

ENGLISH = "textual"
"""Folder of the only text tower, or of the English one of two."""

COMMONER_ELSEWHERE = "?"
"""Stands in the list before a word that another language uses more often than English."""

_UNKNOWN = 0.2
"""Share of words that are not listed from which a text is not English."""

_WORD = re.compile(r"[^\W\d_]+")


class TextRouting:
    """Names the text tower for a text: `ENGLISH`, or `folder.MULTILINGUAL`.

    Raises ModelError if the list of English words can't be read.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._longest = folder.context_length
        self._list = _read_list(folder) if folder.is_multilingual else None

    def tower(self, text: str) -> str:
        """Name of the tower; texts without letters go to the English one."""
        if self._list is None:
            return ENGLISH
        words = dict.fromkeys(words_of(text)[: self._longest])  # no tower reads more
        unsure = [word for word in words if not self._lists(word)]
        unknown = [word for word in unsure if not self._lists(COMMONER_ELSEWHERE + word)]
        if not words:
            return ENGLISH
        few = len(unknown) < _UNKNOWN * len(words) and "".join(unknown).isascii()
        return ENGLISH if few and len(unsure) < len(words) else MULTILINGUAL

    def is_foreign(self, text: str) -> bool:
        """True if the multilingual tower reads `text`, and not only for words that are English too."""
        words = words_of(text)[: self._longest]
        listed = all(self._lists(word) or self._lists(COMMONER_ELSEWHERE + word) for word in words)
        return not listed and self.tower(text) == MULTILINGUAL

    def _lists(self, line: str) -> bool:
        # Searching the file's text takes less time than making a set of it, up to a hundred words.
        return self._list is not None and f"\n{line}\n" in self._list


def words_of(text: str) -> list[str]:
    """The runs of letters in `text`, in lower case: "a dog's 2 toys" has the words a, dog, s and toys."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _read_list(folder: ModelFolder) -> str:
    """The list, with a line break before and after each word."""
    file = folder.path / MULTILINGUAL / ENGLISH_WORDS
    try:
        return f"\n{file.read_text(encoding='utf-8')}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"model folder {folder.path}: {MULTILINGUAL}/{ENGLISH_WORDS} can't be read ({error})"
        ) from error
