-- What adopting a database of the older system could not keep in its place, and what was found
-- wrong with its rows. No foreign keys: most of these notes are about rows that are not there.
-- fingerprint sqlite: 34deb5635ddbe48562bc64390dd49cc24ac31dfbe8bea6805b9c395ef38253cf
-- compatible: yes

CREATE TABLE adopted_leftovers (
    id INTEGER PRIMARY KEY,
    table_name TEXT NOT NULL,
    row_id INTEGER NOT NULL,
    column_name TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX idx_adopted_leftovers_row ON adopted_leftovers (table_name, row_id);

CREATE TABLE adopted_notes (
    id INTEGER PRIMARY KEY,
    kind VARCHAR(50) NOT NULL,
    table_name TEXT NOT NULL,
    row_id INTEGER,
    column_name TEXT,
    words TEXT NOT NULL,
    created_at DATETIME NOT NULL
);
CREATE INDEX idx_adopted_notes_row ON adopted_notes (table_name, row_id);
