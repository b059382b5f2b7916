"""Answers to Read and Write, straight from the bytes to `Value`: asyncua's objects cost many times as much."""

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from asyncua.ua.uaerrors import UaStatusCodeError

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_wire import (
    I32,
    U32,
    count_of,
    data_value_parts,
    number_of,
    past_bytes,
    past_diagnostic,
    past_extension,
    past_node_id,
)
from pswd_edge.model.quality import Quality, Reason

FAULT, READ, WRITE, TRANSLATED = 397, 634, 676, 557
NAN = math.nan
_BAD, _GOOD, _UNCERTAIN = Quality.BAD, Quality.GOOD, Quality.UNCERTAIN
_EPOCH_TICKS = 116_444_736_000_000_000        # 1970 in 100 ns since 1601
_FIRST_TICKS, _LAST_TICKS = 315_360_000_000_000, 2_650_152_384_000_000_000
"""Years 1602 to 9998: the ends of the range stand for "no time" (OPC 10000-6, 5.2.2.5)."""


class _Shape(NamedTuple):
    """A DataValue with a number and any of status, source and server time stamp."""

    unpack: Callable[[bytes, int], tuple[Any, ...]]
    size: int
    status: bool
    source: bool


def _shapes() -> dict[bytes, _Shape]:
    """By the first two bytes, mask and variant type. Nearly every answer has one of these shapes."""
    made = {}
    for mask in range(0x01, 0x10, 2):
        for kind, code in enumerate("?bBhHiIqQfd", start=1):
            parts = code + ("I" if mask & 2 else "") + ("q" if mask & 4 else "") + ("8x" if mask & 8 else "")
            shape = struct.Struct("<2x" + parts)
            made[bytes([mask, kind])] = _Shape(shape.unpack_from, shape.size, mask & 2 > 0, mask & 4 > 0)
    return made


_SHAPES = _shapes()


def judged(number: float | None, status: int, ticks: int) -> Value:
    """One answer as a `Value`, in the device's own unit: the table applies scale and offset later.

    Quality is the severity of the status code, whatever its other bits say; text, arrays, structures and nothing at
    all are UNDECODABLE. `ticks` is the source time stamp in 100 ns since 1601.
    """
    source_utc_s = (ticks - _EPOCH_TICKS) / 1e7 if _FIRST_TICKS <= ticks < _LAST_TICKS else None
    if status >= 0x8000_0000:
        return Value(NAN, _BAD, Reason.DEVICE, source_utc_s)
    if number is None:
        return Value(NAN, _BAD, Reason.UNDECODABLE, source_utc_s)
    if not math.isfinite(number):
        return Value(NAN, _BAD, Reason.NOT_A_NUMBER, source_utc_s)
    if status >= 0x4000_0000:
        return Value(number, _UNCERTAIN, Reason.DEVICE, source_utc_s)
    return Value(number, _GOOD, Reason.NONE, source_utc_s)


def value_at(data: bytes, at: int) -> tuple[Value, int]:
    """A DataValue, and where it ends."""
    shape = _SHAPES.get(data[at : at + 2])
    if shape is None:
        number, status, ticks, end = data_value_parts(data, at)
        return judged(number, status, ticks), end
    found = shape.unpack(data, at)
    status = found[1] if shape.status else 0
    return judged(float(found[0]), status, found[-1] if shape.source else 0), at + shape.size


def opened(data: bytes, kind: int, handle: int) -> int:
    """Where the body of a response begins. Raises UaStatusCodeError for one that tells of a failure."""
    found, at = number_of(data, 0)
    if found not in (kind, FAULT):
        raise DecodeError(f"an answer of type {found}, expected {kind}")
    answered, result = U32(data, at + 8)[0], U32(data, at + 12)[0]
    if answered != handle:
        raise DecodeError(f"an answer to request {answered}, expected {handle}")
    if result >= 0x8000_0000:
        raise UaStatusCodeError(result)  # type: ignore[no-untyped-call]
    if found != kind:
        raise DecodeError(f"a fault without a reason, status {result:#x}")
    at = past_diagnostic(data, at + 16)
    texts, at = count_of(data, at, 4), at + 4
    for _ in range(texts):
        at = past_bytes(data, at)
    return past_extension(data, at)


