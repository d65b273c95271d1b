"""Tables of searches, libraries and models as they look on a terminal of 80 columns."""

from pathlib import Path

import pytest

from clipsight.core import terminal
from clipsight.models.model_index import published_models
from clipsight.models.registry import ModelStatus, list_models
from clipsight.render.columns import cell_width
from clipsight.render.tables import Format, print_matches, print_models, print_status
from clipsight.search.results import Match, Matches, Status
from clipsight.store.records import Counts, Failure, PartialPhoto, Root


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "width", lambda stream: 80)
    monkeypatch.setenv("HOME", "/home/ann")


def match(path: str, source: str | None = "exif", *, taken: str | None = "2024-05-06T07:08:09") -> Match:
    return Match(Path(path), 0.5, 1, 4032, 3024, taken, source, 1_000, True)


def printed(capsys: pytest.CaptureFixture[str], *matches: Match, inside: Path | None = None) -> list[str]:
    print_matches(Matches("a cat", "tiny", matches), Format.TABLE, inside=inside)
    return capsys.readouterr().out.splitlines()


def test_photos_are_last_and_relative_to_the_home(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys, match("/home/ann/Pictures/a cat.jpg"), match("/media/usb/b.jpg", None, taken=None)
    )
    assert lines == [
        "score         size  taken             photo",
        "0.500  4032 x 3024  2024-05-06 07:08  ~/Pictures/a cat.jpg",
        "0.500  4032 x 3024                    /media/usb/b.jpg",
    ]


def test_photos_of_one_folder_are_relative_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = match("/home/ann/Pictures/2024/a.jpg")
    assert printed(capsys, found, inside=Path("/home/ann/Pictures"))[1].endswith("  2024/a.jpg")


def test_the_star_of_file_dates_is_explained_if_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, match("/a.jpg"), match("/b.jpg", "mtime")) == [
        "score         size  taken (*: file date)  photo",
        "0.500  4032 x 3024  2024-05-06 07:08      /a.jpg",
        "0.500  4032 x 3024  2024-05-06 07:08 *    /b.jpg",
    ]


def test_a_long_path_is_whole_in_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/media/usb/a folder with a long name/and one below it/IMG_20240506_070809.jpg"
    _, figures, alone = printed(capsys, match(path))
    assert figures.split() == ["0.500", "4032", "x", "3024", "2024-05-06", "07:08"]
    assert alone.strip() == path


def test_status_names_files_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    root = Root(b"/home/ann/Pictures", "{}", True, "2024-05-06T07:08:09")
    reason = "not an image: " + "a reason that is longer than a line of this terminal, as many are " * 2
    failures = (
        Failure(b"/home/ann/Pictures/letter.jpg", reason.strip(), "2024-05-06T07:08:09"),
        Failure(b"/home/ann/Pictures/x\n.jpg", "empty", "2024-05-06T07:08:09"),
    )
    partial = (PartialPhoto(b"/home/ann/Pictures/half.jpg", "its file is cut short"),)
    counts = Counts(8, 0, 0)
    print_status(
        Status(
            Path("/home/ann/lib"), "tiny", None, 0, counts, ((root, counts),), failures, partial, 1_234_567
        )
    )
    assert capsys.readouterr().out.splitlines() == [
        "library  ~/lib",
        "model    tiny",
        "photos   8",
        "partial  1 (their files hold a part of the picture)",
        "failed   2",
        "on disk  1.2 MB",
        "",
        "photos  unreachable  last indexed         folder",
        "     8               2024-05-06 07:08:09  ~/Pictures",
        "",
        "partial photos",
        "~/Pictures/half.jpg",
        "    its file is cut short",
        "",
        "failed files",
        "~/Pictures/letter.jpg",
        "    2024-05-06 07:08: not an image: a reason that is longer than a line of this",
        "    terminal, as many are a reason that is longer than a line of this terminal,",
        "    as many are",
        "~/Pictures/x\\n.jpg",
        "    2024-05-06 07:08: empty",
    ]


def test_names_of_models_are_whole_and_lines_fit(capsys: pytest.CaptureFixture[str]) -> None:
    print_models(list_models(), "builtin")
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if cell_width(line) > 80] == []
    words = out.split()
    assert {model.name for model in published_models()} <= set(words)
    assert next(line for line in out.splitlines() if line.endswith("  builtin")).startswith("*")


def test_marks_of_models_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    models = [
        ModelStatus("tiny", on_disk=True, size_bytes=1_000_000, license="MIT (code); see provenance"),
        ModelStatus("broken", on_disk=True, problem="no visual/model.onnx"),
        ModelStatus(
            "far",
            on_disk=False,
            recommended=True,
            size_bytes=2_000_000_000,
            partial_bytes=5,
            license="apple-amlr",
            commercial=False,
            multilingual=True,
            imagenet_top1=66.61,
            retrieval=50.0,
        ),
    ]
    print_models(models, "tiny")
    out = capsys.readouterr().out
    assert out.splitlines()[:8] == [
        "on this machine:",
        "     size  ImageNet  recall  licence  model",
        "*  1.0 MB                    MIT      tiny",
        "                                      broken",
        "                                        no visual/model.onnx",
        "",
        "to download (clipsight models download NAME):",
        "        size  ImageNet  recall  licence     model",
    ]
    assert out.splitlines()[8] == "rmnp  2.0 GB      66.6    50.0  apple-amlr  far"
    for mark in ("* this library's", "r recommended", "m multilingual", "n not for", "p partly"):
        assert mark in out
