"""Query grammar: splits text into summands with signs and weights; `query` tells words, paths and URLs apart.

flower + 2:bee - cartoon
animal -cat
keyboard text:"akai mpk"
"""

import math
import re
from collections.abc import Callable

from clipsight.core import paths
from clipsight.core.errors import QueryError
from clipsight.core.text import is_url, visible

_OPERATOR = re.compile(r"(?:^|(?<=\s))([+-])(?=\s|$)")
_SIGNED_WORD = re.compile(r"(?:^|(?<=\s))([+-])((?:(?<=\S\s[+-])\d*\.?\d+:)?[^\W\d_]\S*)")
_WEIGHT = re.compile(r"([^\s:/\\]+):(\s*)(.*)", re.DOTALL)
_QUOTES = re.compile('["“”„]')
_PRINTED = re.compile(
    r"(?:(?<=^)|(?<=\s))(?:([+-])\s*)?text:"
    r"(?:\s*[\"“”„](?P<quoted>[^\"“”„]*)[\"“”„]?|(?P<bare>.*?)(?=\s+[+-](?:\s|text:|[^\W\d_])|\s+text:|\s*$))",
    re.DOTALL | re.IGNORECASE,
)
_INCOMPLETE = re.compile(r"(?:(?:^|\s)(?:[+-]|[+-]?\d*\.?\d+:)\s*)+$")


def split_summands(text: str) -> list[tuple[float, str]]:
    """Split `text` into summands with their signs, 1 or -1.

    `+` and `-` with white space on both sides are operators. Directly before a word (`animal -cat`) they add
    or subtract that word alone; before a number (`-5 degrees`) they are part of it.
    """
    if not text.strip():
        return []
    first, *rest = _OPERATOR.split(text)
    found = _with_signed_words(1.0, first) if first.strip() or not rest else []
    for sign, summand in zip(rest[::2], rest[1::2], strict=True):
        found += _with_signed_words(1.0 if sign == "+" else -1.0, summand)
    return found


def _with_signed_words(sign: float, summand: str) -> list[tuple[float, str]]:
    """Split signed words off a summand, as summands of their own; paths are not split."""
    if summand.lstrip().startswith(paths.PREFIXES):
        return [(sign, summand)]
    signed = [(1.0 if each[1] == "+" else -1.0, each[2]) for each in _SIGNED_WORD.finditer(summand)]
    if not signed:
        return [(sign, summand)]
    words = " ".join(_SIGNED_WORD.sub("", summand).split())
    return ([(sign, words)] if words else []) + signed


def split_printed(text: str) -> tuple[str, list[tuple[float, str]]]:
    """Split the operators `text:` off a query: the rest of it, and the texts with their signs.

    The text is what stands in double quotes, or all words up to the next operator. Raises `QueryError` for
    one without a letter or digit.
    """
    printed: list[tuple[float, str]] = []
    rest: list[str] = []
    end = 0
    for found in _PRINTED.finditer(text):
        value = found["bare"] if found["quoted"] is None else found["quoted"]
        if not any(map(str.isalnum, value)):
            raise QueryError('text: needs words that are to be read in photos, like text:"no parking"')
        printed.append((-1.0 if found[1] == "-" else 1.0, " ".join(_QUOTES.sub(" ", value).split())))
        rest.append(text[end : found.start()].strip())
        end = found.end()
    return " ".join(filter(None, [*rest, text[end:].strip()])) if printed else text, printed


def with_text(value: str) -> str:
    """Format words to be read in photos as a summand: the inverse of `split_printed`."""
    return f'text:"{value}"'


def split_weight(summand: str, is_name: Callable[[str], bool] = lambda value: False) -> tuple[float, str]:
    """Split a summand into its weight (default: 1) and its value.

    A number and a colon are a weight unless a digit follows directly: `16:9` and `12:30 clock` are words.
    `is_name` recognises file names, which may have a colon. Raises `QueryError` for a weight that is not a
    finite number, and for an empty summand.
    """
    value, weight = summand.strip(), 1.0
    prefix = None if is_url(value) or is_name(value) else _WEIGHT.fullmatch(value)
    if prefix:
        text, space, rest = prefix.groups()
        number = _number(text)
        if number is not None and _is_weight(text, space, rest):
            weight, value = number, rest
        elif number is None and not space:  # "two:bee" is an invalid weight, "Title: bees" is words
            raise QueryError(
                f"weight {text!r} in {value!r} is not a number: write 2:{visible(rest) or 'bee'}; "
                f"to search for words with a colon, write 1:{visible(value)}"
            )
    if not value:
        raise QueryError(f"part {summand.strip()!r} of the query is empty: write words in it, like 2:bee")
    return weight, value


def with_weight(weight: float, value: str) -> str:
    """Format a positive weight and a value as a summand: the inverse of `split_weight`."""
    size = int(weight) if weight.is_integer() else weight
    return f"{size}:{' ' if value[:1].isdigit() else ''}{value}"


def looks_weighted(value: str) -> bool:
    """True if `value` would be parsed as a weight and words, so that it needs an explicit weight."""
    prefix = _WEIGHT.fullmatch(value)
    if not prefix:
        return False
    text, space, rest = prefix.groups()
    if _number(text) is None:
        return text.lower() == "text" or not space
    return _is_weight(text, space, rest)


def strip_incomplete(text: str) -> str:
    """Remove an operator or weight at the end of a query that is still being typed."""
    return _INCOMPLETE.sub("", text)


def _is_weight(number: str, space: str, rest: str) -> bool:
    return bool(space) or not rest[:1].isdigit() or (number == "1" and _WEIGHT.fullmatch(rest) is not None)


def _number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
