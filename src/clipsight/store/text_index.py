"""Text read in photos: its lines with their boxes, and an index that finds them by parts of words.

Text belongs to content, not to files: copies share it, a moved file keeps it, and with the last photo of a
content it is deleted. It is compared folded: in one case, without accents, full-width forms as usual ones.
SQLite's FTS5 holds the trigrams of the letters without spaces, so that words are found inside others, and in
scripts that write no spaces.
"""

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clipsight.core.text import TextLine, visible
from clipsight.store.catalog.photos import chunks
from clipsight.store.database import Database
from clipsight.store.path_ranges import under
from clipsight.store.records import Model, State

MAX_LINES = 2000
"""Lines of a photo that are kept: those found first."""

MAX_LETTERS = 100_000
"""Letters of a photo that are indexed."""

GRAM = 3
"""Letters of the parts of words that the index holds."""

_MAX_CANDIDATES = 2000


@dataclass(frozen=True, slots=True)
class UnreadPhoto:
    """A photo whose text has not been read; `place` is that in the list of one run."""

    place: int
    id: int
    path: bytes
    size: int
    mtime_ns: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class TextFailure:
    """A photo whose text could not be read."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class TextCounts:
    """Number of photos whose text was read, of these with text, and of photos still to read."""

    read: int
    with_text: int
    to_read: int
    failures: tuple[TextFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoText:
    """The folded text of photos with one content; lines are separated by newlines, words by spaces."""

    id: int
    words: str


def fold(text: str) -> str:
    """The words of a text as they are compared: letters, digits and marks, with single spaces between."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")
    joined = unicodedata.normalize("NFKC", plain)
    kept = (char if unicodedata.category(char)[0] in "LNM" else " " for char in joined)
    return " ".join("".join(kept).split())


# -- writing -----------------------------------------------------------------------


def put_text(database: Database, content_hash: bytes, lines: Sequence[TextLine]) -> None:
    """Store the lines read in the content of a photo, none for one without text, in place of earlier ones."""
    rows = [_row(line) for line in lines[:MAX_LINES]]
    words = "\n".join(fold(row[0]) for row in rows)[:MAX_LETTERS]
    found = (words, json.dumps(rows, ensure_ascii=False)) if words.strip() else (None, None)
    _replace(database, content_hash, (*found, None))


def put_text_failure(database: Database, content_hash: bytes, reason: str) -> None:
    """Record why the text of a content could not be read."""
    _replace(database, content_hash, (None, None, reason))


def drop_text_failures(database: Database, folder: bytes) -> None:
    """Forget the failures of photos in and below `folder`, so that the next run tries them again."""
    where, arguments = under(folder)
    database.run(
        f"DELETE FROM texts WHERE failure IS NOT NULL AND hash IN (SELECT hash FROM photos WHERE {where})",
        arguments,
    )


def _replace(
    database: Database, content_hash: bytes, values: tuple[str | None, str | None, str | None]
) -> None:
    with database.transaction():
        database.run("DELETE FROM texts WHERE hash = ?", (content_hash,))
        database.run(
            "INSERT INTO texts (hash, words, lines, failure) SELECT ?, ?, ?, ? "
            "WHERE EXISTS (SELECT 1 FROM photos WHERE hash = ?)",  # it may have changed meanwhile
            (content_hash, *values, content_hash),
        )


def _row(line: TextLine) -> tuple[str, float, float, float, float, float]:
    left, top, right, bottom = (
        round(float(side), 4) for side in (line.left, line.top, line.right, line.bottom)
    )
    text = visible(" ".join(line.text.split()))
    return text, round(float(line.confidence), 3), left, top, right, bottom


# -- photos to read ------------------------------------------------------------------

_UNREAD = (
    f"p.state = {int(State.PRESENT)} AND p.hash IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM texts t WHERE t.hash = p.hash)"
)
"""Condition that the text of a photo p, as its file was indexed, has not been read."""


def list_unread(database: Database, folder: bytes) -> int:
    """List the photos in and below `folder` to be read, newest first, undated last; return their number.

    The list is kept in SQLite's temporary database, as it may not fit in memory.
    """
    where, arguments = under(folder, "p.folder")
    database.run("DROP TABLE IF EXISTS temp.unread")
    database.run("CREATE TEMP TABLE unread (place INTEGER PRIMARY KEY, photo_id INTEGER)")
    return database.run(
        f"INSERT INTO temp.unread (photo_id) SELECT p.id FROM photos p WHERE {where} AND {_UNREAD} "
        "ORDER BY p.taken DESC, p.id DESC",
        arguments,
    ).rowcount


def next_unread(database: Database, after: int, count: int) -> list[UnreadPhoto]:
    """The next photos of `list_unread` behind the place `after`, without those read since."""
    rows = database.rows(
        "SELECT u.place, p.id, p.folder, p.name, p.size, p.mtime_ns, p.hash FROM temp.unread u "
        f"CROSS JOIN photos p ON p.id = u.photo_id WHERE u.place > ? AND {_UNREAD} ORDER BY u.place LIMIT ?",
        (after, count),
    )
    return [
        UnreadPhoto(place, id_, os.path.join(folder, name), size, mtime_ns, content_hash)
        for place, id_, folder, name, size, mtime_ns, content_hash in rows
    ]


# -- the index -----------------------------------------------------------------------


def is_text_index_whole(database: Database) -> bool:
    """True if the index has an entry for each text, and no other."""
    return not database.value(
        "SELECT EXISTS (SELECT id FROM texts WHERE words IS NOT NULL EXCEPT SELECT rowid FROM text_index) "
        "OR EXISTS (SELECT rowid FROM text_index EXCEPT SELECT id FROM texts WHERE words IS NOT NULL)"
    )


