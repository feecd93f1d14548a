"""Objects, their revisions and the log of changes: kept in SQLite, served from memory.

One process writes. Each change is one transaction, on disk before anybody is told of it, so that a process
killed at any moment has forgotten nothing that it ever answered.
"""

from __future__ import annotations

import builtins
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

LOG_LENGTH = 4096
"""How many changes of one resource are remembered for watches that begin in the past."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is kept; nobody changes it in place.

    Attributes:
        object: The object, its `metadata.resourceVersion` included.
        data: The same as JSON.
        revision: Its resourceVersion.
    """

    object: Object
    data: bytes
    revision: int

    def copy(self) -> Object:
        """The object, to be changed."""
        copied: Object = orjson.loads(self.data)
        return copied


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object.

    Attributes:
        kind: `ADDED`, `MODIFIED` or `DELETED`.
        resource: The key of its resource, `pods`.
        now: The object after it; for a deletion as it was last, under the deletion's own revision.
        before: The object before it, if there was one.
    """

    kind: str
    resource: str
    now: Stored
    before: Stored | None


class TooOld(Exception):
    """The changes that were asked for are no longer remembered.

    Attributes:
        oldest: The oldest revision that a watch may begin at.
    """

    def __init__(self, oldest: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest


class Store:
    """All objects of one cluster.

    Args:
        path: The database's file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None)
        for line in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, data BLOB,"
            " PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID",
        ):
            self._base.execute(line)
        self._objects: dict[str, dict[tuple[str, str], Stored]] = {}
        self._log: dict[str, deque[Change]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        found = self._base.execute("SELECT value FROM facts WHERE name = 'revision'").fetchone()
        self.revision: int = found[0] if found else 1
        self._first = self.revision
        for resource, namespace, name, data in self._base.execute("SELECT * FROM objects"):
            thing = orjson.loads(data)
            revision = int(thing["metadata"]["resourceVersion"])
            self._objects.setdefault(resource, {})[namespace, name] = Stored(thing, data, revision)

    def close(self) -> None:
        """Close the database; nothing may be written afterwards."""
        self._base.close()

    def get(self, resource: str, namespace: str, name: str) -> Stored | None:
        """One object."""
        return self._objects.get(resource, {}).get((namespace, name))

    def sorted(self, resource: str, namespace: str | None = None) -> Iterator[Stored]:
        """All objects of a resource, or those in a namespace, by namespace and name."""
        kept = self._objects.get(resource, {})
        for key in builtins.sorted(kept):
            if namespace is None or key[0] == namespace:
                yield kept[key]

    def each(self, resource: str) -> list[Stored]:
        """All objects of a resource in no order: cheaper than `sorted`."""
        return list(self._objects.get(resource, {}).values())

    def put(self, resource: str, namespace: str, name: str, thing: Object) -> Stored:
        """Keep an object, new or changed; it gets the next revision."""
        revision = self.revision + 1
        thing["metadata"]["resourceVersion"] = str(revision)
        data = orjson.dumps(thing)
        before = self.get(resource, namespace, name)
        self._write(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (resource, namespace, name, data), revision
        )
        stored = Stored(thing, data, revision)
        self._objects.setdefault(resource, {})[namespace, name] = stored
        self._tell(Change("MODIFIED" if before else "ADDED", resource, stored, before))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Stored:
        """Forget an object; gives it as it was, under the deletion's revision."""
        before = self._objects[resource][namespace, name]
        revision = self.revision + 1
        last = before.copy()
        last["metadata"]["resourceVersion"] = str(revision)
        self._write(
            "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
            (resource, namespace, name),
            revision,
        )
        del self._objects[resource][namespace, name]
        stored = Stored(last, orjson.dumps(last), revision)
        self._tell(Change("DELETED", resource, stored, before))
        return stored

    def changes(self, resource: str, after: int) -> list[Change]:
        """The changes of a resource since a revision.

        Raises:
            TooOld: They are no longer remembered.
        """
        log = self._log.get(resource)
        oldest = log[0].now.revision - 1 if log and len(log) == LOG_LENGTH else self._first
        if after < oldest:
            raise TooOld(oldest)
        return [change for change in log or () if change.now.revision > after]

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Be told of each change, in order, at once; gives what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _write(self, statement: str, values: tuple[object, ...], revision: int) -> None:
        self._base.execute("BEGIN")
        try:
            self._base.execute(statement, values)
            self._base.execute("INSERT OR REPLACE INTO facts VALUES ('revision', ?)", (revision,))
            self._base.execute("COMMIT")
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self.revision = revision

    def _tell(self, change: Change) -> None:
        self._log.setdefault(change.resource, deque(maxlen=LOG_LENGTH)).append(change)
        for listener in list(self._listeners):
            listener(change)
