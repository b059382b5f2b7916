"""The cheapest OPC UA server there can be, to measure clients with: `python -m simulators.servers.cheap_opcua`.

`--ports` endpoints without security, each with `--nodes` Double nodes `ns=1;i=1` to `i=<nodes>` of the namespace
urn:pswd-edge:cheap, which count their answers. Sessions, Read and what a client asks at the start; no Write, no
subscriptions, no limits. An answer is one struct packed: 50 nodes take 20 microseconds.
"""

import argparse
import asyncio
import struct
import time
from typing import Any, cast

import uvloop
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

URI = "urn:pswd-edge:cheap"
NONE = "http://opcfoundation.org/UA/SecurityPolicy#None"
LIFETIME_MS = 3_600_000
_HEAD = struct.Struct("<4sIIIII")
_ANSWER = struct.Struct("<BBHqIIBiBBB")
_EPOCH_S = 11_644_473_600
OPEN, CREATE, ACTIVATE, CLOSE, READ, FAULT = 446, 461, 467, 473, 631, 397
REQUESTS = {
    CREATE: ua.CreateSessionRequest, ACTIVATE: ua.ActivateSessionRequest, READ: ua.ReadRequest,
}  # fmt: skip
_AUDIT_AT = 24  # in a request with a token of four bytes: type 4, token 4, time 8, handle 4, diagnostics 4


def ticks() -> int:
    """Now, in 100 ns since 1601."""
    return int((time.time() + _EPOCH_S) * 1e7)


def head(kind: int, handle: int, status: int = 0) -> bytes:
    """A response header without diagnostics."""
    return _ANSWER.pack(1, 0, kind, ticks(), handle, status, 0, -1, 0, 0, 0)


