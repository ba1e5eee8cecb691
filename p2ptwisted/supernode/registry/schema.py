"""The tables of the registry's database, and how an id is stored in them."""

from p2ptwisted.support.sqlite import Database

#: Leaf pages of the name index merged at a time, after each slice that was written. If SQLite
#: merges by itself it does many at once: up to 97 ms, where a slice takes 5.
MERGE_PAGES = 16

#: Segments from which on a level of the name index is merged.
MERGE_FROM = 8

#: Segments of one level at which SQLite would merge by itself, all at once.
CRISIS_MERGE = 1_000

#: Added to a holding's `partial` where its address has many older nodes (round_robin.SHARE_MAX):
#: it is found after all others, so that thousands of ports of one address cost a look-up no more
#: than a few would, and hide no other holders.
SPARE = 2

#: Added to `partial` in the rows of a resource's other names at its node: they are found by name,
#: but its holders are those of the row without it, each of them once.
OTHER_NAME = 4

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS nodes (
    node INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, not even after a removal
    location TEXT UNIQUE,                   -- NULL: removed, its holdings not yet deleted
    name TEXT NOT NULL,
    normal TEXT NOT NULL,                   -- the name in the form in which names are compared
    seen INTEGER NOT NULL,                  -- a counter: the higher, the more recently seen
    held INTEGER NOT NULL                   -- so many holdings it has, at the most
);
CREATE TABLE IF NOT EXISTS holdings (
    holding INTEGER PRIMARY KEY,
    node INTEGER NOT NULL,
    id NOT NULL,                            -- a BLOB of 32 bytes for a SHA-256, else TEXT
    name TEXT NOT NULL,
    normal TEXT,                            -- as above, if that is not the name itself
    size INTEGER,
    partial INTEGER NOT NULL                -- 1: the node has only some of its pieces; and SPARE,
                                            -- OTHER_NAME
);
CREATE INDEX IF NOT EXISTS holdings_by_id ON holdings (id, partial);
CREATE INDEX IF NOT EXISTS holdings_by_node ON holdings (node);
CREATE VIRTUAL TABLE IF NOT EXISTS names USING fts5 (
    normal, content='', tokenize='trigram'
);
CREATE TRIGGER IF NOT EXISTS name_added AFTER INSERT ON holdings BEGIN
    INSERT INTO names (rowid, normal) VALUES (new.holding, coalesce(new.normal, new.name));
END;
CREATE TRIGGER IF NOT EXISTS name_removed AFTER DELETE ON holdings BEGIN
    INSERT INTO names (names, rowid, normal)
    VALUES ('delete', old.holding, coalesce(old.normal, old.name));
END;
-- A new file's nodes have other numbers than a lost one's, which may still be written about.
INSERT INTO sqlite_sequence (name, seq) SELECT 'nodes', abs(random() % 16000000)
    WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'nodes');
INSERT INTO names (names, rank) VALUES ('automerge', 0);
INSERT INTO names (names, rank) VALUES ('usermerge', {MERGE_FROM});
INSERT INTO names (names, rank) VALUES ('crisismerge', {CRISIS_MERGE});
"""  # nosec B608  # two numbers of this module's

Key = bytes | str


def key_of(id: str) -> Key:
    """Returns what a canonical id is stored as: for a SHA-256 its 32 bytes, half the size."""
    if len(id) == 64:
        try:
            return bytes.fromhex(id)
        except ValueError:
            pass  # Another token of that length.
    return id


def id_of(key: Key) -> str:
    """Returns the canonical id that is stored as `key`."""
    return key.hex() if isinstance(key, bytes) else key


def range_of(host: str) -> tuple[str, str]:
    """Returns two strings between which all locations at that address sort."""
    # A colon comes after all digits, and before a semicolon.
    return f"{host}:", f"{host};"


def merge_names(database: Database) -> None:
    """Merge a few pages of the name index, so that its segments stay few."""
    database.change("INSERT INTO names (names, rank) VALUES ('merge', ?)", (MERGE_PAGES,))
