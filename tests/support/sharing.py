"""What takes long to make and never changes, made once in a process: tokenizers and the tree of commands.

The program makes each once, too, but tests are a thousand programs in one process: parsing the vocabulary of
CLIP's tokenizer takes as long as all else that a search in a test's library does.
"""

from functools import cache
from pathlib import Path

import pytest
import typer.main

from clipsight.models import encoder
from clipsight.models.folder import ModelFolder
from clipsight.models.tokenizer import Tokenizer

_made: dict[tuple[object, ...], Tokenizer] = {}


def share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the encoders of this process equal tokenizers, and each call of the program the same commands."""
    monkeypatch.setattr(encoder, "Tokenizer", _tokenizer)
    monkeypatch.setattr(typer.main, "get_command", cache(typer.main.get_command))


def _tokenizer(folder: ModelFolder, tower: str) -> Tokenizer:
    """A tokenizer of the tower's files and settings as they are now; an error of theirs as ever."""
    texts = (_content(folder.path / tower / name) for name in ("tokenizer.json", "tokenizer_config.json"))
    key = (tower, *texts, folder.context_length, repr(sorted(folder.tokenizer_kwargs.items())))
    if key not in _made:
        _made[key] = Tokenizer(folder, tower)
    return _made[key]


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