class CheapLink(asyncio.Protocol):
    """One client. `answer` may be overridden to misbehave."""

    def __init__(self, nodes: int, lifetime_ms: int = LIFETIME_MS) -> None:
        self.nodes = nodes
        self.lifetime_ms = lifetime_ms
        self.count = 0
        self.sequence = 0
        self.token = 1
        self._buffer = b""
        self._shapes: dict[bytes, struct.Struct] = {}
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer whole messages, keep the rest."""
        data = self._buffer + data
        at = 0
        while len(data) - at >= 8:
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if size < 8:
                self.transport.abort()
                return
            if len(data) - at < size:
                break
            self.message(data[at : at + size])
            at += size
        self._buffer = data[at:]

    def message(self, frame: bytes) -> None:
        """One chunk, which is a whole message."""
        match frame[:3]:
            case b"HEL":
                self.transport.write(b"ACKF" + struct.pack("<IIIIII", 28, 0, 65535, 65535, 0, 0))
            case b"OPN":
                self.open(frame)
            case b"MSG":
                request = frame[_HEAD.size :]
                number = int.from_bytes(frame[20:24], "little")
                kind, handle = struct.unpack_from("<2xH12xI", request)
                self.answer(kind, handle, number, request)
            case _:
                self.transport.close()

    def open(self, frame: bytes) -> None:
        """A channel without security; each renewal has a token of its own."""
        at = 12
        for _ in range(3):
            at += 4 + max(0, int.from_bytes(frame[at : at + 4], "little", signed=True))
        number, body = int.from_bytes(frame[at + 4 : at + 8], "little"), frame[at + 8 :]
        handle = int.from_bytes(body[14:18], "little")  # the token of an OpenSecureChannel request is null
        self.token += 1
        answer = head(449, handle) + struct.pack("<IIIqIi", 0, 7, self.token, ticks(), self.lifetime_ms, -1)
        security = struct.pack("<I", len(NONE)) + NONE.encode() + struct.pack("<ii", -1, -1)
        self.sequence += 1
        size = 12 + len(security) + 8 + len(answer)
        lead = struct.pack("<4sII", b"OPNF", size, 7)
        self.transport.write(lead + security + struct.pack("<II", self.sequence, number) + answer)

    def send(self, number: int, body: bytes) -> None:
        """Send a response in one chunk."""
        self.sequence += 1
        self.transport.write(_HEAD.pack(b"MSGF", _HEAD.size + len(body), 7, self.token, self.sequence, number) + body)

    def answer(self, kind: int, handle: int, number: int, request: bytes) -> None:
        """Answer one request."""
        if kind == READ:
            self.send(number, head(634, handle) + self.read(request))
        elif kind == CREATE:
            self.send(number, self.encoded(self.session(), handle))
        elif kind == ACTIVATE:
            self.send(number, self.encoded(ua.ActivateSessionResponse(), handle))
        elif kind == CLOSE:
            self.send(number, self.encoded(ua.CloseSessionResponse(), handle))
        else:
            self.send(number, head(FAULT, handle, 0x800B_0000))  # BadServiceUnsupported

    @staticmethod
    def encoded(response: Any, handle: int) -> bytes:
        """A response by asyncua."""
        response.ResponseHeader.RequestHandle = handle
        return struct_to_binary(response)

    def session(self) -> ua.CreateSessionResponse:
        """The answer to CreateSession: anybody may come in."""
        endpoint = ua.EndpointDescription(SecurityMode=ua.MessageSecurityMode.None_, SecurityPolicyUri=ua.String(NONE))
        endpoint.EndpointUrl = ua.String("opc.tcp://127.0.0.1")
        endpoint.UserIdentityTokens = [ua.UserTokenPolicy(PolicyId=ua.String("anonymous"))]
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = ua.NodeId(ua.Int32(300), ua.Int16(1))
        response.Parameters.AuthenticationToken = ua.FourByteNodeId(ua.Int32(301), ua.Int16(0))
        response.Parameters.RevisedSessionTimeout = ua.Double(60_000.0)
        response.Parameters.ServerNonce = ua.ByteString(bytes(32))
        response.Parameters.ServerEndpoints = [endpoint]
        return response

    def read(self, request: bytes) -> bytes:
        """The body of a Read's answer; what was asked before is answered from the same shape."""
        audit = int.from_bytes(request[_AUDIT_AT : _AUDIT_AT + 4], "little", signed=True)
        asked = request[_AUDIT_AT + 4 + max(0, audit) :]
        shape = self._shapes.get(asked)
        if shape is None:
            nodes = [n.NodeId for n in struct_from_binary(ua.ReadRequest, Buffer(request)).Parameters.NodesToRead]
            if any(not self.known(n) for n in nodes):
                results = [self.other(n) for n in nodes]
                return struct_to_binary(ua.ReadResponse(Results=results))[_ANSWER.size :]
            shape = self._shapes[asked] = struct.Struct("<i" + "BBdq" * len(nodes) + "i")
        self.count += 1
        value = (5, 11, float(self.count), ticks())
        return shape.pack((shape.size - 8) // 18, *(value * ((shape.size - 8) // 18)), -1)

    def known(self, node: ua.NodeId) -> bool:
        """Whether it is one of our Doubles."""
        number = node.Identifier
        return bool(node.NamespaceIndex == 1 and isinstance(number, int) and 1 <= number <= self.nodes)

    def other(self, node: ua.NodeId) -> ua.DataValue:
        """The namespaces, a Double, or nothing."""
        if self.known(node):
            return ua.DataValue(ua.Variant(float(self.count), ua.VariantType.Double))
        if (node.NamespaceIndex, node.Identifier) == (0, 2255):
            return ua.DataValue(ua.Variant(["http://opcfoundation.org/UA/", URI], ua.VariantType.String))
        return ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(0x8034_0000)))  # BadNodeIdUnknown


async def serve(ports: int, nodes: int) -> None:
    """Listen on free loopback ports until cancelled; prints one line when it does."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: CheapLink(nodes), "127.0.0.1", 0) for _ in range(ports)]
    numbers = ",".join(str(s.sockets[0].getsockname()[1]) for s in servers)
    print(f"ready ports={numbers}", flush=True)  # noqa: T201 - its parent waits for it
    await loop.create_future()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="cheapest possible OPC UA servers")
    parser.add_argument("--ports", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=50)
    options = parser.parse_args()
    uvloop.run(serve(options.ports, options.nodes))


if __name__ == "__main__":
    main()
