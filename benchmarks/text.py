"""Text in photos: cost of reading, recall of words that were read, and what it does to captions of photos.

    python -m benchmarks.text DATA WORK [--photos 300] [--receipts 60]

DATA has `everyday/signs`, `everyday/screenshots`, `everyday/receipts` (SROIE) and `captioned` (Flickr8k). For
each folder: seconds of one core a photo, the share of photos in which text was detected (only these are
recognised) and found. Then recall@1 of queries by 1 to 3 consecutive words of a transcript that no other
transcript has, over all photos together: of those that the reader read, and of all. Last, recall of
Flickr8k's captions with text switched on and off. WORK keeps the library: what was read is not read again.
"""

import argparse
import csv
import json
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from clipsight import Library
from clipsight.core.progress import no_progress
from clipsight.core.text import TextLine
from clipsight.indexing.reading import read_texts
from clipsight.models.ocr import TextReader
from clipsight.store.text_index import fold, text_of

RUNS = 5
"""Queries of each length and photo."""


class CountingReader:
    """A reader that counts photos, and those in which text was detected."""

    def __init__(self, reader: TextReader) -> None:
        self.reader, self.photos, self.detected, self.seconds = reader, 0, 0, 0.0

    def read(self, image: Image.Image) -> tuple[TextLine, ...]:
        """Read a picture."""
        engine = self.reader._engine
        recognise = engine.recognize_txt
        calls: list[int] = []
        engine.recognize_txt = lambda crops: (calls.append(1), recognise(crops))[1]
        started = time.thread_time()
        try:
            return self.reader.read(image)
        finally:
            del engine.recognize_txt
            self.photos += 1
            self.detected += bool(calls)
            self.seconds += time.thread_time() - started


def read(library: Library, folder: Path) -> dict[str, float]:
    """Read the text of a folder on one thread; figures of the photos that were not read before."""
    reader = CountingReader(TextReader().load())
    limits = {"max_pixels": 10**9, "threads": 1, "progress": no_progress}
    report = read_texts(bytes(folder), library._connection.catalog, lambda: reader, **limits)
    return {
        "photos": reader.photos,
        "core seconds a photo": round(reader.seconds / max(1, reader.photos), 3),
        "detected": reader.detected,
        "with text": report.with_text,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def link(files: list[Path], folder: Path) -> Path:
    """A folder of links to the files, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        if not os.path.lexists(folder / file.name):
            (folder / file.name).symlink_to(file)
    return folder


def queries(transcripts: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield the number of words, a query, and the only photo whose transcript has it."""
    letters = {name: fold(text).replace(" ", "") for name, text in transcripts.items()}
    chance = random.Random(0)
    for name, text in transcripts.items():
        words = fold(text).split()
        for count in (1, 2, 3):
            runs = [" ".join(words[at : at + count]) for at in range(len(words) - count + 1)]
            own = [
                run
                for run in dict.fromkeys(runs)
                if len(run) >= 4
                and [n for n, each in letters.items() if run.replace(" ", "") in each] == [name]
            ]
            for run in chance.sample(own, min(RUNS, len(own))):
                yield count, run, name


def recall_of_words(library: Library, folders: dict[str, Path], captions: dict[str, Path]) -> None:
    """Print recall@1 of words of transcripts, and the share of them that was read."""
    catalog = library._connection.catalog
    for kind, folder in folders.items():
        with captions[kind].open(encoding="utf-8") as file:
            rows = {row["filepath"]: row["text"] for row in csv.DictReader(file)}
        rows = {name: text for name, text in rows.items() if (folder / name).exists()}
        found: Counter[tuple[int, str]] = Counter()
        for count, query, name in queries(rows):
            photo = catalog.photo_id_at(bytes(folder / name))
            lines = text_of(catalog.database, photo) if photo else ()
            was_read = query.replace(" ", "") in fold(" ".join(line.text for line in lines)).replace(" ", "")
            best = library.search(query, 1)
            first = bool(best) and best[0].path == folder / name
            found[count, "queries"] += 1
            found[count, "read"] += was_read
            found[count, "first"] += first
            found[count, "first of read"] += first and was_read
        for count in (1, 2, 3):
            read_, every = found[count, "read"], found[count, "queries"]
            print(
                f"{kind}, {count} words: {every} queries, {read_} of them read; recall@1 "
                f"{found[count, 'first of read'] / max(1, read_):.3f} of those read, "
                f"{found[count, 'first'] / max(1, every):.3f} of all",
                flush=True,
            )


def recall_of_captions(library: Library, folder: Path, captions: Path) -> None:
    """Print recall@1, @5 and @10 of the captions of photos, with text and without."""
    with captions.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (folder / row["filepath"]).exists()]
    for text in (False, True):
        found = library.search_many([row["caption"].replace(" - ", " ") for row in rows], 10, text=text)
        places = [
            next((rank for rank, match in enumerate(best) if match.path.name == row["filepath"]), 10)
            for best, row in zip(found, rows, strict=True)
        ]
        recall = {f"recall@{k}": round(sum(place < k for place in places) / len(rows), 4) for k in (1, 5, 10)}
        print(f"{len(rows)} captions, text {'on' if text else 'off'}: {json.dumps(recall)}", flush=True)


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--photos", type=int, default=300, help="photos of Flickr8k")
    parser.add_argument("--receipts", type=int, default=60)
    arguments = parser.parse_args()
    everyday, captioned = arguments.data / "everyday", arguments.data / "captioned"
    flickr = sorted(captioned.glob("flickr8k_*.jpg"))
    chosen = {
        "signs": sorted(everyday.glob("signs/*.jpg")),
        "screenshots": sorted(everyday.glob("screenshots/*.jpg")),
        "receipts": sorted(everyday.glob("receipts/*.jpg"))[: arguments.receipts],
        "photos": flickr[:: max(1, len(flickr) // arguments.photos)][: arguments.photos],
    }
    folders = {kind: link(files, arguments.work.absolute() / kind) for kind, files in chosen.items()}
    with Library(arguments.work / "library", "builtin") as library:
        library.index(*folders.values())
        for kind, folder in folders.items():
            print(f"{kind}: {json.dumps(read(library, folder))}", flush=True)
        read_ones = {kind: folders[kind] for kind in ("signs", "receipts")}
        recall_of_words(library, read_ones, {kind: everyday / kind / "captions.csv" for kind in read_ones})
        recall_of_captions(library, folders["photos"], captioned / "captions.csv")


if __name__ == "__main__":
    main()
