"""Write requests: which function, and what its answer must be. The PDUs are pymodbus'."""

import struct

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    ReadWriteMultipleRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from pswd_edge.errors import DecodeError, RefusedError, WriteError
from pswd_edge.field.drivers.codec import decode, encode
from pswd_edge.model.point import ModbusAddress, Point

READ_WRITE = 23
_COIL, _REGISTER, _COILS, _REGISTERS = 5, 6, 15, 16


def write_pdu(point: Point, address: ModbusAddress, value: float, power: int) -> bytes:
    """The request PDU that writes `value` (the point's SI unit). Raises WriteError."""
    request = _request(point, address, value, power)
    return bytes([request.function_code]) + request.encode()


def _request(point: Point, address: ModbusAddress, value: float, power: int) -> ModbusPDU:
    register = address.register
    if address.kind == "coil":
        function = _chosen(point, address.write_function or _COIL, (_COIL, _COILS))
        request = WriteSingleCoilRequest if function == _COIL else WriteMultipleCoilsRequest
        return request(address=register, bits=[_switch(point, value)])
    if address.kind != "holding" or address.type == "bit":
        raise WriteError(f"{point.id}: got a {address.kind} of type {address.type}: expected a holding register or a "
                         "coil; nothing was written")
    words = encode(point, value, power)
    registers = list(struct.unpack(f">{len(words) // 2}H", words))
    single = len(registers) == 1
    usual = _REGISTER if single else _REGISTERS
    # words of one value never leave in two requests: a device would see half of a set-point
    possible = (_REGISTER, _REGISTERS, READ_WRITE) if single else (_REGISTERS, READ_WRITE)
    function = _chosen(point, address.write_function or usual, possible)
    if function == _REGISTER:
        return WriteSingleRegisterRequest(address=register, registers=registers)
    if function == _REGISTERS:
        return WriteMultipleRegistersRequest(address=register, registers=registers)
    return ReadWriteMultipleRegistersRequest(read_address=register, read_count=len(registers), write_address=register,
                                             write_registers=registers)


def _chosen(point: Point, function: int, possible: tuple[int, ...]) -> int:
    if function not in possible:
        raise WriteError(f"{point.id}: got function {function}: expected one of {', '.join(map(str, possible))}; "
                         "nothing was written")
    return function


def _switch(point: Point, value: float) -> bool:
    raw = (value - point.offset) / point.scale
    if raw not in (0.0, 1.0):  # neither a NaN nor a half may switch anything on
        raise WriteError(f"{point.id}: {value} is {raw} in a coil: expected 0 or 1; nothing was written")
    return raw == 1.0


def check_written(point: Point, pdu: bytes, answer: bytes, value: float, power: int) -> None:
    """Judge the answer to a write. Raises DecodeError where it makes no sense.

    Functions 5, 6, 15 and 16 echo address and value or count. Function 23 writes and then reads the same registers:
    where the point is its own read-back, what the device then shows must be the value, within the rule's tolerance;
    RefusedError where it is not.
    """
    if pdu[0] != READ_WRITE:
        if answer != pdu[:5]:
            raise DecodeError(f"write {point.id}: got {answer[:8].hex()}: expected the echo {pdu[:5].hex()}")
        return
    written = pdu[10:]
    head = bytes((READ_WRITE, len(written)))
    if answer[:2] != head or len(answer) != 2 + len(written):
        raise DecodeError(f"write {point.id}: got {answer[:8].hex()} ({len(answer)} bytes): expected {head.hex()} and "
                          f"{len(written)} bytes")
    own = point.readable and (point.write is None or point.write.read_back in (None, point.index))
    if answer[2:] != written and own:
        shown = decode(point, answer[2:], power)
        tolerance = 0.0 if point.write is None else point.write.tolerance
        if not abs(shown - value) <= tolerance:
            raise RefusedError(f"write {point.id}: the device shows {shown:g} {point.unit} after {value:g} was "
                               f"written: expected it within {tolerance:g}", "read back")
