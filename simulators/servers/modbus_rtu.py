"""RTU frames to answers, for any stream of bytes. The CRC is pymodbus': it must not share the driver's mistakes.

Source: MODBUS over Serial Line V1.02, 2.5.1.
"""

import asyncio
from collections.abc import Callable, Mapping

from pymodbus.framer import FramerRTU

from simulators.faults import DeviceFaults, Faults
from simulators.servers.pdu import answer, refusal
from simulators.servers.registers import RegisterSpace

_LONGEST = 256
_SIZES = dict.fromkeys(range(1, 7), 8)
_COUNTED = {15: (9, 6), 16: (9, 6), 23: (13, 10)}    # bytes without the content, and where its size stands


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """A frame ready to be sent."""
    body = bytes((unit,)) + pdu
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class RtuLine:
    """Units by their id on one line; others are silent, as nobody answers for them.

    On RTU the fault `garbage` is: "frame", a wrong CRC; "transaction", another unit's answer, as there are no ids;
    "late" and "late_same_id", each answer is kept until the next request and leaves then.
    """

    def __init__(self, units: Mapping[int, RegisterSpace], faults: Faults, send: Callable[[bytes], None]) -> None:
        self._units, self._faults, self._send = units, faults, send
        self._buffer = b""
        self._kept: bytes | None = None

    def receive(self, data: bytes) -> None:
        """Serve every whole request; what is none is dropped, as a device does at the next silence."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = _request_bytes(self._buffer)
            if len(self._buffer) < size:
                break
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if frame == rtu_frame(frame[0], frame[1:-2]):
                self._serve(frame[0], frame[1:-2])
            else:
                self._buffer = b""

    def _serve(self, unit: int, request: bytes) -> None:
        space = self._units.get(unit)
        if space is None:
            return
        faults = space.face.faults
        if not faults.disturbed:
            self._send(rtu_frame(unit, answer(space, request)))
        elif not faults.offline:
            response = refusal(request[0], faults.exception) if faults.exception else answer(space, request)
            if not self._faults.lose(faults):
                self._send_spoilt(unit, response, faults)

    def _send_spoilt(self, unit: int, response: bytes, faults: DeviceFaults) -> None:
        whole = rtu_frame(unit, response)
        frame: bytes | None = whole
        if faults.garbage == "frame":
            frame = whole[:-1] + bytes((whole[-1] ^ 0x55,))
        elif faults.garbage == "transaction":
            frame = rtu_frame(unit % 247 + 1, response)
        elif faults.garbage:
            frame, self._kept = self._kept, whole
        if frame is None:
            return
        if faults.delay:
            asyncio.get_running_loop().call_later(faults.delay, self._send, frame)
        else:
            self._send(frame)


def _request_bytes(buffer: bytes) -> int:
    """How long the request that begins here is, as far as is known yet; of an unknown function all that came."""
    if buffer[1] in _SIZES:
        return _SIZES[buffer[1]]
    if buffer[1] not in _COUNTED:
        return len(buffer)
    size, at = _COUNTED[buffer[1]]
    return min(_LONGEST, size + (buffer[at] if len(buffer) > at else 0))
