"""The tables are public surface: a released migration never changes, and each leads to the next."""

import hashlib
import sqlite3
from pathlib import Path

from camguard.store import VERSION, Store
from camguard.store.schema import MIGRATIONS

#: Of the text of each migration, blanks aside. A new version adds a line and changes none.
RELEASED = (
    "0f0594f4b27a3954",
    "b334f3243c99bb01",
    "8b92ce268494a6d4",
    "d7b7247c44e4145a",
    "d3cb9413aab6a37a",
    "e35c4f9e677d89da",
    "36731ea20d7b2127",
)


def test_released_migrations_are_unchanged() -> None:
    found = tuple(hashlib.sha256("".join(text.split()).encode()).hexdigest()[:16] for text in MIGRATIONS)
    assert found == RELEASED


def test_the_file_says_its_version(tmp_path: Path) -> None:
    Store.open(tmp_path / "guard.db").close()
    db = sqlite3.connect(tmp_path / "guard.db")
    assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    db.close()
