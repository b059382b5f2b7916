"""A bare Modbus TCP client for finding out what is there: one request in flight, no answer taken for another's.

A scan asks what no map knows and no driver offers (device identification). It never runs beside a driver's session.
"""

import asyncio
import contextlib
import struct
from typing import Self

from pswd_edge.errors import DecodeError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.said import printable

_HEAD = struct.Struct(">HHHB")
_OBJECTS = {0: "vendor", 1: "product_code", 2: "revision", 3: "vendor_url", 4: "product_name", 5: "model_name",
            6: "application"}  # Modbus Application Protocol V1.1b3, 6.21


class Wire:
    """One connection to a Modbus TCP device or gateway."""

    def __init__(self, host: str, port: int) -> None:
        self.where = f"{host}:{port}"
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._transaction = 0

    async def open(self, timeout_s: float) -> Self:
        """Connect. Raises UnreachableError."""
        try:
            async with asyncio.timeout(timeout_s):
                self._streams = await asyncio.open_connection(self._host, self._port)
        except TimeoutError as error:
            raise UnreachableError(f"{self.where}: no connection in {timeout_s:g} s") from error
        except OSError as error:
            raise UnreachableError(f"{self.where}: {error.strerror or error}") from error
        return self

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            with contextlib.suppress(OSError):
                await self._streams[1].wait_closed()
            self._streams = None

    async def exchange(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        """The answer's PDU. Raises RefusedError for an exception, SilentError, DecodeError, UnreachableError."""
        if self._streams is None:
            raise UnreachableError(f"{self.where}: not connected")
        reader, writer = self._streams
        self._transaction = (self._transaction + 1) & 0xFFFF
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(_HEAD.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
                answer = await self._answer(reader, unit)
        except TimeoutError as error:
            raise SilentError(f"{self.where} unit {unit}: no answer in {timeout_s:g} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise UnreachableError(f"{self.where}: connection closed by the device") from error
        if len(answer) == 2 and answer[0] == pdu[0] | 0x80:
            raise RefusedError(f"{self.where} unit {unit}: exception code {answer[1]}", answer[1])
        if not answer or answer[0] != pdu[0]:
            raise DecodeError(f"{self.where} unit {unit}: got {answer[:4].hex()}: expected function {pdu[0]}")
        return answer

    async def _answer(self, reader: asyncio.StreamReader, unit: int) -> bytes:
        """The answer to the last request; those that come late for older ones are dropped."""
        while True:
            transaction, protocol, length, found = _HEAD.unpack(await reader.readexactly(_HEAD.size))
            if protocol != 0 or not 2 <= length <= 254:
                raise UnreachableError(f"{self.where}: answers what is no Modbus")
            pdu = await reader.readexactly(length - 1)
            if transaction == self._transaction and found == unit:
                return pdu

    async def registers(self, unit: int, register: int, count: int, timeout_s: float, function: int = 3) -> list[int]:
        """Holding registers (function 3) or input registers (4). Raises as `exchange`."""
        answer = await self.exchange(unit, struct.pack(">BHH", function, register, count), timeout_s)
        if len(answer) != 2 + 2 * count:
            raise DecodeError(f"{self.where} unit {unit}: got {len(answer)} bytes: expected {2 + 2 * count}")
        return list(struct.unpack(f">{count}H", answer[2:]))

    async def identity(self, unit: int, timeout_s: float) -> dict[str, str]:
        """Vendor, product and so on as the device says (function 43/14, basic); empty where it says nothing of use."""
        return identity_of(await self.exchange(unit, bytes([43, 14, 1, 0]), timeout_s))


def identity_of(answer: bytes) -> dict[str, str]:
    """The objects in an answer to Read Device Identification; a cut one gives those that are whole."""
    found: dict[str, str] = {}
    at = 7
    for _ in range(answer[6] if len(answer) > 6 else 0):
        if at + 2 > len(answer):
            break
        code, size = answer[at], answer[at + 1]
        text = answer[at + 2 : at + 2 + size]
        if len(text) < size:
            break
        found[_OBJECTS.get(code, f"object_{code}")] = printable(text)
        at += 2 + size
    return found
