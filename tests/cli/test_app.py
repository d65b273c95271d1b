"""The command line end to end: golden text on stdout, one-line errors, exit codes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.samples import copy_samples
from tests.support.scores import check_near_text
from tests.support.shell import Shell, check_golden


@pytest.mark.slow
def test_search_prints_a_table(shell: Shell) -> None:
    done = shell.run("search", "a red flower", "photos", "-t", "4", "--model", shell.model, TZ="UTC")
    check_golden("search.txt", done.stdout, shell)
    check_golden("search.stderr.txt", done.stderr.split("(")[0] + done.stderr.split(")")[1], shell)


@pytest.mark.slow
def test_search_prints_json_and_csv(shell: Shell) -> None:
    shell.index()
    done = shell.run("search", "flower + 2:./photos/cat.png - sky", "-n", "-t", "3", "--json", TZ="UTC")
    check_golden("search.json", done.stdout, shell)
    assert list(json.loads(done.stdout)) == ["query", "model", "matches"]
    done = shell.run("search", "flower", "-n", "-t", "3", "--csv", TZ="UTC")
    check_golden("search.csv", done.stdout, shell)


@pytest.mark.slow
def test_paths_for_other_programs(shell: Shell) -> None:
    shell.index()
    done = shell.run("search", "cat", "-n", "-t", "2", "-f")
    assert [os.path.exists(line) for line in done.stdout.splitlines()] == [True, True]
    assert done.stdout == shell.run("search", "cat", "-n", "-t", "2", "--paths").stdout
    strange = os.fsdecode(os.fsencode(shell.folder / "photos") + b"/caf\xe9\n.png")
    shutil.copyfile(shell.folder / "photos" / "cat.png", strange)
    shell.index()
    done = shell.run("search", "cat", "-n", "-t", "20", "-0", "--duplicates")
    paths = done.stdout.split("\0")
    assert strange in paths and paths[-1] == "" and len(paths) == 10
    assert all(os.path.exists(path) for path in paths[:-1])
    done = shell.run("search", "cat", "-n", "-t", "20")
    assert "caf\\xe9\\n.png" in done.stdout


def test_parts_by_options_are_the_same_query(indexed: Shell) -> None:
    by_grammar = indexed.run("search", "flower + 2:bee - sky", "-n", "--json").stdout
    by_options = indexed.run("search", "flower", "-a", "2:bee", "-s", "sky", "-n", "--json").stdout
    check_near_text(by_options, by_grammar)
    assert json.loads(indexed.run("search", "- sky", "-n", "--json").stdout)["query"] == "- sky"


@pytest.mark.slow
def test_status(shell: Shell) -> None:
    (shell.folder / "photos" / "letter.jpg").write_text("not a photo")
    (shell.folder / "photos" / "half.jpg").write_bytes(
        (shell.folder / "photos/rocket.jpg").read_bytes()[:900]  # of its header
    )
    (shell.folder / "photos" / "cut.jpg").write_bytes(
        (shell.folder / "photos/rocket.jpg").read_bytes()[:60_000]
    )
    shell.index()
    status = json.loads(shell.run("status", "--json").stdout)
    assert (status["photos"], len(status["failures"]), status["model"]) == (9, 2, "tiny")
    (partial,) = status["partial"]
    assert Path(partial["path"]).name == "cut.jpg" and partial["reason"].startswith("truncated JPEG")
    assert [Path(failure["path"]).name for failure in status["failures"]] == ["half.jpg", "letter.jpg"]
    text = shell.run("status").stdout
    for failure in status["failures"]:
        assert failure["reason"] in text and failure["date"][:10] in text
    assert partial["reason"] in text and "cut.jpg" in text
    shell.run("forget", "photos")
    assert json.loads(shell.run("status", "--json").stdout)["photos"] == 0


@pytest.mark.slow
def test_export_and_import(shell: Shell) -> None:
    shell.index()
    shell.run("export", "vectors.npz")
    shell.run("export", "vectors.parquet")
    answers = {shell.run("search", "flower", "-n", "--json").stdout}
    for name in ("vectors.npz", "vectors.parquet"):
        shell.run("import", name, "--library", f"of {name}", "--model", shell.model)
        found = shell.run("search", "flower", "-n", "--json", "--library", f"of {name}").stdout
        assert [m["path"] for m in json.loads(found)["matches"]] == [
            m["path"] for m in json.loads(next(iter(answers)))["matches"]
        ]
    assert "no such file" in shell.run("import", "nothing.npz", "--model", shell.model, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", ""), "query is empty"),
        (("search", "2:"), "empty"),
        (("search", "two:bee"), "'two' in 'two:bee' is not a number"),
        (("search", "./nothing.jpg"), "no such picture"),
        (("search", "./photos/letter.jpg", "-n"), "not an image"),
        (("search", "cat", "./nowhere"), "nowhere"),
        (("search", "cat", "/usr", "-n"), "has not been indexed"),
        (("search", "cat", "-t", "0"), "Usage:"),
        (("search", "cat", "--sort", "size"), "Usage:"),
        (("index", "nowhere"), "nowhere"),
        (("index", "photos/cat.png"), "photos/cat.png"),
        (("index", "photos", "--model", "ViT-B-32__openia"), "ViT-B-32__openai"),
        (("index", "photos", "--model", "photos"), "config.json"),
        (("index", "photos", "--device", "abacus"), "abacus"),
        (("forget", "nowhere"), "knows nothing"),
        (("export", "vectors.txt"), ".npz or .parquet"),
        (("export", "no/such/folder/vectors.npz"), "can't write"),
        (("import", "photos/letter.jpg"), ".npz or .parquet"),
        (("status", "--library", "photos/cat.png"), "cat.png"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    indexed: Shell, arguments: tuple[str, ...], message: str
) -> None:
    assert message in indexed.run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("index", ""), "argument 2 is empty"),
        (("forget", ""), "argument 2 is empty"),
        (("search", "cat", "", "-n"), "argument 3 is empty"),
        (("status", "--library", ""), "argument 3 is empty"),
        (("status", "--library="), "the value of --library is empty"),
        (("backup", "--library=x", ""), "argument 3 is empty"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(
    indexed: Shell, arguments: tuple[str, ...], message: str
) -> None:
    assert message in indexed.run(*arguments, code=2).stderr


@pytest.mark.slow
def test_damaged_catalog_is_moved_aside(shell: Shell) -> None:
    shell.run("index", "photos", "--library", "lib", "--model", shell.model)
    catalog = shell.folder / "lib" / "catalog.sqlite3"
    garbage = os.urandom(30_000)
    catalog.write_bytes(garbage)
    done = shell.run("search", "cat", "--library", "lib", code=2)
    (kept,) = (file for file in (shell.folder / "lib").iterdir() if ".damaged-" in file.name)
    assert kept.name in done.stderr and kept.read_bytes() == garbage
    shell.run("index", "photos", "--library", "lib", "--model", shell.model)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", folder], capture_output=True
    ).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.process
def test_full_disk(shell: Shell, disk: Path) -> None:
    shell.run_alone("index", "photos", "--library", disk / "lib", "--model", shell.model)
    (disk / "filler").write_bytes(bytes(disk_space(disk)))
    copy_samples(shell.folder / "photos" / "more")
    for number in range(300):
        Image.new("RGB", (8, 8), (number % 256, number // 2, 77)).save(
            shell.folder / "photos" / f"{number}.png"
        )
    done = shell.run_alone("index", "photos", "--library", disk / "lib", code=2)
    assert "disk is full" in done.stderr
    (disk / "filler").unlink()
    found = shell.run_alone(
        "search", "cat", "-n", "--library", disk / "lib", "-t", "400", "-f"
    ).stdout.splitlines()
    assert len(found) >= 8, "what was committed before is gone"


def disk_space(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@pytest.mark.process
def test_read_only_home(shell: Shell, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = shell.run_alone(
        "index", "photos", "--model", shell.model, code=2, CLIPSIGHT_HOME=str(disk / "home")
    )
    assert str(disk / "home") in done.stderr and "CLIPSIGHT_HOME" in done.stderr


def test_catalog_of_a_newer_version(shell: Shell) -> None:
    shell.run("index", "photos", "--library", "lib", "--model", shell.model)
    with sqlite3.connect(shell.folder / "lib" / "catalog.sqlite3") as connection:
        connection.execute("PRAGMA user_version = 999")
    assert "newer clipsight" in shell.run("search", "cat", "--library", "lib", code=2).stderr


@pytest.mark.slow
def test_photo_folders_are_only_read(shell: Shell) -> None:
    def listing() -> list[tuple[str, int, int]]:
        stats = [(file, file.stat()) for file in sorted((shell.folder / "photos").rglob("*"))]
        return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]

    before = listing()
    shell.run("search", "cat", "photos", "--model", shell.model, "--grid", "sheet.jpg")
    shell.run("search", "./photos/cat.png + flower", "photos")
    assert listing() == before
    assert (shell.folder / "sheet.jpg").stat().st_size > 10_000


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "message"),
    [
        ("search cat -n", ">&-", 0, "answered by tiny"),
        ("search cat -n", ">&- 2>&-", 0, ""),
        ("search cat -n", "2>&-", 0, ""),
        ("search cat -n", ">/dev/full", 2, "can't write the output: No space left on device"),
        ("search cat -n --json", ">/dev/full", 2, "can't write the output: No space left on device"),
        ("search cat -n", ">/dev/full 2>/dev/full", 2, ""),
        ("--version", ">/dev/full", 2, "can't write the output: No space left on device"),
        ("search cat -n --json", "| head -c 0", 0, ""),
    ],
)
def test_an_output_that_is_closed_or_full(
    indexed: Shell, arguments: str, redirection: str, code: int, message: str
) -> None:
    done = indexed.run_redirected(arguments, redirection)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert message in done.stderr and done.stderr.count("\n") <= 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_the_encoding_of_stdout_does_not_have(shell: Shell, encoding: str) -> None:
    shutil.copytree(shell.folder / "photos", shell.folder / "Bücher 花\x1b[31m")
    outputs = [
        shell.run("index", "Bücher 花\x1b[31m", "--model", shell.model, encoding=encoding).stdout,
        shell.run("search", "cat", "-n", encoding=encoding).stdout,
        shell.run("status", encoding=encoding).stdout,
        shell.run(
            "organize", "Bücher 花\x1b[31m", "öut", "--by", "date", "--dry-run", encoding=encoding
        ).stdout,
    ]
    name = {"ascii": r"B\xfccher \u82b1", "latin-1": r"Bücher \u82b1", "utf-8": "Bücher 花"}[encoding]
    assert all(f"{name}\\x1b[31m" in output for output in outputs[:3]), outputs
    assert ("\\xf6ut" if encoding == "ascii" else "öut") in outputs[3]


@pytest.mark.process
def test_import_is_light() -> None:
    """Neither `import clipsight` nor `--help` may load what only searching needs."""
    heavy = "{'numpy', 'PIL', 'onnxruntime', 'faiss', 'tokenizers', 'huggingface_hub', 'sqlite3', 'torch'}"
    probe = f"import sys, clipsight, clipsight.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.process
def test_a_search_of_indexed_photos_loads_no_decoder(indexed: Shell) -> None:
    """A look for new photos that finds none needs neither Pillow nor what embeds photos."""
    indexed.run("search", "x")  # tries the broken file, which later searches leave alone
    done = indexed.run_alone("search", "x", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "onnxruntime" in loaded and "clipsight.indexing.indexer" in loaded
    assert not loaded & {"PIL", "faiss", "huggingface_hub", "clipsight.indexing.pipeline"}
