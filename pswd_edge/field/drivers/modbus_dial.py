"""From the settings of a Modbus connection to an open link."""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pswd_edge.errors import UnreachableError
from pswd_edge.field.drivers.link import Link
from pswd_edge.field.drivers.modbus_config import ModbusConfig
from pswd_edge.field.drivers.modbus_link import ModbusLink
from pswd_edge.field.drivers.ordered_link import OrderedLink
from pswd_edge.field.drivers.rtu_debts import Debts
from pswd_edge.field.drivers.rtu_link import Line, RtuLink
from pswd_edge.field.drivers.serial_port import SerialTransport, close_port, open_port

CONNECT_S = 1.0               # a lost SYN is sent again by the system only after 1 s and 3 s: a new attempt is as good
_HANDSHAKES_MAX = 4           # of TLS at the same time: each costs the loop milliseconds
_SILENCE_CHARACTERS = 3.5
_SILENCE_FAST_S = 0.00175     # above 19200 baud: MODBUS over Serial Line V1.02, 2.5.1.1
_FAST_BAUD = 19_200
_PEM = "-----BEGIN "          # what stood as file: or credential: in the site file comes as its content
_Made = TypeVar("_Made")
_handshakes: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()


class Dialler:
    """Opens links, one after the other. Keeps what outlives a link: the TLS context, and a serial line's debts."""

    def __init__(self, config: ModbusConfig) -> None:
        self._config = config
        self._tls: ssl.SSLContext | None = None
        self._debts = self._new_debts()
        self._thread: asyncio.Future[Any] | None = None

    async def dial(self) -> Link:
        """Connect. Raises UnreachableError."""
        try:
            if self._config.transport == "serial":
                return await self._dial_serial()
            if self._config.transport == "tls":
                return await self._dial_tls()
            async with asyncio.timeout(CONNECT_S):
                return await self._connect(self._new_link)
        except TimeoutError as error:
            raise UnreachableError(f"{self._config.where}: no connection in {CONNECT_S} s") from error
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(f"{self._config.where}: the device's certificate: {error.verify_message}; "
                                   "expected one of ca for server_name") from error
        except OSError as error:
            raise UnreachableError(f"{self._config.where}: {error}") from error

    def _new_debts(self) -> Debts:
        return Debts(self._config.late_max_ms / 1000)

    def _new_link(self) -> Any:
        if self._config.transport == "rtu_over_tcp":
            return RtuLink(Line(self._new_debts(), can_hang_up=True))
        return ModbusLink() if self._config.echoes_transaction else OrderedLink()

    async def _connect(self, make: Callable[[], Any], **tls: Any) -> Link:
        loop = asyncio.get_running_loop()
        host = self._config.host or ""
        _, link = await loop.create_connection(make, host, self._config.port_number, **tls)
        return link  # type: ignore[no-any-return]

    async def _dial_tls(self) -> Link:
        if self._tls is None:
            self._tls = await self._in_thread(tls_context, lambda _: None)
        loop = asyncio.get_running_loop()
        name = self._config.server_name or self._config.host
        async with asyncio.timeout(CONNECT_S), _handshakes.setdefault(loop, asyncio.Semaphore(_HANDSHAKES_MAX)):
            return await self._connect(self._new_link, ssl=self._tls, server_hostname=name)

    async def _in_thread(self, make: Callable[[ModbusConfig], _Made], unmake: Callable[[_Made], None]) -> _Made:
        """What blocks. A thread cannot be stopped: what it makes for nobody is unmade, and there is one at a time."""
        if self._thread is not None and not self._thread.done():
            raise UnreachableError(f"{self._config.where}: the attempt before is still under way")
        made = self._thread = asyncio.ensure_future(asyncio.to_thread(make, self._config))
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            made.add_done_callback(lambda done: None if done.cancelled() or done.exception() else unmake(done.result()))
            raise

    async def _dial_serial(self) -> Link:
        config = self._config
        silence_s = _SILENCE_FAST_S if config.baud > _FAST_BAUD else _SILENCE_CHARACTERS * config.character_s
        port = await self._in_thread(open_port, close_port)
        link = RtuLink(Line(self._debts, config.character_s, silence_s))
        SerialTransport(port, link)
        return link


def tls_context(config: ModbusConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer, the device's certificate and name checked. Reads files. Raises UnreachableError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    what = f"ca {_name(config.ca or '')}"
    try:
        if config.ca is not None and _PEM in config.ca:
            context.load_verify_locations(cadata=config.ca)
        else:
            context.load_verify_locations(cafile=config.ca)
        if config.certificate is not None:
            what = f"certificate {_name(config.certificate)} with its private_key"
            _load_pair(context, config.certificate, config.private_key or "")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise UnreachableError(f"{config.where}: {what}: {error}: expected files in PEM, the key without a "
                               "passphrase") from error
    return context


def _name(file: str) -> str:
    """A path as it is; a reference's content is too long for a message."""
    return "(by reference)" if _PEM in file else file


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """The ssl module takes keys from files only: this one is in memory, and nobody else's."""
    number = os.memfd_create("modbus-key", os.MFD_CLOEXEC)
    try:
        ours = f"/proc/self/fd/{number}"
        by_reference = _PEM in certificate
        os.write(number, (key + "\n" + certificate if by_reference else key).encode())
        context.load_cert_chain(ours if by_reference else certificate, ours, password=lambda: "")
    finally:
        os.close(number)
