"""One SQLite file with what must survive a restart.

Several gateways may share a file: each statement is one transaction, and whoever wrote last is
believed. The file is opened for each use, which is once in many seconds: nothing has to be closed,
and a file that was moved away is no trouble.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import trio

from forebay.actors.stores.learned import LearnedState, LearnedStore, StoreUnavailable

_LEARNED: Final = "learned"
_LISTINGS: Final = "listings"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS {} (
    provider TEXT PRIMARY KEY,
    saved_at REAL NOT NULL,
    state BLOB NOT NULL
)
"""
_VERSION: Final = 2
"""1 had no listings."""
_LOCKED_SECONDS: Final = 2.0

ResultT = TypeVar("ResultT")


class SqliteLearnedStore(LearnedStore):
    """Keeps learned state in a file, which is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def load(self) -> Mapping[str, LearnedState]:
        return await self._in_thread(lambda: self._read(_LEARNED))

    async def save(self, states: Mapping[str, LearnedState]) -> None:
        await self._in_thread(lambda: self._write(_LEARNED, states))

    async def load_listings(self) -> Mapping[str, LearnedState]:
        return await self._in_thread(lambda: self._read(_LISTINGS))

    async def save_listings(self, states: Mapping[str, LearnedState]) -> None:
        await self._in_thread(lambda: self._write(_LISTINGS, states))

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        try:
            return await trio.to_thread.run_sync(work, limiter=self._one_at_a_time)
        except (sqlite3.Error, OSError) as fault:
            raise StoreUnavailable(f"{self._path}: {fault}") from fault

    def _read(self, table: str) -> dict[str, LearnedState]:
        if not self._path.exists():
            return {}  # To look must not make it.
        with self._opened() as database:
            rows = database.execute(f"SELECT provider, state, saved_at FROM {table}")
            return {name: LearnedState(bytes(text), saved_at) for name, text, saved_at in rows}

    def _write(self, table: str, states: Mapping[str, LearnedState]) -> None:
        with self._opened() as database, database:
            database.executemany(
                f"INSERT OR REPLACE INTO {table} (provider, saved_at, state) VALUES (?, ?, ?)",
                [(name, state.saved_at, state.text) for name, state in states.items()],
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=_LOCKED_SECONDS)
        try:
            [version] = database.execute("PRAGMA user_version").fetchone()
            if not 0 <= version <= _VERSION:
                raise sqlite3.DatabaseError(
                    f"was written by another version of Forebay (format {version}, not {_VERSION})"
                )
            if version < _VERSION:
                with database:
                    for table in (_LEARNED, _LISTINGS):
                        database.execute(_TABLE.format(table))
                    database.execute(f"PRAGMA user_version = {_VERSION}")
            yield database
        finally:
            database.close()
