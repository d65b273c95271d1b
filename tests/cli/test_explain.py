"""`clipsight explain` end to end: numbers, files, one-line errors, exit codes."""

import json

import pytest
from PIL import Image

from tests.support.fake import make_folder
from tests.support.samples import copy_samples
from tests.support.shell import Shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A shell with an index of real photos."""
    folder = tmp_path_factory.mktemp("explain")
    copy_samples(folder / "photos")
    shell = Shell(folder, make_folder(folder / "model"), folder / "home")
    shell.index()
    return shell


@pytest.mark.slow
def test_a_table_of_the_words_and_the_region(shell: Shell) -> None:
    done = shell.run("explain", "a red flower", "photos/flower.jpg")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[2:5]] == ["a", "red", "flower"]
    assert done.stdout.startswith("score ") and "region of 'a red flower' by occlusion" in done.stdout
    assert "clipsight: explained in " in done.stderr and "clipsight: answered by tiny" in done.stderr


def test_json_has_the_documented_fields(shell: Shell) -> None:
    one = json.loads(shell.run("explain", "a red flower", "photos/flower.jpg", "--json").stdout)
    assert list(one) == ["score", "method", "words", "region"]
    assert [list(each) for each in one["words"]] == [["word", "contribution", "stderr"]] * 3
    joint = json.loads(
        shell.run("explain", "flower + 2:bee", "photos/flower.jpg", "-s", "cartoon", "--json").stdout
    )
    assert [each["part"] for each in joint["parts"]] == ["flower", "2:bee", "- cartoon"]
    assert sum(each["share"] for each in joint["parts"]) == pytest.approx(joint["score"], abs=3e-6)


def test_the_score_is_that_of_search(shell: Shell) -> None:
    found = json.loads(shell.run("search", "./photos/coffee.png + 2:cat", "--json", "-n").stdout)
    score = next(each["score"] for each in found["matches"] if each["path"].endswith("flower.jpg"))
    explained = shell.run("explain", "./photos/coffee.png + 2:cat", "photos/flower.jpg", "--json")
    assert json.loads(explained.stdout)["score"] == pytest.approx(score, abs=2e-3)


@pytest.mark.slow
def test_pictures_and_pages_are_written(shell: Shell) -> None:
    for name in ("out.png", "out.HTML"):
        shell.run("explain", "a 红 flower 🐝", "photos/flower.jpg", "--word", "flower", "-o", name)
    with Image.open(shell.folder / "out.png") as picture:
        assert picture.width == 1024
    assert "红" in (shell.folder / "out.HTML").read_text()


def test_words_alone(shell: Shell) -> None:
    done = shell.run("explain", "flower", "photos/flower.jpg", "--no-region", "--json")
    assert json.loads(done.stdout)["region"] is None


def test_a_text_longer_than_the_context_is_noted(shell: Shell) -> None:
    done = shell.run("explain", "flower " * 90, "photos/flower.jpg", "--no-region", "--json")
    assert "clipsight: tiny reads 77 tokens: only the first 76 words count" in done.stderr
    assert len(json.loads(done.stdout)["words"]) == 76


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((" ", "photos/cat.png"), "the query is empty"),
        (("a cat", "photos/none.png"), "can't explain photos/none.png: can't be read: No such file"),
        (("a cat", "photos"), "can't explain photos: can't be read: not a file"),
        (("a cat", "photos/cat.png", "--word", "dog"), "--word 'dog' is not in the query, which has a, cat"),
        (("a cat", "photos/cat.png", "--method", "magic"), "no method 'magic': choose occlusion, attention"),
        (("a cat", "photos/cat.png", "-o", "out.txt"), "can't write out.txt: name it .png or .html"),
        (("a cat", "photos/cat.png", "-o", "none/out.png"), "can't write none/out.png: no such folder"),
        (("a cat", "photos/cat.png", "-o", "photos/cat.png"), "is the photo itself"),
        (("cat - cat", "photos/cat.png"), "cancel each other out"),
    ],
)
def test_errors_are_one_line(arguments: tuple[str, ...], message: str, shell: Shell) -> None:
    done = shell.run("explain", *arguments, code=2)
    assert message in done.stderr and done.stdout == ""


@pytest.mark.torch
def test_a_method_that_the_model_does_not_support(shell: Shell) -> None:
    done = shell.run("explain", "a cat", "photos/cat.png", "--method", "attention", code=2)
    assert "--method attention can't explain tiny" in done.stderr and "choose occlusion" in done.stderr


def test_help_says_which_methods_are_views(shell: Shell) -> None:
    text = " ".join(shell.run("explain", "--help").stdout.split())
    assert "occlusion: leave words out" in text and "a view of the model rather than an explanation" in text
