BEGIN TRANSACTION;
CREATE TABLE failures (
        folder   BLOB NOT NULL,
        name     BLOB NOT NULL,
        size     INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        reason   TEXT NOT NULL,
        date     TEXT NOT NULL, model_id INTEGER REFERENCES models (id) ON DELETE CASCADE,
        PRIMARY KEY (folder, name)
    ) WITHOUT ROWID;
INSERT INTO "failures" VALUES(X'2F70FF',X'632E6A7067',1,1,'cut short','2026-11-30T21:45:51',NULL);
CREATE TABLE label_sets (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        labels   TEXT NOT NULL,         -- JSON array, sorted
        UNIQUE (model_id, labels)
    );
INSERT INTO "label_sets" VALUES(1,1,'["cat", "dog"]');
CREATE TABLE labels (
        vector_id   INTEGER NOT NULL REFERENCES vectors (id) ON DELETE CASCADE,
        set_id      INTEGER NOT NULL REFERENCES label_sets (id) ON DELETE CASCADE,
        label       TEXT NOT NULL,
        probability REAL NOT NULL,
        PRIMARY KEY (vector_id, set_id)
    ) WITHOUT ROWID;
INSERT INTO "labels" VALUES(1,1,'dog',0.75);
CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "meta" VALUES('current_model','1');
INSERT INTO "meta" VALUES('uuid','b3f5e597a6374370a5e73494e02bcd8f');
CREATE TABLE models (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        fingerprint TEXT NOT NULL UNIQUE,
        name        TEXT NOT NULL,
        source      TEXT NOT NULL,      -- what to give to --model to have it again
        dim         INTEGER NOT NULL
    );
INSERT INTO "models" VALUES(1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','tiny','./tiny',3);
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
        state_since  TEXT, partial TEXT, sidecar_stamp INTEGER,
        UNIQUE (folder, name)
    );
INSERT INTO "photos" VALUES(1,X'2F70FF',X'612E6A7067',7,1,1,X'01010101010101010101010101010101',640,480,'JPEG','2024-05-06T07:08:09','exif','A Camera',6,48.1,11.5,0,NULL,'truncated JPEG',NULL);
INSERT INTO "photos" VALUES(2,X'2F70FF2F737562',X'622E6A7067',1,1,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'2026-11-30T21:45:51',NULL,NULL);
CREATE TABLE roots (
        path      BLOB PRIMARY KEY,
        options   TEXT NOT NULL,        -- JSON of indexing.indexer.IndexOptions
        reachable INTEGER NOT NULL,
        indexed   TEXT                  -- when last walked to its end, ISO 8601
    ) WITHOUT ROWID;
INSERT INTO "roots" VALUES(X'2F70FF','{"exclude": []}',1,'2026-01-02T03:04:05');
CREATE TABLE texts (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        hash    BLOB NOT NULL UNIQUE,   -- photos.hash of the content that was read
        words   TEXT,                   -- folded, with the line breaks of lines; null where nothing was found
        lines   TEXT,                   -- JSON: text, confidence, left, top, right, bottom
        failure TEXT                    -- why the text could not be read
    );
INSERT INTO "texts" VALUES(1,X'01010101010101010101010101010101','akai mpk','[["AKAI MPK", 0.9, 0.1, 0.2, 0.3, 0.4]]',NULL);
CREATE TABLE vectors (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
        model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
        vector   BLOB NOT NULL,         -- float16[dim], little-endian, unit length
        UNIQUE (photo_id, model_id)
    );
INSERT INTO "vectors" VALUES(1,1,1,X'CD3866BA0000');
INSERT INTO "vectors" VALUES(3,2,1,X'CDB8663A0080');
CREATE INDEX photos_by_hash ON photos (hash) WHERE hash IS NOT NULL;
CREATE INDEX photos_away ON photos (folder, state) WHERE state != 0;
CREATE INDEX vectors_by_model ON vectors (model_id);
CREATE INDEX labels_by_name ON labels (set_id, label);
CREATE INDEX photos_by_taken ON photos (taken);
CREATE INDEX photos_by_size ON photos (size);
CREATE INDEX photos_by_width ON photos (width);
CREATE INDEX photos_by_height ON photos (height);
CREATE INDEX photos_by_format ON photos (format);
CREATE INDEX photos_by_camera ON photos (camera);
CREATE INDEX photos_partial ON photos (folder, name) WHERE partial IS NOT NULL;
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
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('models',1);
INSERT INTO "sqlite_sequence" VALUES('photos',2);
INSERT INTO "sqlite_sequence" VALUES('vectors',3);
INSERT INTO "sqlite_sequence" VALUES('texts',1);
INSERT INTO "sqlite_sequence" VALUES('label_sets',1);
CREATE VIRTUAL TABLE text_index USING fts5 (letters, content = '', tokenize = 'trigram');
INSERT INTO text_index (rowid, letters) SELECT id, replace(words, ' ', '') FROM texts;
COMMIT;
PRAGMA user_version = 7;
