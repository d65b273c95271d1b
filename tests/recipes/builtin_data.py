"""Small copies of the folders that the builtin model's recipe reads."""

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipes.builtin import everyday


def write_everyday(data: Path) -> None:
    """`everyday/` with ten photos a set: two labels in the labelled ones, ten names in the others."""
    for source in everyday.LABELLED:
        rows = [(f"{'ab'[i % 2]}/{i}.jpg", ("red apple", "pear")[i % 2]) for i in range(10)]
        _table(data / "everyday" / source / "labels.csv", ("filepath", "label"), rows)
    for source in (*everyday.NAMED, *everyday.DOCUMENTS):
        rows = [(f"{i}.jpg", f"dish {i}") for i in range(10)]
        _table(data / "everyday" / source / "captions.csv", ("filepath", "caption"), rows)
    for source in ("dishes_cn_home", "dishes_cn_studio"):
        rows = [(f"{i}.jpg", f"菜{i}") for i in range(10)]
        _table(data / "everyday" / source / "captions_zh.csv", ("filepath", "caption"), rows)


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def write_captions(data: Path, name: str, rows: Iterable[tuple[str, str]]) -> None:
    """One file of `captioned_languages/`, from pairs of photo and caption."""
    path = data / "captioned_languages" / f"{name}.csv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("filepath", "caption"))
        writer.writerows(rows)


def write_pairs(data: Path, name: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """One file of `text/`, from rows of language, English and translation."""
    path = data / "text" / f"{name}.tsv.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("lang\tenglish\ttranslation\n")
        file.writelines("\t".join(row) + "\n" for row in rows)
