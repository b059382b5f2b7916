"""Reads and writes inside SunSpec models: found by their chains first, asked for at once from then on."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from msgspec import structs

from pswd_edge.errors import DecodeError, DeviceError, RefusedError, UnreachableError
from pswd_edge.field.drivers.base import Heard, ReadRequest, Send
from pswd_edge.field.drivers.plan import words_of
from pswd_edge.field.drivers.sunspec_chain import Chains, Need
from pswd_edge.model.device import Device
from pswd_edge.model.point import ModbusAddress

_READ_HOLDING = 3
Exchange = Callable[[int, bytes, float], Awaitable[bytes]]
"""unit, PDU, time-out in s: the answer's PDU. Raises as `Driver.read`."""
Ask = Callable[[int, bytes, float, float, Heard], None]
"""unit, PDU, time-out in s, now: as `ModbusLink.ask`."""


def need_of(addresses: Sequence[ModbusAddress], end: int) -> Need | None:
    """What a request for these addresses, up to register `end`, needs of their model; None where they have none."""
    first = addresses[0]
    if first.model is None:
        return None
    return Need(first.model, first.occurrence, end, tuple(sorted({c for a in addresses for c in a.counts})))


class ModelReads:
    """Those of one connection. `moves` counts how often the models may have moved."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._chains = Chains(self._read_words)
        self._search: asyncio.Task[bytes] | None = None

    @property
    def moves(self) -> int:
        """Changes whenever a chain is walked anew."""
        return self._chains.walks

    def forget(self) -> None:
        """The connection ends: nobody waits for a search any more, and what it found may not be true on the next."""
        self._chains.forget()
        if self._search is not None:
            self._search.cancel()
            self._search = None

    def sender(self, ask: Ask, request: ReadRequest) -> Send:
        """Sends the request at once where its model is known to be, else by a task that finds the model first."""
        return partial(self._send, ask, request)

    def _send(self, ask: Ask, request: ReadRequest, timeout_s: float, now_s: float, heard: Heard) -> None:
        unit, (span, need) = request.device.unit, (request.payload.span, request.payload.need)
        base = self._chains.known(unit, need)
        if base is not None and span.length <= request.device.max_registers:
            ask(unit, struct.pack(">BHH", _READ_HOLDING, base + span.start, span.length), timeout_s, now_s, heard)
            return
        self._search = asyncio.create_task(self.read(request, timeout_s))
        self._search.add_done_callback(partial(_tell, heard))

    async def read(self, request: ReadRequest, timeout_s: float) -> bytes:
        """As a right answer's PDU; made of several where the span is longer than one request carries.

        The part with ID and length comes last: it tells of all before it that the model has not moved meanwhile.
        """
        device, span = request.device, request.payload.span
        base = await self._chains.locate(device.unit, request.payload.need, timeout_s)
        registers = b""
        try:
            for start in reversed(range(span.start, span.start + span.length, device.max_registers)):
                count = min(device.max_registers, span.start + span.length - start)
                registers = await self._read_words(device.unit, base + start, count, timeout_s) + registers
        except RefusedError as error:
            self._chains.doubt(device.unit, error.code)
            raise
        head: bytes = request.payload.answer_head
        return head + registers

    def check(self, request: ReadRequest, registers: bytes) -> None:
        """Raise DecodeError where they are no longer those of the model."""
        if request.payload.span.start == 0:
            self._chains.check_head(request.device.unit, request.payload.need, registers)

    def doubt(self, unit: int, code: int | str) -> None:
        """The unit has refused what its chain, if it has one, says that it has."""
        self._chains.doubt(unit, code)

    async def real(self, device: Device, address: ModbusAddress, timeout_s: float) -> ModbusAddress:
        """The address with the registers where its model is now."""
        need = need_of((address,), address.register + words_of(address))
        assert need is not None, "asked for addresses of models only"
        base = await self._chains.locate(device.unit, need, timeout_s)
        scale = address.scale_register
        return structs.replace(address, register=base + address.register,
                               scale_register=None if scale is None else base + scale)

    async def _read_words(self, unit: int, start: int, count: int, timeout_s: float) -> bytes:
        answer = await self._exchange(unit, struct.pack(">BHH", _READ_HOLDING, start, count), timeout_s)
        if answer[:2] != bytes((_READ_HOLDING, 2 * count)) or len(answer) != 2 + 2 * count:
            raise DecodeError(f"read holding {start}+{count}: got {answer[:8].hex()} ({len(answer)} bytes): expected "
                              f"{2 * count} bytes of registers")
        return answer[2:]


def _tell(heard: Heard, search: asyncio.Task[bytes]) -> None:
    """Bring what a search has found, or why not; nobody waits for one that was cancelled."""
    if search.cancelled():
        return
    error = search.exception()
    if error is None:
        heard(search.result())
    elif isinstance(error, DeviceError):
        heard(error)
    else:
        heard(UnreachableError(f"unexpected {type(error).__name__} in the driver: {error}"))
