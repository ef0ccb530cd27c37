-- The catalogue of a collection. Paths are bytes as the file system gave them: relative to the folder that the
-- collection lies in, or absolute.
CREATE TABLE folders (
    path BLOB PRIMARY KEY                    -- scanned at least once
) WITHOUT ROWID;

CREATE TABLE contents (                      -- one row for all files with the same bytes
    id     INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    width  INTEGER NOT NULL,                 -- upright, in pixels
    height INTEGER NOT NULL,
    taken  TEXT                              -- EXIF date, YYYY-MM-DDTHH:MM:SS
);

CREATE TABLE files (
    path       BLOB PRIMARY KEY,
    size       INTEGER NOT NULL,             -- bytes
    mtime_ns   INTEGER NOT NULL,
    content_id INTEGER REFERENCES contents,  -- NULL: the file could not be read ...
    reason     TEXT                          -- ... and why
) WITHOUT ROWID;
CREATE INDEX files_of_content ON files (content_id);

CREATE TABLE models (
    id          INTEGER PRIMARY KEY,         -- in the order of their coming
    name        TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    card        TEXT NOT NULL,               -- JSON
    dim         INTEGER NOT NULL,
    rows        INTEGER NOT NULL DEFAULT 0,  -- committed rows of the vector file
    file        TEXT NOT NULL                -- its name below vectors/: a new name for each generation
);

CREATE TABLE vectors (                       -- which row of the model's file is whose
    model_id   INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    content_id INTEGER NOT NULL REFERENCES contents,
    row        INTEGER NOT NULL,
    PRIMARY KEY (model_id, content_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX content_of_row ON vectors (model_id, row);
CREATE INDEX vectors_of_content ON vectors (content_id);

CREATE TABLE dead (                          -- rows whose picture has gone, until the file is written anew
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    row      INTEGER NOT NULL,
    PRIMARY KEY (model_id, row)
) WITHOUT ROWID;

CREATE TABLE local_features (                -- what is kept of every picture, in a file of its own
    method    TEXT PRIMARY KEY,
    keypoints INTEGER NOT NULL               -- of a picture, at most
) WITHOUT ROWID;
