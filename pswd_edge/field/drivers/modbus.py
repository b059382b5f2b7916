"""Modbus over TCP, TLS, RTU over TCP or a serial line: one connection, any number of units behind it."""

import struct
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel
from pymodbus.constants import ExcCodes

from pswd_edge.errors import ConfigError, DecodeError, RefusedError, UnreachableError, WriteError
from pswd_edge.field.drivers.base import ReadRequest, Send
from pswd_edge.field.drivers.link import Link
from pswd_edge.field.drivers.modbus_config import RESOLVED, ModbusConfig
from pswd_edge.field.drivers.modbus_dial import Dialler
from pswd_edge.field.drivers.modbus_write import check_written, write_pdu
from pswd_edge.field.drivers.plan import Span, pack_spans
from pswd_edge.field.drivers.sunspec_chain import Need
from pswd_edge.field.drivers.sunspec_read import ModelReads, need_of
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress, Point

__all__ = ["ModbusConfig", "ModbusDriver", "Payload"]
_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_RTU_GAP = 7                  # registers: beyond it another request is shorter on a serial line
_RTU_UNITS = range(1, 248)    # 0 is for all, and nobody answers it; 248 to 255 are reserved


class Payload(NamedTuple):
    """A read request ready to be sent: the PDU, and the first two bytes and the length of a right answer's PDU."""

    span: Span
    pdu: bytes
    answer_head: bytes
    answer_bytes: int
    need: Need | None = None


