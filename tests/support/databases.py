"""Databases of tests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import pytest
from django.apps import apps
from django.db import connection
from django.db.backends.sqlite3.creation import DatabaseCreation


@contextmanager
def migrated_once(folder: Path) -> Iterator[None]:
    """Let databases of SQLite begin as copies of one that was migrated, until a migration changes.

    `migrate` runs on the copies too, and finds nothing to do.
    """
    kept = folder / f"{_digest_of_migrations()}.sqlite3"
    create_file, create = DatabaseCreation._create_test_db, DatabaseCreation.create_test_db

    def create_copy(self: DatabaseCreation, *args: Any, **options: Any) -> str:
        name: str = create_file(self, *args, **options)
        for rest in ("-wal", "-shm"):  # of a run that was killed; they would be applied to the new file
            Path(f"{name}{rest}").unlink(missing_ok=True)
        if kept.exists() and not self.is_in_memory_db(name):
            shutil.copyfile(kept, name)
        return name

    def create_and_keep(self: DatabaseCreation, *args: Any, **options: Any) -> str:
        name: str = create(self, *args, **options)
        if not kept.exists() and not self.is_in_memory_db(name):
            made = kept.with_suffix(f".{os.getpid()}")
            with self.connection.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [str(made)])
            made.replace(kept)
        return name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseCreation, "_create_test_db", create_copy)
        patch.setattr(DatabaseCreation, "create_test_db", create_and_keep)
        yield


@contextmanager
def emptied_by_deleting() -> Iterator[None]:
    """Let PostgreSQL delete the rows that a test left: TRUNCATE makes a file for each table and index, and syncs it."""
    operations = type(connection.ops)
    truncate = operations.sql_flush

    def delete(self: Any, style: Any, tables: list[str], **options: Any) -> list[str]:
        if any(options.values()):  # a restart of sequences is asked for, or a cascade
            return list(truncate(self, style, tables, **options))
        return ["".join(f"DELETE FROM {self.quote_name(table)};" for table in tables)]

    with pytest.MonkeyPatch.context() as patch:
        if connection.vendor == "postgresql":
            patch.setattr(operations, "sql_flush", delete)
        yield


def _digest_of_migrations() -> str:
    digest = hashlib.sha256(django.__version__.encode())
    for app in sorted(apps.get_app_configs(), key=lambda app: app.label):
        for path in sorted(Path(app.path).glob("migrations/*.py")):
            digest.update(f"{app.label} {path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
