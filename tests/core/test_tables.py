"""Tables of files: paths, values, lines and errors."""

from pathlib import Path

import pytest

from clipsight.core.errors import ClipsightError, LabelError, TrainingError
from clipsight.core.tables import TableRow, read_table


def _rows(source: Path, delimiter: str = ",") -> list[TableRow]:
    return list(read_table(source, ("filepath", "label"), error=LabelError, delimiter=delimiter))


def test_rows_have_lines_absolute_paths_and_stripped_values(tmp_path: Path) -> None:
    lines = (" a cat ,./a.jpg,1", "", '"two', 'lines", sub/../b.jpg ', ",/c.jpg", "a dog,", "short")
    content = "\n".join(("\ufefflabel,filepath,other", *lines))
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    assert _rows(tmp_path / "x.csv") == [
        (2, str(tmp_path / "a.jpg"), "a cat"),
        (5, str(tmp_path / "b.jpg"), "two\nlines"),
        (6, "/c.jpg", ""),
        (7, "", "a dog"),
        (8, "", "short"),
    ]


def test_paths_are_absolute_for_a_relative_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.tsv").write_text("filepath\tlabel\na.jpg\tcat\n")
    monkeypatch.chdir(tmp_path)
    assert _rows(Path("x.tsv"), "\t") == [(2, str(tmp_path / "a.jpg"), "cat")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs the columns filepath and label, it has none"),
        (b"filepath;label\n", "needs the columns filepath and label, it has filepath;label"),
        (b"filepath,label\na.jpg,caf\xe9\n", "can't read .*x.csv: .*utf-8"),
        (b"filepath,label\na.jpg," + b"x" * 200_000 + b"\n", "can't read .*x.csv: field larger than"),
    ],
)
def test_a_bad_table_is_the_given_error(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(LabelError, match=message) as raised:
        _rows(tmp_path / "x.csv")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [LabelError, TrainingError])
def test_a_missing_table_is_the_given_error(error: type[ClipsightError], tmp_path: Path) -> None:
    with pytest.raises(error, match=r"can't read .*none\.csv: No such file"):
        list(read_table(tmp_path / "none.csv", ("filepath", "label"), error=error))
