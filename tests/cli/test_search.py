"""`clipsight search` with filters and with many queries at once, end to end."""

import csv
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipsight.core.text import TextLine
from clipsight.store.catalog import Catalog
from clipsight.store.text_index import put_text
from tests.support.samples import SAMPLES, copy_samples
from tests.support.scores import near
from tests.support.shell import Shell, check_golden

DATES = {
    "cat.png": "2024:05:06 07:30:00",
    "flower.jpg": "2024:12:31 23:59:59",
    "coffee.png": "2025:01:01 00:00:00",
}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell with an index of photos of known dates, cameras and formats."""
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "photos").mkdir()
    for number, (name, source) in enumerate(SAMPLES.items()):
        with Image.open(source) as picture:
            exif = Image.Exif()
            exif[306] = DATES.get(name, "2020:01:01 12:00:00")
            exif[271], exif[272] = "Canon", f"EOS {number}"
            kept = picture.convert("RGB").resize((400 + 100 * number, 300))
            kept.save(folder / "photos" / name, exif=exif)
    made = Shell(folder, tiny_model, folder / "home")
    made.index()
    return made


def names(shell: Shell, *options: str) -> set[str]:
    done = shell.run("search", "x", "-n", "-t", "50", "--json", *options)
    return {Path(match["path"]).name for match in json.loads(done.stdout)["matches"]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--after", "2024-05"), set(DATES)),
        (("--after", "2024-05-07"), {"flower.jpg", "coffee.png"}),
        (("--before", "2024"), set(SAMPLES) - set(DATES)),
        (("--after", "2024", "--before", "2025"), {"cat.png", "flower.jpg"}),
        (("--format", "jpg"), {name for name in SAMPLES if name.endswith("jpg")}),
        (("--format", "jpeg", "--format", "PNG"), set(SAMPLES)),
        (("--camera", "canon"), set(SAMPLES)),
        (("--camera", "EOS 1", "--camera", "eos 2"), {"cat.png", "coffee.png"}),
        (("--min-width", "1000"), {"temple.jpg", "flower.jpg"}),
        (("--max-width", "500"), {"astronaut.png", "cat.png"}),
        (("--min-height", "301"), set()),
        (("--max-height", "300"), set(SAMPLES)),
        (("--max-size", "1k"), set()),
        (("--min-size", "1k", "--max-size", "0.1GB", "--before", "2024-06", "--after", "2024"), {"cat.png"}),
    ],
    ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value),
)
def test_filters(shell: Shell, options: tuple[str, ...], expected: set[str]) -> None:
    assert names(shell, *options) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "--after", "May"), "'May' is not a date: write 2024, 2024-05"),
        (("x", "--min-size", "big"), "'big' is not a file size"),
        (("x", "--format", "gif"), "no photo has the format 'gif': there are JPEG, PNG"),
        (("x", "--camera", "nikon"), "no photo has the camera 'nikon': there are Canon EOS 0, "),
        (("--queries", "nothing.txt"), "can't read nothing.txt: No such file"),
        (("--queries", "photos/cat.png"), "photos/cat.png is not UTF-8 text"),
        (("--queries", "empty.txt"), "empty.txt contains no query"),
        (("--queries", "wrong.txt"), "line 3 of wrong.txt: weight 'two' in 'two:bee' is not a number"),
        (("--queries", "wrong.txt", "--paths"), "use --json or --csv"),
        (("--queries", "wrong.txt", "--preview"), "goes without"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    (shell.folder / "empty.txt").write_text("\n \n")
    (shell.folder / "wrong.txt").write_text("flower\n\ntwo:bee\n")
    said = shell.run("search", "-n", *arguments, code=2).stderr
    assert message in " ".join(said.replace("│", " ").split())


QUERIES = 'a red flower\n\nflower + 2:./photos/cat.png - sky\n  a temple, "old"  \n'


def check_as_one_by_one(shell: Shell, found: list[dict[str, Any]], *options: str) -> None:
    """Compare with the answers to each query alone; the last digits are as the CPU adds."""
    lines = [line for line in QUERIES.splitlines() if line.strip()]
    alone = [json.loads(shell.run("search", line, "-n", "--json", *options).stdout) for line in lines]
    assert found == [{**answer, "matches": near(answer["matches"])} for answer in alone]


@pytest.mark.slow
def test_queries_of_a_file_have_the_results_of_single_searches(shell: Shell) -> None:
    (shell.folder / "queries.txt").write_text(QUERIES)
    command = ("search", "-n", "--queries", "queries.txt")
    done = shell.run(*command, "--json", "-t", "3")
    assert done.stderr == "clipsight: answered by tiny\n"
    found = json.loads(done.stdout)
    heading, *rows = csv.reader(shell.run(*command, "--csv", "-t", "3").stdout.splitlines())
    assert heading == ["query", "path", "score", "id", "width", "height", "taken", "taken_source"]
    assert [row[0] for row in rows] == [answer["query"] for answer in found for _ in range(3)]
    check_golden("search.queries.txt", shell.run(*command, "-t", "2").stdout, shell)
    check_as_one_by_one(shell, found, "-t", "3")


def test_queries_from_a_pipe_with_filters_and_folders(shell: Shell) -> None:
    options = ("photos", "-n", "--json", "--after", "2025")
    done = shell.run("search", "--queries", "-", *options, stdin=QUERIES.encode("utf-8-sig"))
    found = json.loads(done.stdout)
    assert [Path(answer["matches"][0]["path"]).name for answer in found] == ["coffee.png"] * 3
    check_as_one_by_one(shell, found, "photos", "--after", "2025")


def test_a_query_without_matches(shell: Shell) -> None:
    (shell.folder / "queries.txt").write_text("flower\n")
    done = shell.run("search", "-n", "--queries", "queries.txt", "--min-score", "2")
    assert done.stdout == "flower: no photo matches\n\n"


@pytest.mark.parametrize(
    ("unquoted", "query"),
    [
        (("two", "dogs"), "two dogs"),
        (("horse", "+", "2:stripes", "-", "zebra"), "horse + 2:stripes - zebra"),
        (("16:9",), "16:9"),
        (("a", "dog", "photos"), "a dog"),
        (("a", "dog", "./photos"), "a dog"),
    ],
)
def test_the_query_need_not_be_quoted(shell: Shell, unquoted: tuple[str, ...], query: str) -> None:
    found = json.loads(shell.run("search", "-n", "--json", *unquoted, "--library", "home/library").stdout)
    assert found["query"] == query and len(found["matches"]) == len(SAMPLES)


def test_a_picture_after_an_operator_is_no_folder(shell: Shell) -> None:
    found = json.loads(shell.run("search", "-n", "--json", "horse", "+", "./photos/cat.png").stdout)
    assert found["query"] == "horse + ./photos/cat.png" and len(found["matches"]) == len(SAMPLES) - 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("dog", "./nowhere"), "no such folder"),
        (("dog", "photos/", "cat"), "folders go after the query"),
        (("dog", "+", "./nowhere.jpg"), "no such picture"),
    ],
)
def test_paths_in_the_wrong_place(shell: Shell, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in shell.run("search", "-n", *arguments, code=2).stderr


def test_duplicates_are_hidden_or_shown(photos: Path, tiny_model: Path) -> None:
    shutil.copyfile(photos / "cat.png", photos / "zz.png")
    shell = Shell(photos.parent, tiny_model, photos.parent / "home")
    shell.index()
    done = shell.run("search", "x", "-n", "-t", "50", "--json")
    (cat,) = (match for match in json.loads(done.stdout)["matches"] if "copies" in match)
    assert (cat["path"], cat["copies"]) == (str(photos / "cat.png"), [str(photos / "zz.png")])
    assert "1 copy of these photos left out: the option duplicates shows them" in done.stderr
    shown = shell.run("search", "x", "-n", "-t", "50", "-f").stdout.splitlines()
    every = shell.run("search", "x", "-n", "-t", "50", "-f", "--duplicates")
    assert sorted(every.stdout.splitlines()) == sorted([*shown, str(photos / "zz.png")])
    assert "copy of these" not in every.stderr


@pytest.mark.process
def test_a_search_by_words_imports_no_heavy_library(shell: Shell) -> None:
    done = shell.run_alone("search", "cat", "-n", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "onnxruntime" in imported
    assert not imported & {"PIL", "faiss", "rich", "asyncio", "httpx", "huggingface_hub", "torch", "fastapi"}


@pytest.fixture(scope="module")
def read_shell(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shell:
    """A shell with an index of photos, in two of which text was read."""
    folder = tmp_path_factory.mktemp("read")
    copy_samples(folder / "photos")
    made = Shell(folder, tiny_model, folder / "home")
    made.index()
    with closing(Catalog(folder / "home" / "library")) as catalog:
        for name, text in (
            ("cat.png", "AKAI\x1b[31m MPK"),
            ("flower.jpg", "MPK, Akai: no.5"),
            ("rocket.jpg", ""),
        ):
            content = catalog.database.value("SELECT hash FROM photos WHERE name = ?", (name.encode(),))
            put_text(catalog.database, content, [TextLine(text, 0.9, 0.1, 0.1, 0.2, 0.2)])
    return made


@pytest.mark.slow
def test_text_in_photos(read_shell: Shell) -> None:
    def found(*arguments: str) -> list[tuple[str, list[str]]]:
        done = read_shell.run("search", *arguments, "-n", "--json", "-t", "3")
        return [(Path(m["path"]).name, m.get("text", [])) for m in json.loads(done.stdout)["matches"]]

    cat, flower = ("cat.png", ["AKAI\\x1b[31m MPK"]), ("flower.jpg", ["MPK, Akai: no.5"])
    assert found("mpk akai")[0] == flower
    assert found('text:"mpk akai no"')[0] == found("text:mpk akai no")[0] == flower
    assert found("text:mpk akai no", "dog")[0] == flower  # the shell has taken the quotes
    assert found("--text-only", "akai", "31m") == [cat]
    assert found("--text-only", "mpk", "akai") == [flower, cat]
    assert found("--no-text", "mpk akai")[0][1] == []
    assert flower not in found("dog", "-s", "text:mpk akai no")
    done = read_shell.run("search", "--text-only", "akai", "-n")
    assert "\x1b" not in done.stdout and "AKAI\\x1b[31m MPK" in done.stdout
    done = read_shell.run("search", "--text-only", "akai", "-n", "--csv")
    assert "\x1b" not in done.stdout
    assert [row["text"] for row in csv.DictReader(done.stdout.splitlines())] == [flower[1][0], cat[1][0]]
    status = json.loads(read_shell.run("status", "--json").stdout)["text"]
    assert status == {"read": 3, "with_text": 2, "to_read": 0, "failures": []}
    assert "read in 3 photos, of which 2 have some" in read_shell.run("status").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("text:",), "text: needs words"),
        (('text:""',), "text: needs words"),
        (("cat", "--text-only", "--no-text"), "--text-only and --no-text exclude each other"),
        (("text:akai", "--no-text"), "--no-text switches off"),
        (("- text:akai",), "only leaves photos out"),
        (("text:" + "akai " * 20_000,), "at most 200 letters"),
    ],
)
def test_questions_about_text_that_have_no_answer(
    read_shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    done = read_shell.run("search", *arguments, "-n", code=2)
    assert message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_text_that_was_not_read(shell: Shell) -> None:
    for arguments in (("--text-only", "cat"), ("text:cat",)):
        done = shell.run("search", *arguments, "-n", code=2)
        assert done.stderr.endswith("has not been read: clipsight index --text reads it\n")
