"""Folders, labels, formats and cameras in a library, for shell completion.

Reading takes milliseconds and changes nothing: the catalog is neither created, migrated nor repaired.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

Kind = Literal["folder", "label", "format", "camera"]

_QUERIES: dict[Kind, str] = {
    "folder": "SELECT path FROM roots ORDER BY 1",
    "label": "SELECT DISTINCT label FROM labels ORDER BY 1",
    "format": "SELECT DISTINCT format FROM photos WHERE format IS NOT NULL ORDER BY 1",
    "camera": "SELECT DISTINCT camera FROM photos WHERE camera IS NOT NULL ORDER BY 1",
}
_TIMEOUT_SECONDS = 0.5


def known_values(catalog: Path, kind: Kind) -> list[str]:
    """The values of `kind` in the file `catalog`, sorted; an empty list if it can't be read."""
    try:
        uri = f"file:{quote(os.fsencode(catalog.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_TIMEOUT_SECONDS)) as connection:
            values = [value for (value,) in connection.execute(_QUERIES[kind])]
    except sqlite3.Error:
        return []
    return [os.fsdecode(value) if isinstance(value, bytes) else value for value in values]