def check_head(data: bytes) -> None:
    """Raise DecodeError where a response header holds what nobody asked for.

    For answers that asyncua takes apart: it would decode any structure there, of any size.
    """
    with walking(data):
        _, at = number_of(data, 0)
        texts = count_of(data, at + 17, 4)
        if data[at + 16] or texts or data[at + 21 : at + 24] != bytes(3):
            raise DecodeError("a response header with diagnostics")


@contextmanager
def walking(data: bytes) -> Iterator[None]:
    """Turns every way of falling off the end of a message into DecodeError."""
    try:
        yield
    except (IndexError, struct.error) as exc:
        raise DecodeError(f"an answer of {len(data)} bytes ends too early ({exc})") from exc


def read_values(data: bytes, handle: int, count: int) -> list[Value]:
    """The values of a ReadResponse to request `handle`, of which there must be `count`.

    Raises DecodeError, and UaStatusCodeError for a failure of the whole request.
    """
    with walking(data):
        at = opened(data, READ, handle)
        if I32(data, at)[0] != count:
            raise DecodeError(f"{I32(data, at)[0]} values, expected {count}")
        at += 4
        values = []
        for _ in range(count):
            value, at = value_at(data, at)
            values.append(value)
        end_at(data, at)
    return values


def read_texts(data: bytes, handle: int) -> list[str]:
    """The texts of a ReadResponse with one node, which holds an array of them. Raises as `read_values`."""
    with walking(data):
        at = opened(data, READ, handle)
        if I32(data, at)[0] != 1 or not data[at + 4] & 0x01 or data[at + 5] != 0x80 | 12:
            raise DecodeError("no array of texts")
        count, at = count_of(data, at + 6, 4), at + 10
        texts = []
        for _ in range(count):
            end = past_bytes(data, at)
            texts.append(data[at + 4 : end].decode(errors="replace"))
            at = end
    return texts


def write_codes(data: bytes, handle: int, count: int) -> list[int]:
    """The status codes of a WriteResponse. Raises as `read_values`."""
    with walking(data):
        at = opened(data, WRITE, handle)
        if I32(data, at)[0] != count:
            raise DecodeError(f"{I32(data, at)[0]} results, expected {count}")
        codes = [U32(data, at + 4 + 4 * i)[0] for i in range(count)]
        end_at(data, at + 4 + 4 * count)
    return codes


def path_nodes(data: bytes, handle: int, count: int) -> list[bytes | None]:
    """The encoded node id of each path of a TranslateBrowsePathsToNodeIds response; None where it is not just one."""
    with walking(data):
        at = opened(data, TRANSLATED, handle)
        if count_of(data, at, 8) != count:
            raise DecodeError(f"{count_of(data, at, 8)} paths, expected {count}")
        at += 4
        nodes: list[bytes | None] = []
        for _ in range(count):
            targets, status, at = count_of(data, at + 4, 6), U32(data, at)[0], at + 8
            found: bytes | None = None
            for _ in range(targets):
                end = past_node_id(data, at)
                found, at = data[at:end], end + 4
            plain = found is not None and targets == 1 and status < 0x8000_0000 and not found[0] & 0xC0
            nodes.append(found if plain else None)
        end_at(data, at)
    return nodes


def end_at(data: bytes, at: int) -> None:
    """Only diagnostics may follow, and nothing thereafter."""
    count, at = count_of(data, at, 1), at + 4
    for _ in range(count):
        at = past_diagnostic(data, at)
    if at != len(data):
        raise DecodeError(f"an answer of {len(data)} bytes, expected {at}")
