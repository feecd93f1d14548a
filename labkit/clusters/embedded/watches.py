"""Watches: the changes of a resource, from a revision on, as a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.requests import Target, flag, wants_table
from labkit.clusters.embedded.store import Change, Stored, TooOld
from labkit.clusters.embedded.tables import table

BOOKMARK_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
Test = Callable[[Stored], bool]


class Watch:
    """One client's watch.

    Args:
        api: The cluster's objects.
        target: What is watched.
        fits: Which of its objects are meant.
        request: The client's request.
    """

    def __init__(self, api: Api, target: Target, fits: Test, request: web.Request) -> None:
        self.api, self.target, self.fits, self.request = api, target, fits, request
        self.table = wants_table(request)
        self._first = True
        self._queue: asyncio.Queue[Change] = asyncio.Queue()

    async def serve(self) -> web.StreamResponse:
        """Send events until the client goes or the time is over.

        Raises:
            ApiError: It begins at a revision that is no longer remembered.
        """
        query = self.request.query
        asked = query.get("resourceVersion", "")
        initial = flag(self.request, "sendInitialEvents")
        try:
            begin = int(asked or 0)
        except ValueError:
            raise errors.bad_request(f'Invalid value: "{asked}": resourceVersion is not a number') from None
        key = self.target.resource.key
        if begin and not initial:
            try:
                waiting = self.api.store.changes(key, begin)
            except TooOld as old:
                raise errors.expired(begin, old.oldest) from None
        else:
            waiting = [
                Change("ADDED", key, stored, None)
                for stored in self.api.store.sorted(key)
                if self._meant(stored)
            ]
        marked = self.api.store.revision
        end = self.api.listen(self._note)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache"}
        )
        response.enable_chunked_encoding()
        try:
            await response.prepare(self.request)
            for change in waiting:
                await self._send(response, change)
            if initial:
                note = {"k8s.io/initial-events-end": "true"}
                await response.write(self._bookmark(marked, note))
            await self._follow(response, marked)
            await response.write_eof()
        except ConnectionResetError:
            pass
        finally:
            end()
        return response

    async def _follow(self, response: web.StreamResponse, marked: int) -> None:
        seconds = min(float(self.request.query.get("timeoutSeconds") or LONGEST_SECONDS), LONGEST_SECONDS)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        bookmarks = flag(self.request, "allowWatchBookmarks")
        while (left := until - loop.time()) > 0:
            try:
                change = await asyncio.wait_for(self._queue.get(), min(left, BOOKMARK_SECONDS))
            except TimeoutError:
                if bookmarks:
                    await response.write(self._bookmark(self.api.store.revision))
                continue
            if change.now.revision > marked:
                await self._send(response, change)

    def _note(self, change: Change) -> None:
        if change.resource == self.target.resource.key:
            self._queue.put_nowait(change)

    def _meant(self, stored: Stored) -> bool:
        namespace = self.target.namespace
        if namespace is not None and stored.object["metadata"].get("namespace") != namespace:
            return False
        return self.fits(stored)

    async def _send(self, response: web.StreamResponse, change: Change) -> None:
        now = change.kind != "DELETED" and self._meant(change.now)
        before = (
            self._meant(change.before)
            if change.before
            else change.kind == "DELETED" and self._meant(change.now)
        )
        if now:
            kind = "MODIFIED" if before else "ADDED"
        elif before:
            kind = "DELETED"
        else:
            return
        data = change.now.data
        if self.table:
            version = {"resourceVersion": str(change.now.revision)}
            shown = table(
                self.target.resource,
                [change.now.object],
                version,
                self.request.query.get("includeObject", "Metadata"),
            )
            if not self._first:
                shown["columnDefinitions"] = None
            self._first = False
            data = orjson.dumps(shown)
        with contextlib.suppress(ConnectionResetError):
            await response.write(b'{"type":"' + kind.encode() + b'","object":' + data + b"}\n")

    def _bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        resource = self.target.resource
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        thing: dict[str, Any] = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": metadata,
        }
        if self.table:
            thing = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "columnDefinitions": None,
                "rows": [],
            }
        return orjson.dumps({"type": "BOOKMARK", "object": thing}) + b"\n"
