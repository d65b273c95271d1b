"""Tokenizer of a text tower: text cleaning as in training, then the tower's `tokenizer.json`."""

import html
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsight.core.errors import ModelError
from clipsight.models.folder import ModelFolder


@dataclass(frozen=True)
class Tokens:
    """Token ids and attention mask of texts: int32 [n, length] each; the mask is 0 at padding.

    `truncated` is True for each text that was longer than the model's context and was cut.
    """

    ids: NDArray[np.int32]
    mask: NDArray[np.int32]
    truncated: tuple[bool, ...]


class Tokenizer:
    """The tokenizer of a model folder's text tower `tower`.

    It applies `clean`, `strip_sep_token` and `language` of OpenCLIP's `tokenizer_kwargs`; the others were
    applied when the folder was exported. Raises ModelError if the tokenizer can't be used.

    A multilingual NLLB tokenizer needs a language code before the text: `language`, else `eng_Latn`,
    unless the text itself begins with one ("fra_Latn un chien").
    """

    def __init__(self, folder: ModelFolder, tower: str = "textual") -> None:
        from tokenizers import Tokenizer as Backend

        self._file = f"{tower}/tokenizer.json"
        try:
            self._backend = Backend.from_file(str(folder.path / self._file))
        except Exception as error:  # tokenizers raises bare Exception
            raise _invalid(folder, f"{self._file} can't be read ({error})") from error
        names = _special_tokens(folder, tower)
        self._context = folder.context_length
        self._clean = _cleaner(folder)
        self._pad = self._padding(folder, names.get("pad_token"))
        strips = folder.tokenizer_kwargs.get("strip_sep_token", False)
        self._drop = self._id(folder, "sep_token", names.get("sep_token", "[SEP]")) if strips else None
        self._prefix = self._nllb(folder, names.get("eos_token", "</s>"))
        self._backend.no_padding()
        self._backend.enable_truncation(self._context)

    def __call__(self, texts: Sequence[str], *, pad_to_context: bool = True) -> Tokens:
        """Tokenize `texts`, padded on the right to the context or to the longest of them.

        Longer texts are cut to the context; the end token is kept.
        """
        encodings = [self._backend.encode(self._prefix(self._clean(_encodable(text)))) for text in texts]
        longest = max((len(encoding.ids) for encoding in encodings), default=0)
        length = self._context if pad_to_context else max(longest, 1)
        ids = np.full((len(encodings), length), self._pad, np.int32)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        if self._drop is not None:
            ids[ids == self._drop] = self._pad
        return Tokens(ids, mask, tuple(bool(encoding.overflowing) for encoding in encodings))

    def _padding(self, folder: ModelFolder, token: str | None) -> int:
        if token is not None:
            return self._id(folder, "pad_token", token)
        if self._backend.padding is None:
            raise _invalid(folder, "neither tokenizer_config.json nor tokenizer.json says what to pad with")
        return int(self._backend.padding["pad_id"])

    def _id(self, folder: ModelFolder, role: str, token: str) -> int:
        found = self._backend.token_to_id(token)
        if found is None:
            raise _invalid(folder, f"{self._file} has no token {token!r}, named as its {role}")
        return int(found)

    def _nllb(self, folder: ModelFolder, end: str) -> Callable[[str], str]:
        """Function that prepends the language code to a text for NLLB tokenizers; the identity for others."""
        codes = {
            token.content
            for token in self._backend.get_added_tokens_decoder().values()
            if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", token.content)
        }
        if "eng_Latn" not in codes:
            return str
        language = str(folder.tokenizer_kwargs.get("language") or "eng_Latn")
        if language not in codes:
            raise _invalid(folder, f"{self._file} has no language {language!r}")
        from tokenizers.processors import TemplateProcessing

        # The file's template adds the language code of the export; here the text itself begins with a code.
        self._backend.post_processor = TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, self._id(folder, "eos_token", end))]
        )
        return partial(_with_language, codes, language)


def canonicalise(text: str) -> str:
    """Lower case, remove ASCII punctuation, replace `_` and whitespace by single spaces: SigLIP's training.

    HTML entities are decoded first, twice. Source: https://github.com/mlfoundations/open_clip,
    `tokenizer.py`, after big_vision's `prompt_engineering.py`, without its repair of mis-decoded text (ftfy).
    """
    bare = _unescape(text).replace("_", " ").translate(_NO_PUNCTUATION)
    return " ".join(bare.lower().split())


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Unicode's White_Space. str.split() also splits at U+001C..1F, which CLIP's tokenizer takes for symbols.
_SPACE = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def _one_line(text: str) -> str:
    """Replace runs of whitespace by one space and strip the ends, as every tokenizer expects."""
    return _SPACE.sub(" ", text).strip(" ")


def _unescape(text: str) -> str:
    return html.unescape(html.unescape(text))


# Values of OpenCLIP's `clean`; without it, the folder's tokenizer.json cleans the text.
_CLEANERS: dict[str, Callable[[str], str]] = {
    "canonicalize": canonicalise,
    "lower": lambda text: _one_line(_unescape(text)).lower(),
    "whitespace": lambda text: _one_line(_unescape(text)),
    "whitespace_underscore": lambda text: _one_line(_unescape(text).replace("_", " ")),
}


def _cleaner(folder: ModelFolder) -> Callable[[str], str]:
    clean = folder.tokenizer_kwargs.get("clean")
    if clean is None:
        return _one_line
    if clean not in _CLEANERS:
        accepted = ", ".join(_CLEANERS)
        raise _invalid(folder, f"config.json has tokenizer_kwargs.clean = {clean!r}; it may be {accepted}")
    return _CLEANERS[clean]


def _with_language(codes: set[str], language: str, text: str) -> str:
    return text if text[:8] in codes else f"{language} {text}"


def _encodable(text: str) -> str:
    """Replace lone surrogates (bytes of a terminal that were not UTF-8) by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _special_tokens(folder: ModelFolder, tower: str) -> dict[str, str]:
    """Special tokens of `tokenizer_config.json`: {"pad_token": "<pad>", ...}."""
    file = folder.path / tower / "tokenizer_config.json"
    try:
        config: Any = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _invalid(folder, f"{tower}/tokenizer_config.json can't be read ({error})") from error
    if not isinstance(config, dict):
        raise _invalid(folder, f"{tower}/tokenizer_config.json is not a JSON object")
    contents = {
        role: value.get("content") if isinstance(value, dict) else value
        for role, value in config.items()
        if role in ("pad_token", "sep_token", "eos_token")
    }
    return {role: content for role, content in contents.items() if isinstance(content, str)}


def _invalid(folder: ModelFolder, what: str) -> ModelError:
    return ModelError(f"model folder {folder.path}: {what}")