class ModbusDriver:
    """Reads and writes the units of one connection. Never retries, never logs."""

    Config: ClassVar[type[BaseModel]] = ModbusConfig

    def __init__(self, settings: dict[str, Any]) -> None:
        self._config = ModbusConfig.model_validate(settings, context=RESOLVED)
        self._dialler = Dialler(self._config)
        self._link: Link | None = None
        self._scales: dict[tuple[int, int], int] = {}
        self._models = ModelReads(self._exchange)
        self._moves = 0

    @property
    def late(self) -> int:
        """Answers that came too late on this connection, since it was opened."""
        return 0 if self._link is None else self._link.late

    def plan(self, device: Device, points: Sequence[Point]) -> list[ReadRequest]:
        """The fewest spans that hold the points. Raises ConfigError, also for a unit that no serial line has."""
        if self._config.rtu and device.unit not in _RTU_UNITS:
            raise ConfigError([f"{device.id}: got unit {device.unit} on a serial line: expected 1 to 247; not started"])
        gap = min(device.max_gap, _RTU_GAP) if self._config.rtu else device.max_gap
        spans = pack_spans(points, max_count=device.max_registers, max_gap=gap, barriers=device.barriers)
        return [ReadRequest(device, span.points, span.points[0].period_ms, _payload(span), span.length,
                            span.text) for span in spans]

    async def open(self) -> None:
        """Connect; the caller bounds the time."""
        await self.close()
        self._scales.clear()  # the device may have been exchanged or set up anew
        self._link = await self._dialler.dial()

    async def close(self) -> None:
        """Drop the connection."""
        self._models.forget()
        if self._link is not None:
            self._link.close()
            self._link = None

    async def read(self, request: ReadRequest, timeout_s: float) -> bytes:
        """The registers of one span as they came, big-endian."""
        if self._link is None:
            raise UnreachableError(self._nowhere())
        if request.payload.need is not None:
            return self.take(request, await self._models.read(request, timeout_s))
        return self.take(request, await self._link.exchange(request.device.unit, request.payload.pdu, timeout_s))

    def sender(self, request: ReadRequest) -> Send:
        """The first half of `read`, prepared for the connection that is open now."""
        if self._link is None:
            error = UnreachableError(self._nowhere())
            return lambda _timeout_s, _now_s, heard: heard(error)
        if request.payload.need is not None:
            return self._models.sender(self._link.ask, request)
        return partial(self._link.ask, request.device.unit, request.payload.pdu)

    def take(self, request: ReadRequest, answer: bytes) -> bytes:
        """The second half of `read`: the registers that a right answer carries."""
        payload: Payload = request.payload
        if len(answer) == payload.answer_bytes and answer.startswith(payload.answer_head):
            if payload.need is not None:
                self._models.check(request, answer[2:])
            return answer[2:]
        self._raise_refusal(request.device, answer, payload.pdu)
        raise DecodeError(f"read {request.text}: got {answer[:8].hex()} ({len(answer)} bytes): "
                          f"expected {payload.answer_head.hex()} and {payload.answer_head[1]} bytes")

    async def write(self, device: Device, point: Point, value: float, timeout_s: float) -> None:
        """By the point's own function; else 16 for words that belong together, 6 for one register, 5 for a coil."""
        address = point.address
        if not isinstance(address, ModbusAddress):
            raise WriteError(f"{point.id}: got a {type(address).__name__}: expected a Modbus address")
        if address.model is not None:
            address = await self._models.real(device, address, timeout_s)
        power = await self._power_of_ten(device, address, timeout_s)
        pdu = write_pdu(point, address, value, power)
        answer = await self._answer(device.unit, pdu, timeout_s)
        self._raise_refusal(device, answer, pdu)
        check_written(point, pdu, answer, value, power)

    async def _answer(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        if self._link is None:
            raise UnreachableError(self._nowhere())
        return await self._link.exchange(unit, pdu, timeout_s)

    async def _exchange(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        answer = await self._answer(unit, pdu, timeout_s)
        _raise_refusal(answer, pdu)
        return answer

    def _raise_refusal(self, device: Device, answer: bytes, pdu: bytes) -> None:
        """As the function of this name; a refusal may mean that SunSpec models have moved."""
        try:
            _raise_refusal(answer, pdu)
        except RefusedError as error:
            self._models.doubt(device.unit, error.code)
            raise

    def _nowhere(self) -> str:
        return f"{self._config.where}: not connected"

    async def _power_of_ten(self, device: Device, address: ModbusAddress, timeout_s: float) -> int:
        """The content of the point's scale register, read once for each connection."""
        if address.scale_register is None:
            return 0
        if self._moves != self._models.moves:  # models that moved have their scales elsewhere
            self._scales.clear()
            self._moves = self._models.moves
        key = (device.unit, address.scale_register)
        if key not in self._scales:
            pdu = struct.pack(">BHH", _FUNCTION[address.kind], address.scale_register, 1)
            answer = await self._exchange(device.unit, pdu, timeout_s)
            if answer[:2] != bytes([pdu[0], 2]) or len(answer) != 4:
                raise DecodeError(f"scale register {address.scale_register}: got {answer[:8].hex()}: expected one "
                                  "register; nothing was written")
            (power,) = struct.unpack_from(">h", answer, 2)
            if not -10 <= power <= 10:
                raise WriteError(f"scale register {address.scale_register}: got {power}: expected -10..10; "
                                 "nothing was written")
            self._scales[key] = power
        return self._scales[key]


def _payload(span: Span) -> Payload:
    function = _FUNCTION[span.kind]
    size = (span.length + 7) // 8 if span.kind in ("coil", "discrete") else 2 * span.length
    need = need_of([p.address for p in span.points if isinstance(p.address, ModbusAddress)], span.start + span.length)
    return Payload(span, struct.pack(">BHH", function, span.start, span.length), bytes([function, size & 0xFF]),
                   2 + size, need)


def _raise_refusal(answer: bytes, pdu: bytes) -> None:
    """Raise RefusedError where the answer is the exception to this request."""
    if answer[0] == pdu[0] | 0x80 and len(answer) == 2:
        raise RefusedError(f"exception code {answer[1]} ({_exception_name(answer[1])})", answer[1])


def _exception_name(code: int) -> str:
    try:
        return ExcCodes(code).name.lower().replace("_", " ")
    except ValueError:
        return "not in the standard"
