"""The chain of SunSpec models in a simulated device: marker, model headers, end model, and where that puts its points.

Source: SunSpec device information model, 6.2 (marker 'SunS', then {id, length, body}…, then id 0xFFFF, length 0).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import structs

from pswd_edge.config.sunspec import model_words
from pswd_edge.model.point import ModbusAddress, Point
from simulators.servers.coding import FORMS

BASE = 40000
_MARKER = (0x5375, 0x6E53)
_COMMON = (1, 66)
_END_ID = 0xFFFF


class ChainLink(NamedTuple):
    """A model by its id, and its length L (ID and L not counted)."""

    model: int
    length: int


class Placed(NamedTuple):
    """Points with real registers, fixed words by register, and the registers of the whole chain."""

    points: tuple[Point, ...]
    words: dict[int, int]
    chain: range


def usual_chain(points: Iterable[Point]) -> tuple[ChainLink, ...]:
    """Model 1, then the points' models in the order in which the map comes to them; empty where there are none."""
    ends: dict[tuple[int, int], int] = {}
    for point in points:
        address = point.address
        if isinstance(address, ModbusAddress) and address.model is not None:
            words = address.length or (FORMS[address.type].pack.size // 2 if address.type in FORMS else 1)
            end = max(address.register + words, (address.scale_register or 0) + 1)
            key = (address.model, address.occurrence)
            ends[key] = max(end, ends.get(key, model_words(address.model, {}) or 0))
    if not ends:
        return ()
    links = [ChainLink(model, end - 2) for (model, _), end in ends.items() if model != _COMMON[0]]
    return ChainLink(*_COMMON), *links


def place(points: Sequence[Point], chain: Sequence[ChainLink], base: int = BASE) -> Placed:
    """Where a chain puts the points; those of models that it has not are left out, as in a device without them."""
    if not chain:
        return Placed(tuple(points), {}, range(0))
    words = {base: _MARKER[0], base + 1: _MARKER[1]}
    starts: dict[tuple[int, int], int] = {}
    at = base + 2
    for link in chain:
        words |= {at: link.model, at + 1: link.length}
        starts[link.model, sum(model == link.model for model, _ in starts)] = at
        at += 2 + link.length
    words |= {at: _END_ID, at + 1: 0}
    placed = [_moved(point, starts, words) for point in points]
    return Placed(tuple(p for p in placed if p is not None), words, range(base, at + 2))


def _moved(point: Point, starts: dict[tuple[int, int], int], words: dict[int, int]) -> Point | None:
    address = point.address
    if not isinstance(address, ModbusAddress) or address.model is None:
        return point
    start = starts.get((address.model, address.occurrence))
    if start is None:
        return None
    words |= {start + register: count for register, count in address.counts}
    scale = None if address.scale_register is None else start + address.scale_register
    moved = structs.replace(address, register=start + address.register, scale_register=scale, model=None)
    return structs.replace(point, address=moved)
