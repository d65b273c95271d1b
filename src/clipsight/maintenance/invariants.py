"""Invariants of the catalog's tables that SQLite does not enforce, as data.

Repair loses nothing that indexing can't restore: the next `clipsight index` treats a photo whose row was
deleted as new, and one whose date was set to -1 as changed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant of the rows of `table`."""

    table: str
    violation: str
    """SQL condition that holds for invalid rows."""
    description: str
    """The problem in words, to follow the number of invalid rows."""
    remedy: str
    """The repair in words."""
    repair: str
    """SQL statement of the repair, without its WHERE clause, which is `violation`."""


def _no_path(folder: str) -> str:
    """SQL condition that holds unless `folder` is an absolute path without a trailing slash."""
    return (
        f"typeof({folder}) != 'blob' OR substr({folder}, 1, 1) != x'2f' OR instr({folder}, x'00') "
        f"OR (length({folder}) > 1 AND substr({folder}, -1) = x'2f')"
    )


_NO_NAME = "typeof(name) != 'blob' OR length(name) = 0 OR instr(name, x'2f') OR instr(name, x'00')"
_NO_STAT = "typeof(size) != 'integer' OR typeof(mtime_ns) != 'integer'"
_NO_MODEL = "NOT EXISTS (SELECT 1 FROM models WHERE id = CAST(value AS INTEGER))"
_NO_OPTIONS = (
    "CASE WHEN json_valid(options) THEN coalesce(json_type(options, '$.exclude'), '') != 'array' ELSE 1 END"
)
_LABELS = "CASE WHEN json_valid(s.labels) THEN s.labels ELSE '[]' END"
_READ_AGAIN = "the next clipsight index reads them again"

RULES = (
    Rule(
        "photos",
        f"{_no_path('folder')} OR {_NO_NAME} OR {_NO_STAT} OR typeof(device) != 'integer'",
        "photos have an invalid path, size, date or device",
        f"dropped; {_READ_AGAIN}",
        "DELETE FROM photos",
    ),
    Rule(
        "photos",
        "hash IS NOT NULL AND (typeof(hash) != 'blob' OR length(hash) != 16)",
        "photos have an invalid content hash",
        f"cleared; {_READ_AGAIN}",
        "UPDATE photos SET hash = NULL, mtime_ns = -1",
    ),
    Rule(
        "photos",
        "typeof(state) != 'integer' OR state NOT IN (0, 1, 2)",
        "photos have an unknown state",
        "taken as present until the next clipsight index",
        "UPDATE photos SET state = 0, state_since = NULL",
    ),
    Rule(
        "photos",
        "state != 0 AND julianday(state_since) IS NULL",
        "missing or unreachable photos have no date",
        "dated today",
        "UPDATE photos SET state_since = datetime('now', 'localtime')",
    ),
    Rule(
        "failures",
        f"{_no_path('folder')} OR {_NO_NAME} OR {_NO_STAT}",
        "failed files have an invalid path, size or date",
        f"dropped; {_READ_AGAIN}",
        "DELETE FROM failures",
    ),
    Rule(
        "roots",
        _no_path("path"),
        "indexed folders have an invalid path",
        "dropped: name them again to clipsight index",
        "DELETE FROM roots",
    ),
    Rule(
        "roots",
        _NO_OPTIONS,
        "indexed folders have options that can't be read",
        "reset: name the folders with their options, such as --exclude, again to clipsight index",
        "UPDATE roots SET options = '{\"exclude\": []}'",
    ),
    Rule(
        "meta",
        f"key = 'next_model' AND {_NO_MODEL}",
        "model that the library is being switched to does not exist",
        "the switch is ended",
        "DELETE FROM meta",
    ),
    Rule(
        "meta",
        f"key = 'current_model' AND {_NO_MODEL}",
        "model of the library does not exist",
        "forgotten",
        "DELETE FROM meta",
    ),
    Rule(
        "(SELECT 1 WHERE EXISTS (SELECT 1 FROM vectors))",
        "NOT EXISTS (SELECT 1 FROM meta WHERE key = 'current_model')",
        "library has vectors but no model",
        "the model of most vectors is taken",
        "INSERT INTO meta (key, value) SELECT 'current_model', model_id FROM "
        "(SELECT model_id FROM vectors GROUP BY model_id ORDER BY count(*) DESC LIMIT 1)",
    ),
    Rule(
        "texts",
        "typeof(hash) != 'blob' OR (words IS NULL) != (lines IS NULL) "
        "OR typeof(words) NOT IN ('text', 'null') "
        "OR CASE WHEN json_valid(lines) THEN json_type(lines) != 'array' ELSE lines IS NOT NULL END "
        "OR NOT EXISTS (SELECT 1 FROM photos WHERE photos.hash = texts.hash)",
        "texts of photos are invalid or of no photo",
        f"dropped; {_READ_AGAIN}",
        "DELETE FROM texts",
    ),
    Rule(
        "label_sets",
        "NOT json_valid(labels)",
        "label sets can't be read",
        "dropped: give them again with clipsight classify --labels",
        "DELETE FROM label_sets",
    ),
    Rule(
        "labels",
        "typeof(probability) != 'real' OR probability NOT BETWEEN 0 AND 1 OR (set_id, label) NOT IN "
        f"(SELECT s.id, j.value FROM label_sets s, json_each({_LABELS}) j) OR NOT EXISTS (SELECT 1 FROM "
        "vectors v JOIN label_sets s ON s.model_id = v.model_id WHERE v.id = vector_id AND s.id = set_id)",
        "labels are invalid",
        "dropped: give them again with clipsight classify --labels",
        "DELETE FROM labels",
    ),
)
"""All invariants, in the order of repair."""
