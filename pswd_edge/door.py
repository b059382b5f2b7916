"""The door: a Unix socket that takes typed requests into the control process, both ends.

A frame is a length (u32, little-endian) and that many bytes of MessagePack: a `Request` or a `Look` on the way in, an
`Outcome` or what was `Looked` at on the way out, in order. The socket a peer came through caps its authority: the
gateway's socket reaches `Level.API`, the operator's socket (another file, other permissions) `Level.OPERATOR`. The
kernel tells the peer's uid (SO_PEERCRED); where `uids` is given, nobody else is heard.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from pswd_edge.errors import DoorError
from pswd_edge.model.command import Failed, Level, Outcome, Rejected, Request
from pswd_edge.model.look import LOOK_S, DoorAnswer, DoorRequest, Look, Looked

GATEWAY_SOCKET = "door.sock"
OPERATOR_SOCKET = "operator.sock"
FRAME_BYTES_MAX = 64 * 1024
_LENGTH = struct.Struct("<I")
_CREDENTIALS = struct.Struct("3i")
_PEERS_MAX = 64
_FRAME_S = 5.0                # for the rest of a frame whose first byte has come: half frames must not keep a place
_REASON_MAX = 500
_log = structlog.get_logger("door")


class Peer(NamedTuple):
    """Who asks: process, user and group as the kernel says, and the highest authority that its socket gives."""

    pid: int
    uid: int
    gid: int
    authority: Level


Handler = Callable[[DoorRequest, Peer], Awaitable[DoorAnswer]]


class DoorServer:
    """One listening socket. The handler decides; this end only frames, types and bounds."""

    def __init__(self, path: Path, authority: Level, handler: Handler, uids: frozenset[int] | None = None,
                 mode: int = 0o660) -> None:
        self._path, self._authority, self._handler, self._uids, self._mode = path, authority, handler, uids, mode
        self._decoder = msgspec.msgpack.Decoder(DoorRequest)
        self._encoder = msgspec.msgpack.Encoder()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; a socket file left by a dead process is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=FRAME_BYTES_MAX)
        self._path.chmod(self._mode)

    async def close(self) -> None:
        """Stop listening and hang up on everybody; requests under way are dropped unanswered."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for writer in self._open:
            writer.transport.abort()

    def _peer(self, writer: asyncio.StreamWriter) -> Peer | None:
        found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(found)
        if (self._uids is not None and uid not in self._uids) or len(self._open) >= _PEERS_MAX:
            return None
        return Peer(pid, uid, gid, self._authority)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = self._peer(writer)
            if peer is not None:
                self._open.add(writer)
                await self._converse(reader, writer, peer)
        except (OSError, DoorError):  # the peer went away, or sent a frame that is none: nobody to tell
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
        while (frame := await _read_frame(reader, _FRAME_S)) is not None:
            outcome = await self._answer(frame, peer)
            writer.write(_framed(self._encoder.encode(outcome)))
            async with asyncio.timeout(_FRAME_S):  # a peer that asks and never reads must not keep its place either
                await writer.drain()

    async def _answer(self, frame: bytes, peer: Peer) -> DoorAnswer:
        try:
            request = self._decoder.decode(frame)
        except msgspec.MsgspecError as error:
            return Rejected(id="", code="malformed",
                            reason=f"door: {str(error)[:_REASON_MAX]}; send a request of model/command.py")
        try:
            return await self._handler(request, peer)
        except Exception as error:  # noqa: BLE001  # our own defect, met by one request: control is not dead for it
            _log.exception("door: the handler failed", kind=type(request).__name__, uid=peer.uid)
            return Failed(id=request.id, code="internal", reason=f"control failed on it ({type(error).__name__}); it "
                          "may have been taken: ask again with the same id, and report it")


class DoorClient:
    """Ask control. One connection, made when first needed and again after it broke; requests wait their turn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = msgspec.msgpack.Decoder(DoorAnswer)
        self._encoder = msgspec.msgpack.Encoder()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, request: Request, timeout_s: float = 2.0) -> Outcome:
        """Send a request and return its outcome.

        Raises:
            DoorError: no answer in `timeout_s` (waiting for a turn included) or no control process. The request may
                have been taken: ask again with the same id to learn its outcome.
        """
        outcome = await self._asked(request, timeout_s)
        if isinstance(outcome, Looked):
            raise DoorError(f"{self._path}: got the answer to a look: expected an outcome; ask again with the same id")
        return outcome

    async def look(self, look: Look, timeout_s: float = 2 * LOOK_S) -> Looked | Rejected | Failed:
        """Look at devices (operator's socket only). Raises DoorError as `ask`."""
        found = await self._asked(look, timeout_s)
        if not isinstance(found, Looked | Rejected | Failed):
            raise DoorError(f"{self._path}: got {type(found).__name__}: expected what was found; look again")
        return found

    async def _asked(self, request: DoorRequest, timeout_s: float) -> DoorAnswer:
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                return await self._exchange(request)
        except (OSError, DoorError, msgspec.MsgspecError) as error:  # TimeoutError is an OSError
            raise DoorError(f"{self._path}: no answer from control ({str(error) or type(error).__name__})") from error

    async def _exchange(self, request: DoorRequest) -> DoorAnswer:
        try:
            reader, writer = self._living() or await self._connect()
            writer.write(_framed(self._encoder.encode(request)))
            await writer.drain()
            outcome: DoorAnswer = self._decoder.decode(await _answer_frame(reader))
        except BaseException:
            self.close()  # an answer still on its way must not be taken for the next request's
            raise
        return outcome

    def _living(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The open connection; None where there is none, or where the other end has closed it since."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        return self._streams

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_unix_connection(str(self._path), limit=FRAME_BYTES_MAX)
        return self._streams

    def close(self) -> None:
        """Drop the connection; the next `ask` makes a new one."""
        if self._streams is not None:
            with contextlib.suppress(OSError):
                self._streams[1].close()
            self._streams = None


def _framed(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


async def _answer_frame(reader: asyncio.StreamReader) -> bytes:
    frame = await _read_frame(reader)
    if frame is None:
        raise DoorError("closed before it answered; ask again with the same id")
    return frame


async def _read_frame(reader: asyncio.StreamReader, rest_s: float | None = None) -> bytes | None:
    """The next frame's payload, or None at the end of the stream.

    Raises DoorError where its length is out of bounds, TimeoutError where it is not whole `rest_s` after its first
    byte (None: no limit).
    """
    try:
        first = await reader.readexactly(1)
        async with asyncio.timeout(rest_s):
            (length,) = _LENGTH.unpack(first + await reader.readexactly(_LENGTH.size - 1))
            if length > FRAME_BYTES_MAX:
                raise DoorError(f"door: got a frame of {length} bytes: expected at most {FRAME_BYTES_MAX}; closing")
            return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        return None
