"""The connection below a session: asyncua's, but for what has to be fast or bounded.

asyncua keeps as many bytes as a server claims to send, and takes each message apart into objects. Here a message in
one unsecured chunk, which nearly all are, goes straight to whoever asked; everything else (opening, security, chunks,
renewed tokens, errors) is left to asyncua. Uses `UASocketProtocol`, `SecureConnection` and `UaClient` of asyncua 2.1
below their public face; `requirements.lock` pins it.
"""

import asyncio
import struct
import time
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicy
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary, uatcp_to_binary

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.opcua_answer import check_head

FRAME_MAX = 65_535            # bytes of one chunk, as we tell the server
MESSAGE_MAX = 4 << 20         # bytes of one message, as we tell the server
OUTSTANDING_MAX = 100         # requests without an answer; each costs a few hundred bytes until the session ends
_HEAD = struct.Struct("<4sIIIII")
_CHANGING = struct.Struct("<qI")  # time stamp and handle of a request header
_LENGTH = struct.Struct("<I").unpack_from
_EPOCH_S = 11_644_473_600     # 1970 since 1601


class Prepared:
    """An encoded request, made once and sent often: only its time stamp and handle change."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, request: Any, token: ua.NodeId) -> None:
        request.RequestHeader.AuthenticationToken = token
        self._at = len(nodeid_to_binary(request.TypeId)) + len(nodeid_to_binary(token))
        self._bytes = bytearray(struct_to_binary(request))

    def body(self, handle: int) -> bytes:
        """The request as it is sent now."""
        _CHANGING.pack_into(self._bytes, self._at, int((time.time() + _EPOCH_S) * 1e7), handle)
        return bytes(self._bytes)


class _Forward(Buffer):
    """asyncua's buffer, but a negative length cannot lead back in it: that would be read for ever."""

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0:
            raise DecodeError(f"a text of {size} bytes")
        return super().read(size)

    def copy(self, size: int = -1) -> "_Forward":
        """The same bytes again."""
        return _Forward(self._data, self._cur_pos, self._size if size < 0 else min(size, self._size))


class Link(UASocketProtocol):
    """One TCP connection. Answers to `ask` are bytes; asyncua's own requests are answered as ever."""

    def __init__(self, timeout_s: float, policy: SecurityPolicy) -> None:
        super().__init__(timeout_s, policy, TransportLimits(FRAME_MAX, FRAME_MAX, 0, MESSAGE_MAX))
        self._plain = policy.Mode == ua.MessageSecurityMode.None_
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._rest = b""
        self.failure: Exception | None = None

    def ask(self, prepared: Prepared) -> tuple[int, asyncio.Future[bytes]]:
        """Send a request; its handle, and the body of its answer to come.

        Raises ConnectionError where there is no connection, or too many requests are without an answer already.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionError(f"connection closed ({self.failure or 'by the other end'})")
        if len(self._asked) >= OUTSTANDING_MAX:
            raise ConnectionError(f"{OUTSTANDING_MAX} requests without an answer")
        self._request_handle = handle = self._request_handle % 0xFFFF_FFFF + 1
        self._request_id = number = self._request_id + 1
        self.revolve_security_token()
        transport.write(self._framed(prepared.body(handle), number))
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        return handle, future

    def _framed(self, body: bytes, number: int) -> bytes:
        connection = self._connection
        size = _HEAD.size + len(body)
        limit = connection._limits.max_send_buffer  # noqa: SLF001
        if not self._plain or size > limit or connection._sequence_number >= 0xFFFF_0000:  # noqa: SLF001
            return connection.message_to_binary(body, request_id=number)
        connection._sequence_number += 1  # noqa: SLF001
        token = connection.security_token
        return _HEAD.pack(b"MSGF", size, token.ChannelId, token.TokenId,
                          connection._sequence_number, number) + body  # noqa: SLF001

    async def send_hello(self, url: str, max_messagesize: int = 0, max_chunkcount: int = 0) -> ua.Acknowledge:
        """As asyncua's, but says what we are ready to receive."""
        frame, message = ua.UInt32(FRAME_MAX), ua.UInt32(max_messagesize or MESSAGE_MAX)
        hello = ua.Hello(ua.UInt32(0), frame, frame, message, ua.UInt32(max_chunkcount), ua.String(url))
        if self.transport is None:
            raise ConnectionError("connection closed")
        acknowledged: asyncio.Future[ua.Acknowledge] = asyncio.get_running_loop().create_future()
        self._callbackmap[0] = acknowledged
        self.transport.write(uatcp_to_binary(ua.MessageType.Hello, hello))  # type: ignore[arg-type]
        return await acknowledged

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came. They are cut into chunks of bounded size."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 8:
            size: int = _LENGTH(data, at + 4)[0]
            if not 8 <= size <= FRAME_MAX:
                self._give_up(ConnectionError(f"a chunk of {size} bytes, expected {FRAME_MAX} at most"))
                return
            if end - at < size:
                break
            self._take(data[at : at + size])
            if self.transport is None or self.transport.is_closing():
                return
            at += size
        self._rest = data[at:]

    def _take(self, frame: bytes) -> None:
        connection = self._connection
        if self._plain and len(frame) >= _HEAD.size:
            kind, _, channel, token, sequence, number = _HEAD.unpack_from(frame)
            future = self._asked.get(number)
            if (
                kind == b"MSGF" and future is not None and not connection._incoming_parts  # noqa: SLF001
                and channel == connection.security_token.ChannelId and token == connection.security_token.TokenId
                and sequence - 1 == connection._peer_sequence_number  # noqa: SLF001
            ):  # fmt: skip
                connection._peer_sequence_number = sequence  # noqa: SLF001
                del self._asked[number]
                if not future.done():
                    future.set_result(frame[_HEAD.size :])
                return
        self._process_received_data(frame)
        if self.receive_buffer is not None:  # its length field and its header do not agree
            self._give_up(ConnectionError("a chunk that is no chunk"))
        elif connection._incoming_size > MESSAGE_MAX or len(connection._incoming_parts) > MESSAGE_MAX // 1024:  # noqa: SLF001
            self._give_up(ConnectionError(f"a message of more than {MESSAGE_MAX} bytes"))

    def _call_callback(self, request_id: int, body: Buffer | ua.Acknowledge) -> None:
        """Asyncua: a whole message came."""
        future = self._asked.pop(request_id, None)
        content = bytes(body) if isinstance(body, Buffer) else b""
        if future is None:
            if content:
                check_head(content)
                body = _Forward(content)
            super()._call_callback(request_id, body)
        elif not future.done():
            future.set_result(content)

    def _give_up(self, why: Exception) -> None:
        self.failure = why
        self._rest = b""
        self._fail_all_pending(why)
        if self.transport is not None:
            self.transport.abort()

    def _fail_all_pending(self, exc: Exception) -> None:
        """Asyncua: nobody will be answered any more. Whoever waits hears of it; nobody need."""
        self.failure = self.failure or exc
        asked, self._asked = self._asked, {}
        for future in (*asked.values(), *self._callbackmap.values()):
            if not future.done():
                future.set_exception(exc)
                future.exception()  # so that asyncio does not complain where nobody waits
        self._callbackmap.clear()


class LinkClient(UaClient):
    """asyncua's lower client with our `Link`."""

    def _make_protocol(self) -> UASocketProtocol:
        self.protocol = Link(self._timeout, self.security_policy)
        self.protocol.on_connection_lost = self._on_transport_lost
        self.protocol.is_session_closing = self._is_session_closing
        return self.protocol
