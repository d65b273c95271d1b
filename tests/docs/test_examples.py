"""Code blocks of the README and the docs: Python and shell blocks are run in a folder of sample photos.

A block that can't be run stands below a comment with the reason: `<!-- not run: downloads a model -->`. Its
`clipsight` commands are parsed all the same.
"""

import ast
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from typer.main import get_command
from typer.testing import CliRunner

from clipsight import Library
from clipsight.cli.app import app
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]

BY_CI = ("install and search", "install and test")
"""Markers of the README's blocks that `.ci/run` runs, each in a fresh virtual environment."""

_BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]+?) -->\n)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page."""

    page: Path
    line: int
    language: str
    code: str
    marker: str

    @property
    def is_run(self) -> bool:
        return self.language in ("sh", "python") and not self.marker

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["code"],
            found["marker"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in _blocks(page)]


def _commands(code: str) -> Iterator[list[str]]:
    """The words of each `clipsight` command of a shell block, up to `> FILE` where it has that."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words: list[str] = []
        for token in [*lexer, ";"]:
            if token.strip(";&|"):
                words.append(token)
                continue
            if "clipsight" in words:
                yield words[words.index("clipsight") + 1 :]
            words = []


def _parse(words: list[str]) -> None:
    """Parse a command as the program does, without running it. Raises click's UsageError."""
    words = words[: words.index(">")] if ">" in words else words
    command: Any = get_command(app)
    if words[0].startswith("-"):  # making its context would do what the option says, and exit
        assert words[0] in {name for each in command.params for name in each.opts}
        return
    context = command.make_context("clipsight", list(words), resilient_parsing=False)
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


SHELL = [block for block in BLOCKS if block.language == "sh" and "clipsight" in block.code]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_of_a_block_parse(block: Block) -> None:
    for words in _commands(block.code):
        _parse(words)


def test_imports_of_blocks_that_are_not_run_resolve() -> None:
    blocks = [block for block in BLOCKS if block.language == "python" and not block.is_run]
    assert blocks
    for block in blocks:
        statements = ast.parse(block.code).body
        imports = [each for each in statements if isinstance(each, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module([*imports], []), str(block), "exec"), {})


def test_commands_among_words_exist() -> None:
    """`clipsight x --option` in a sentence or a table: the command and its options exist."""
    wrong = []
    for page in PAGES:
        for words in re.findall(r"`clipsight ([^`\n]*)`", page.read_text(encoding="utf-8")):
            command: Any = get_command(app)
            arguments = words.split()
            while arguments and arguments[0] in getattr(command, "commands", {}):
                command = command.commands[arguments.pop(0)]
            options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
            named = {each.partition("=")[0] for each in arguments if re.match("--?[a-z]", each)}
            is_group = hasattr(command, "commands") and not command.invoke_without_command
            if (is_group and not named) or not named <= options | {"--help"}:
                wrong.append(f"{page.name}: clipsight {words}")
    assert wrong == []


def test_wrong_commands_are_found() -> None:
    for line in ("clipsight serch dog", "clipsight search dog --no-such-option", "clipsight explain dog"):
        (words,) = _commands(line)
        with pytest.raises(Exception, match=r"(?i)no such|missing"):
            _parse(words)


def test_blocks_are_of_known_kinds_and_say_why_they_are_not_run() -> None:
    for block in BLOCKS:
        assert block.language in ("sh", "python", "json", "text", "toml"), f"{block}: no known language"
        assert not block.marker or block.marker in BY_CI or re.fullmatch(r"not run: .{5,}", block.marker), (
            block
        )
    assert sum(block.is_run for block in BLOCKS) > 20
    for page in PAGES:
        assert not re.search(r"\n\n    \S", page.read_text(encoding="utf-8")), f"{page}: an indented block"


def test_files_that_are_named_exist() -> None:
    for page in PAGES:
        for path in re.findall(
            r"`((?:src|tests|docs|benchmarks|recipes|scripts)/[\w./-]*)`", page.read_text()
        ):
            assert (ROOT / path).exists(), f"{page.name} names {path}"
        for module in re.findall(
            r"`?python -m ((?:tests|benchmarks|recipes|scripts)[\w.]*)", page.read_text()
        ):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), f"{page.name} names {module}"


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder that the pages assume: photos in ~/Pictures and here, labels, captions, queries."""
    home = tmp_path / "home"
    pictures = home / "Pictures"
    pictures.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name, source in SAMPLES.items():
        shutil.copyfile(source, pictures / name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with Image.open(SAMPLES["flower.jpg"]) as flower, Image.open(SAMPLES["cat.png"]) as cat:
        for name, picture in {"photo": flower, "pool": cat, "street": flower}.items():
            picture.convert("RGB").resize((96, 64)).save(work / f"{name}.jpg")
        for folder in ("labelled", "pets"):
            for label, image in {"cat": cat, "flower": flower}.items():
                (work / folder / label).mkdir(parents=True)
                for turn in range(6):
                    turned = ImageOps.mirror(image.convert("RGB")).resize((64, 48 + turn))
                    turned.save(work / folder / label / f"{turn}.jpg")
    (work / "labels.txt").write_text("a cat\na flower\n")
    (work / "queries.txt").write_text("a cat\na flower\n")
    (work / "captions.txt").write_text("a cat\na red flower\nthe launch of a rocket\n")
    for place in (None, home / "my-index"):
        with Library.open(place, model=str(tiny_model)) as library:
            library.index(pictures)
    return work


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.is_run for block in _blocks(page))], ids=lambda p: p.name
)
def test_blocks_run(page: Path, workspace: Path) -> None:
    """All blocks of a page in their order, as a reader would type them."""
    names: dict[str, Any] = {}
    for block in _blocks(page):
        if not block.is_run:
            continue
        if block.language == "python":
            with redirect_stdout(io.StringIO()):
                exec(compile("\n" * block.line + block.code, str(page), "exec"), names)
            continue
        lines = [line for line in block.code.splitlines() if line.strip()]
        commands = list(_commands(block.code))
        assert len(commands) == len(lines), f"{block}: mark a block that runs another program"
        for words in commands:
            arguments = [str(Path(word).expanduser()) if word.startswith("~/") else word for word in words]
            target = Path(arguments[-1]) if ">" in arguments else None
            done = CliRunner().invoke(app, arguments[:-2] if target else arguments)
            assert done.exit_code == 0, f"{block}: {words}: {done.output} {done.exception!r}"
            if target:
                target.write_text(done.stdout)
                assert done.stdout
