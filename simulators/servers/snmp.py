"""SNMP: one agent per device on pysnmp's engine; v2c may read, v3 with privacy may also switch.

pysnmp spends some milliseconds of CPU on a message: poll these agents about once a second, as real ones.
"""

import asyncio
import socket
import time
from typing import Any, NamedTuple

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdrsp, context

from simulators.faults import DeviceFaults, Faults
from simulators.servers.face import Face
from simulators.servers.snmp_objects import Objects

# RFC 3411, SnmpEngineID: enterprise 20408 with the high bit set, format 4 (text)
_ENGINE_HEAD = b"\x80\x00\x4f\xb8\x04"

_BOOTS_FROM_S = 1_700_000_000


class SnmpAccess(NamedTuple):
    """Who may come in. `community` for v2c; `user` with both keys (8 characters or more) for v3; "" for neither."""

    community: str = ""
    user: str = ""
    auth_key: str = ""
    priv_key: str = ""


class SnmpServer:
    """The agent of one device. SHA-256 and AES-128; the engine id is the device's own, the same at every start.

    The fault `exception` is genErr, whatever its code; `garbage` answers with noise (frame) or with the answer to
    the request before (the others); `word_order` means nothing here.
    """

    def __init__(
        self, connection_id: str, face: Face, faults: Faults, access: SnmpAccess, *, host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.port = port
        self._host = host
        self._face = face
        self._access = access
        self._objects = Objects(face)
        self._states = (face.faults, faults.of(connection_id))
        self._faults = faults
        self._engine: Any = None

    async def start(self) -> None:
        """Make the engine and listen."""
        self._engine = engine = _engine(self._face.device.id)
        transport = _FaultyUdp(self._states, self._faults)
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.setblocking(False)
        listening.bind((self._host, self.port))
        self.port = listening.getsockname()[1]
        config.add_transport(engine, udp.DOMAIN_NAME, transport.open_server_mode(sock=listening))
        self._admit(engine)
        self._answer(engine)
        await transport.listening.wait()

    def _admit(self, engine: Any) -> None:
        access = self._access
        if access.community:
            config.add_v1_system(engine, "reader", access.community)
        if access.user:
            config.add_v3_user(
                engine, access.user, config.USM_AUTH_HMAC192_SHA256, access.auth_key,
                config.USM_PRIV_CFB128_AES, access.priv_key,
            )

    def _answer(self, engine: Any) -> None:
        known = context.SnmpContext(engine)
        known.unregister_context_name(b"")
        known.register_context_name(b"", self._objects)
        for responder in (
            cmdrsp.GetCommandResponder, cmdrsp.NextCommandResponder, cmdrsp.BulkCommandResponder,
            cmdrsp.SetCommandResponder,
        ):
            responder(engine, known)

    async def stop(self) -> None:
        """Close the port."""
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = None
            await asyncio.sleep(0)

    async def refresh(self, face: Face) -> None:  # noqa: ARG002 - Server has it; an agent has one face
        """Show the face's values."""
        self._objects.refresh()

    async def follow(self) -> None:
        """Nothing to do: datagrams to a device that is off line are dropped as they come."""


def _engine(device_id: str) -> Any:
    """An engine with the device's own id.

    Its boots come from the wall clock: they grow with each start, without the file that pysnmp would keep in the
    temporary folder, so that clients that outlive a restart stay in step.
    """
    engine = SnmpEngine()
    symbols = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID", "snmpEngineBoots")
    engine_id, boots = symbols
    engine_id.syntax = engine_id.syntax.clone(_ENGINE_HEAD + device_id.encode()[:27])
    engine.snmpEngineID = engine_id.syntax
    boots.syntax = boots.syntax.clone(int(time.time()) - _BOOTS_FROM_S)
    return engine


class _FaultyUdp(udp.UdpAsyncioTransport):  # type: ignore[misc]  # pysnmp has no types
    """The agent's socket."""

    def __init__(self, states: tuple[DeviceFaults, ...], faults: Faults) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._states = states
        self._faults = faults
        self._kept: bytes | None = None
        self.listening = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """The socket is open."""
        super().connection_made(transport)
        self.listening.set()

    def datagram_received(self, datagram: bytes, transportAddress: Any) -> None:  # noqa: N803 - pysnmp's name
        """Hand a request to the engine, unless off line."""
        if not any(s.offline for s in self._states):
            super().datagram_received(datagram, transportAddress)

    def send_message(self, outgoingMessage: Any, transportAddress: Any) -> None:  # noqa: N803 - pysnmp's names
        """Send, delay, lose or spoil an answer."""
        state = next((s for s in self._states if s.disturbed), None)
        if state is None:
            super().send_message(outgoingMessage, transportAddress)
            return
        if self._faults.lose(state):
            return
        message: bytes | None = bytes(outgoingMessage)
        if state.garbage == "frame":
            message = bytes(outgoingMessage)[: len(outgoingMessage) // 2]
        elif state.garbage:
            message, self._kept = self._kept, message
        if message is not None:
            asyncio.get_running_loop().call_later(state.delay, self._send_late, message, transportAddress)

    def _send_late(self, message: bytes, address: Any) -> None:
        if self.transport is not None and not self.transport.is_closing():
            super().send_message(message, address)
