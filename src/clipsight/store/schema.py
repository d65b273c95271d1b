"""The catalog's tables, as numbered migrations that are applied in order and never edited.

`PRAGMA user_version` holds the number of migrations of a file. To change the schema, append a script to
`MIGRATIONS`; `tests/store/test_schema.py` opens a file of every released version.
"""

CATALOG_NAME = "catalog.sqlite3"
"""The catalog's file in the folder of a library."""

MIGRATIONS: tuple[str, ...] = (
    # 1: photos, vectors, failures, roots and models.
    """
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;

    -- A model whose vectors the library holds or is about to hold. Ids are never used twice: another
    -- process may still be embedding with a model that was dropped.
    CREATE TABLE models (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        fingerprint TEXT NOT NULL UNIQUE,
        name        TEXT NOT NULL,
        source      TEXT NOT NULL,      -- what to give to --model to have it again
        dim         INTEGER NOT NULL
    );

    -- A folder that the user asked to index, with the options it was asked with.
    CREATE TABLE roots (
        path      BLOB PRIMARY KEY,
        options   TEXT NOT NULL,        -- JSON of indexing.indexer.IndexOptions
        reachable INTEGER NOT NULL,
        indexed   TEXT                  -- when last walked to its end, ISO 8601
    ) WITHOUT ROWID;

    -- A file. Paths are bytes, as the system gives them: names need not be UTF-8.
    CREATE TABLE photos (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        folder       BLOB NOT NULL,
        name         BLOB NOT NULL,
        size         INTEGER NOT NULL,
        mtime_ns     INTEGER NOT NULL,
        device       INTEGER NOT NULL,
        hash         BLOB,              -- XXH3-128 of the content; null where only a vector was imported
        width        INTEGER,
        height       INTEGER,
        format       TEXT,
        taken        TEXT,
        taken_source TEXT,
        camera       TEXT,
        orientation  INTEGER,
        latitude     REAL,
        longitude    REAL,
        state        INTEGER NOT NULL DEFAULT 0,    -- store.records.State
        state_since  TEXT,
        UNIQUE (folder, name)
    );
    CREATE INDEX photos_by_hash ON photos (hash) WHERE hash IS NOT NULL;
    CREATE INDEX photos_away ON photos (folder, state) WHERE state != 0;

    -- Rows are never changed in place and ids never used twice, so that an id kept
    -- outside (in the FAISS index) can grow stale but can't come to mean another vector.
    CREATE TABLE vectors (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
        model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        vector   BLOB NOT NULL,         -- float16[dim], little-endian, unit length
        UNIQUE (photo_id, model_id)
    );
    CREATE INDEX vectors_by_model ON vectors (model_id);  -- and by id within a model

    -- A file that could not be read as a photo, with what it was then and why.
    CREATE TABLE failures (
        folder   BLOB NOT NULL,
        name     BLOB NOT NULL,
        size     INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        reason   TEXT NOT NULL,
        date     TEXT NOT NULL,
        PRIMARY KEY (folder, name)
    ) WITHOUT ROWID;
    """,
    # 2: labels that classification gave to photos.
    """
    -- Labels that photos were chosen among.
    CREATE TABLE label_sets (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        labels   TEXT NOT NULL,         -- JSON array, sorted
        UNIQUE (model_id, labels)
    );

    -- The label a photo has of a set. It hangs on the vector that was classified and goes with it.
    CREATE TABLE labels (
        vector_id   INTEGER NOT NULL REFERENCES vectors (id) ON DELETE CASCADE,
        set_id      INTEGER NOT NULL REFERENCES label_sets (id) ON DELETE CASCADE,
        label       TEXT NOT NULL,
        probability REAL NOT NULL,
        PRIMARY KEY (vector_id, set_id)
    ) WITHOUT ROWID;
    CREATE INDEX labels_by_name ON labels (set_id, label);
    """,
    # 3: what searches are filtered by (`store.filters`).
    """
    CREATE INDEX photos_by_taken ON photos (taken);
    CREATE INDEX photos_by_size ON photos (size);
    CREATE INDEX photos_by_width ON photos (width);
    CREATE INDEX photos_by_height ON photos (height);
    CREATE INDEX photos_by_format ON photos (format);
    CREATE INDEX photos_by_camera ON photos (camera);
    """,
    # 4: the model of a failure to embed; null where the file itself can't be read.
    """
    ALTER TABLE failures ADD COLUMN model_id INTEGER REFERENCES models (id) ON DELETE CASCADE;
    """,
    # 5: photos whose file holds a part of the picture: what is wrong with it; null where it is whole.
    """
    ALTER TABLE photos ADD COLUMN partial TEXT;
    CREATE INDEX photos_partial ON photos (folder, name) WHERE partial IS NOT NULL;
    """,
    # 6: the state of the files beside a photo (store.records.FileStat); null where it does not matter.
    """
    ALTER TABLE photos ADD COLUMN sidecar_stamp INTEGER;
    """,
    # 7: text read in photos (store.text_index), by content, so that copies and moved files are read once.
    """
    CREATE TABLE texts (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        hash    BLOB NOT NULL UNIQUE,   -- photos.hash of the content that was read
        words   TEXT,                   -- folded, with the line breaks of lines; null where nothing was found
        lines   TEXT,                   -- JSON: text, confidence, left, top, right, bottom
        failure TEXT                    -- why the text could not be read
    );
    -- Trigrams of the words without the room between them.
    CREATE VIRTUAL TABLE text_index USING fts5 (letters, content = '', tokenize = 'trigram');
    CREATE TRIGGER text_added AFTER INSERT ON texts WHEN new.words IS NOT NULL BEGIN
        INSERT INTO text_index (rowid, letters)
        VALUES (new.id, replace(replace(new.words, ' ', ''), char(10), ''));
    END;
    CREATE TRIGGER text_removed AFTER DELETE ON texts WHEN old.words IS NOT NULL BEGIN
        INSERT INTO text_index (text_index, rowid, letters)
        VALUES ('delete', old.id, replace(replace(old.words, ' ', ''), char(10), ''));
    END;
    CREATE TRIGGER photo_removed AFTER DELETE ON photos WHEN old.hash IS NOT NULL BEGIN
        DELETE FROM texts WHERE hash = old.hash AND NOT EXISTS (SELECT 1 FROM photos WHERE hash = old.hash);
    END;
    CREATE TRIGGER photo_changed AFTER UPDATE OF hash ON photos WHEN old.hash IS NOT new.hash BEGIN
        DELETE FROM texts WHERE hash = old.hash AND NOT EXISTS (SELECT 1 FROM photos WHERE hash = old.hash);
    END;
    """,
)