def rebuild_text_index(database: Database) -> None:
    """Make the index again from the texts."""
    with database.transaction():
        database.run("INSERT INTO text_index (text_index) VALUES ('delete-all')")
        database.run(
            "INSERT INTO text_index (rowid, letters) "
            "SELECT id, replace(replace(words, ' ', ''), char(10), '') FROM texts WHERE words IS NOT NULL"
        )


# -- reading -------------------------------------------------------------------------


def was_read(database: Database) -> bool:
    """True if the text of any photo was read, even if there was none."""
    return bool(database.value("SELECT EXISTS (SELECT 1 FROM texts WHERE failure IS NULL)"))


def has_text(database: Database) -> bool:
    """True if there is text in any photo."""
    return bool(database.value("SELECT EXISTS (SELECT 1 FROM text_index)"))


def text_of(database: Database, photo_id: int) -> tuple[TextLine, ...]:
    """The lines read in a photo, in the order of reading."""
    stored = database.value(
        "SELECT t.lines FROM photos p JOIN texts t ON t.hash = p.hash WHERE p.id = ?", (photo_id,)
    )
    return _lines(stored)


def lines_of(database: Database, text_id: int) -> tuple[TextLine, ...]:
    """The lines of a `PhotoText`."""
    return _lines(database.value("SELECT lines FROM texts WHERE id = ?", (text_id,)))


def _lines(stored: str | None) -> tuple[TextLine, ...]:
    return tuple(TextLine(*row) for row in json.loads(stored)) if stored else ()


def count_texts(database: Database, folders: Iterable[bytes]) -> TextCounts:
    """Numbers of photos by the state of their text; `folders` are those whose text is to be read."""
    read, with_text = database.row(
        "SELECT count(*), count(t.words) FROM texts t CROSS JOIN photos p ON p.hash = t.hash "
        "WHERE t.failure IS NULL AND p.state != ?",
        (State.MISSING,),
    ) or (0, 0)
    to_read = 0
    for folder in folders:
        where, arguments = under(folder, "p.folder")
        to_read += database.value(f"SELECT count(*) FROM photos p WHERE {where} AND {_UNREAD}", arguments)
    failures = database.rows(
        "SELECT p.folder, p.name, t.failure FROM texts t CROSS JOIN photos p ON p.hash = t.hash "
        "WHERE t.failure IS NOT NULL AND p.state != ? ORDER BY p.folder, p.name",
        (State.MISSING,),
    )
    return TextCounts(
        read,
        with_text,
        to_read,
        tuple(TextFailure(os.path.join(folder, name), why) for folder, name, why in failures),
    )


def candidates(database: Database, groups: Sequence[Sequence[str]]) -> list[PhotoText]:
    """Texts that hold at least one part of each of `groups`, those with the highest BM25 first.

    A part is folded letters without spaces, found across words and lines, or a whole word between spaces.
    Parts of less than `GRAM` letters, and whole words, are not in the index: all texts are looked through.
    """
    indexed = [group for group in groups if all(_is_indexed(part) for part in group)]
    others = [group for group in groups if group not in indexed]
    scanned = "".join(f" AND ({' OR '.join(map(_holds, group))})" for group in others)
    arguments = [part for group in others for part in group]
    if indexed:
        match = " AND ".join("(" + " OR ".join(f'"{part}"' for part in group) + ")" for group in indexed)
        sql = (
            "SELECT t.id, t.words FROM text_index i CROSS JOIN texts t ON t.id = i.rowid "
            f"WHERE i.text_index MATCH ?{scanned} ORDER BY i.rank LIMIT ?"
        )
        rows = database.rows(sql, (match, *arguments, _MAX_CANDIDATES))
    else:
        sql = (
            f"SELECT t.id, t.words FROM texts t WHERE t.words IS NOT NULL{scanned} "
            "ORDER BY length(t.words), t.id LIMIT ?"
        )
        rows = database.rows(sql, (*arguments, _MAX_CANDIDATES))
    return [PhotoText(id_, words) for id_, words in rows]


def _is_indexed(part: str) -> bool:
    return len(part) >= GRAM and not part.startswith(" ")


def _holds(part: str) -> str:
    """SQL condition that the words of a text t hold a part, which is the argument."""
    if part.startswith(" "):
        return "instr(' ' || replace(t.words, char(10), ' ') || ' ', ?)"
    return "instr(replace(replace(t.words, ' ', ''), char(10), ''), ?)"


def vectors_of_texts(database: Database, model: Model, text_ids: Sequence[int]) -> dict[int, int]:
    """Vector ids of the photos whose content has one of these texts, with the text's id."""
    return {
        vector_id: text_id
        for part in chunks(text_ids)
        for vector_id, text_id in database.rows(
            "SELECT v.id, t.id FROM texts t CROSS JOIN photos p ON p.hash = t.hash "
            "CROSS JOIN vectors v ON v.photo_id = p.id AND v.model_id = ? "
            f"WHERE t.id IN ({', '.join('?' * len(part))}) AND p.state != ?",
            (model.id, *part, State.MISSING),
        )
    }


def photos_of_texts(database: Database, text_ids: Sequence[int]) -> set[int]:
    """Ids of the photos whose content has one of these texts."""
    return {
        id_
        for part in chunks(text_ids)
        for (id_,) in database.rows(
            "SELECT p.id FROM texts t CROSS JOIN photos p ON p.hash = t.hash "
            f"WHERE t.id IN ({', '.join('?' * len(part))})",
            part,
        )
    }
