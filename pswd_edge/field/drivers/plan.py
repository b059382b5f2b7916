"""The request planner for register protocols: points become the fewest requests. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pswd_edge.model.point import ModbusAddress, Point, RegisterKind

WORDS = {"int16": 1, "uint16": 1, "bit": 1, "int32": 2, "uint32": 2, "float32": 2,
         "int64": 4, "uint64": 4, "float64": 4}
BITS_MAX = 2000               # of one read of coils or discrete inputs, Modbus V1.1b3 6.1
BIT_GAP = 256                 # a hole of bits costs a byte for eight: bridging is nearly free


class Span(NamedTuple):
    """Consecutive registers (or bits) `start <= r < start + length` of one kind, and the points inside."""

    kind: RegisterKind
    start: int
    length: int
    points: tuple[Point, ...]


class _Need(NamedTuple):
    start: int
    end: int
    point: Point


def pack_spans(
    points: Sequence[Point], *, max_count: int, max_gap: int, barriers: Iterable[int] = ()
) -> list[Span]:
    """Merge the points' registers into spans.

    Args:
        points: points with a ModbusAddress, in any order.
        max_count: registers that one request may carry (125 at most by the standard).
        max_gap: largest hole that is read along because that is cheaper than another request.
        barriers: registers at which a span must end: no span holds both `b - 1` and `b`.

    Returns:
        Spans by kind and start. A point with a scale register brings that register along: both come in one answer
        where they fit, so that a value never meets an older scale.
    """
    spans: list[Span] = []
    kinds: tuple[RegisterKind, ...] = ("holding", "input", "coil", "discrete")
    for kind in kinds:
        needs = sorted(n for p in points for n in _needs(p, kind))
        bits = kind in ("coil", "discrete")
        limit, gap = (BITS_MAX, BIT_GAP) if bits else (max_count, max_gap)
        spans += _merge(kind, needs, limit, gap, frozenset(barriers))
    return spans


def _needs(point: Point, kind: RegisterKind) -> list[_Need]:
    address = point.address
    if not isinstance(address, ModbusAddress) or address.kind != kind:
        return []
    size = 1 if kind in ("coil", "discrete") else WORDS[address.type]
    return [_Need(address.register, address.register + size, point)]


def _merge(kind: RegisterKind, needs: list[_Need], limit: int, gap: int, barriers: frozenset[int]) -> list[Span]:
    spans: list[Span] = []
    group: list[_Need] = []
    for need in needs:
        if group and not _fits(group, need, limit, gap, barriers):
            spans.append(_span(kind, group))
            group = []
        group.append(need)
    if group:
        spans.append(_span(kind, group))
    return spans


def _fits(group: list[_Need], need: _Need, limit: int, gap: int, barriers: frozenset[int]) -> bool:
    end = max(n.end for n in group)
    start, _ = extent([n.point for n in group])
    stop = max(end, need.end, *(a + 1 for a in _scales([n.point for n in group] + [need.point])))
    return (
        need.start - end <= gap
        and stop - min(start, need.start) <= limit
        and not any(group[0].start < b <= need.start for b in barriers)
    )


def _scales(points: Iterable[Point]) -> list[int]:
    return [p.address.scale_register for p in points
            if isinstance(p.address, ModbusAddress) and p.address.scale_register is not None]


def extent(points: Sequence[Point]) -> tuple[int, int]:
    """First register and the one past the last of these points, scale registers included."""
    starts, ends = [], []
    for point in points:
        address = point.address
        assert isinstance(address, ModbusAddress)  # callers pass Modbus points only
        size = 1 if address.kind in ("coil", "discrete") else WORDS[address.type]
        starts.append(address.register)
        ends.append(address.register + size)
    scales = _scales(points)
    return min(starts + scales), max(ends + [s + 1 for s in scales])


def _span(kind: RegisterKind, group: list[_Need]) -> Span:
    points = tuple(n.point for n in group)
    start, end = extent(points)
    return Span(kind, start, end - start, points)
