"""What a server says of subscriptions: that they are made, what has changed, that it is alive."""

import struct
from typing import NamedTuple

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_answer import end_at, opened, value_at, walking
from pswd_edge.field.drivers.opcua_wire import U32, count_of, number_of, past_extension

CREATED, ITEMS, PUBLISH, DATA_CHANGE, STATUS_CHANGE = 790, 754, 829, 811, 820
_MADE = struct.Struct("<IdII").unpack_from
_ITEM = struct.Struct("<IIdI")


class Made(NamedTuple):
    """A CreateSubscriptionResponse; times and counts as the server revised them."""

    subscription: int
    interval_ms: float
    lifetime_count: int
    keep_alive_count: int


def subscription_made(data: bytes, handle: int) -> Made:
    """Decode. Raises DecodeError, and UaStatusCodeError where the server makes none."""
    with walking(data):
        return Made(*_MADE(data, opened(data, CREATED, handle)))


def items_made(data: bytes, handle: int, count: int) -> list[tuple[int, float]]:
    """Status code and revised sampling interval, ms, of each item that was asked for. Raises as the above."""
    with walking(data):
        at = opened(data, ITEMS, handle)
        if count_of(data, at, _ITEM.size) != count:
            raise DecodeError(f"{count_of(data, at, _ITEM.size)} items, expected {count}")
        at += 4
        made = []
        for _ in range(count):
            status, _, sampling_ms, _ = _ITEM.unpack_from(data, at)
            made.append((status, sampling_ms))
            at = past_extension(data, at + _ITEM.size)
        end_at(data, at)
    return made


class Publication(NamedTuple):
    """One PublishResponse.

    `changes` are values by client handle, in order. `status` is the code of a StatusChangeNotification, with which the
    server says that the subscription is no longer what it was. `keep_alive`: the message carries nothing, `sequence`
    is then the number of the next one.
    """

    subscription: int
    sequence: int
    keep_alive: bool
    changes: tuple[tuple[int, Value], ...]
    status: int | None


def publication(data: bytes, handle: int) -> Publication:
    """Decode a PublishResponse to request `handle`. Raises as the above."""
    with walking(data):
        at = opened(data, PUBLISH, handle)
        subscription = U32(data, at)[0]
        at += 8 + 4 * count_of(data, at + 4, 4) + 1           # available numbers, more notifications
        sequence = U32(data, at)[0]
        parts, at = count_of(data, at + 12, 3), at + 16
        changes: list[tuple[int, Value]] = []
        status: int | None = None
        for _ in range(parts):
            at, status = _notification(data, at, changes, status)
        at += 4 + 4 * count_of(data, at, 4)                   # results of our acknowledgements
        end_at(data, at)
    return Publication(subscription, sequence, parts == 0, tuple(changes), status)


def _notification(data: bytes, at: int, changes: list[tuple[int, Value]], status: int | None) -> tuple[int, int | None]:
    """Events and what else there is are stepped over."""
    kind, body = number_of(data, at)
    end = past_extension(data, at)
    if data[body] != 1:
        return end, status
    part, begin = data[:end], body + 5
    if kind == STATUS_CHANGE:
        return end, U32(part, begin)[0]
    if kind == DATA_CHANGE:
        count, begin = count_of(part, begin, 5), begin + 4
        for _ in range(count):
            value, after = value_at(part, begin + 4)
            changes.append((U32(part, begin)[0], value))
            begin = after
        if begin > end:
            raise DecodeError("a notification longer than it says")
    return end, status
