"""Rows as a JSON answer: small ones at once, long ones in chunks, and of the longest only two at a time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from aiohttp import web

from pswd_edge.gateway.middleware import TIME_LIMIT
from pswd_edge.gateway.refusal import unavailable

LONGEST_AT_ONCE = 2
CHUNK_S = 10.0              # for a chunk: a client that takes nothing is cut
WHOLE_S = 120.0             # for all of them: a slow one must not hold a place for long
LONGEST_ROWS = 6000         # from here on an answer takes one of the two places
_WHOLE_ROWS = 1500          # up to here an answer leaves in one piece, about 1 MB with 12 circuits
_CHUNK_BYTES = 200_000      # some 0.2 ms of the event loop, in plain text


class LongAnswers:
    """Sends rows. A slow client holds references to rows that are kept anyway, and one chunk."""

    def __init__(self) -> None:
        self._running = 0

    @contextmanager
    def place(self, rows: int) -> Iterator[None]:
        """One of the places for as long as an answer of so many rows takes; 503 where none is free."""
        if rows < LONGEST_ROWS:
            yield
            return
        if self._running >= LONGEST_AT_ONCE:
            raise unavailable("BUSY", f"{LONGEST_AT_ONCE} answers of {LONGEST_ROWS} rows or more are being sent "
                              "already; ask again in 2 s, or for fewer rows")
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def send(self, request: web.Request, head: bytes, rows: list[bytes], tail: bytes) -> web.StreamResponse:
        """`head`, the rows with commas between them, `tail`; the length is known from the start.

        A client has `CHUNK_S` for each chunk and `WHOLE_S` in all: a slow line is served, one that takes nothing is
        cut. What is left of its connection is of no use: it is closed.
        """
        if len(rows) <= _WHOLE_ROWS:
            return web.Response(body=head + b",".join(rows) + tail, content_type="application/json")
        response = web.StreamResponse()
        response.content_type = "application/json"
        size = sum(map(len, rows)) + len(rows) - 1
        response.content_length = len(head) + size + len(tail)
        await response.prepare(request)
        loop, limit = asyncio.get_running_loop(), request[TIME_LIMIT]
        end_s = loop.time() + WHOLE_S
        try:
            await response.write(head)
            for chunk in _chunks(rows, max(1, _CHUNK_BYTES * len(rows) // size)):
                limit.reschedule(min(loop.time() + CHUNK_S, end_s))
                await response.write(chunk)
                await asyncio.sleep(0)      # a fast client never makes `write` wait: let the others in
            await response.write_eof(tail)
        except BaseException:
            if request.transport is not None:
                request.transport.abort()
            raise
        return response


def _chunks(rows: list[bytes], count: int) -> Iterator[bytes]:
    source, comma = iter(rows), b""
    while piece := list(islice(source, count)):
        yield comma + b",".join(piece)
        comma = b","
