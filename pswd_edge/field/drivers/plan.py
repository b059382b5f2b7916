"""The request planner for register protocols: points become the fewest requests. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pswd_edge.errors import ConfigError
from pswd_edge.model.point import ModbusAddress, Point, RegisterKind

WORDS = {"int16": 1, "uint16": 1, "float16": 1, "bcd16": 1, "bit": 1, "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2,
         "int64": 4, "uint64": 4, "float64": 4}
"""Registers of each type but "string", whose address tells."""
BITS_MAX = 2000               # of one read of coils or discrete inputs, Modbus V1.1b3 6.1
HEAD_NEAR = 31                # SunSpec: ID and L are read along up to here, also on serial lines: they tell of moves
BIT_GAP = 256                 # a hole of bits costs a byte for eight: bridging is nearly free


class Span(NamedTuple):
    """Consecutive registers (or bits) `start <= r < start + length` of one kind, and the points inside.

    With `model` they count from the ID register of that SunSpec model, the `occurrence`-th of its number.
    """

    kind: RegisterKind
    start: int
    length: int
    points: tuple[Point, ...]
    model: int | None = None
    occurrence: int = 0

    @property
    def text(self) -> str:
        """For logs: "holding 40070+22", "model 701 0+123", "model 160[1] 0+9"."""
        where = self.kind if self.model is None else f"model {self.model}"
        which = f"[{self.occurrence}]" if self.occurrence else ""
        return f"{where}{which} {self.start}+{self.length}"


class _Need(NamedTuple):
    """What one point must be read with: its own registers and its scale register, `start <= r < end`."""

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
        Spans by kind and start. A point with a scale register brings that register along: both come in one answer,
        so that a value never meets an older scale. Spans of a SunSpec model (`_model_spans`) come last.

    Raises:
        ConfigError: a point with its scale register needs more than one request can carry, or crosses a barrier.
    """
    spans: list[Span] = []
    problems: list[str] = []
    kinds: tuple[RegisterKind, ...] = ("holding", "input", "coil", "discrete")
    walls = sorted(set(barriers))
    for kind in kinds:
        bits = kind in ("coil", "discrete")
        limit, gap = (BITS_MAX, BIT_GAP) if bits else (max_count, max_gap)
        needs = _needs(p for p in points if _address(p).kind == kind and _address(p).model is None)
        problems += [text for n in needs if (text := _impossible(n, kind, limit, walls))]
        spans += _merge(kind, needs, limit, gap, walls)
    if problems:
        raise ConfigError(problems)
    return spans + _model_spans(points, max_count, max_gap, walls)


def _model_spans(points: Sequence[Point], limit: int, gap: int, walls: Sequence[int]) -> list[Span]:
    """No span crosses a model, as each may be anywhere; each brings ID and L along where they are near, to be checked.

    Only here a span may be longer than `limit`, where a value is so far from its scale register: it is read in parts.
    Barriers are what a device was found to refuse: no hole is bridged across one.
    """
    places: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        address = _address(point)
        if address.model is not None:
            places.setdefault((address.model, address.occurrence), []).append(point)
    spans: list[Span] = []
    for place, found in sorted(places.items()):
        needs = [n._replace(start=0) if n.start <= HEAD_NEAR and _crossed(0, n.start + 1, walls) is None else n
                 for n in _needs(found)]
        needs.sort(key=lambda n: n[:2])
        spans += [span._replace(model=place[0], occurrence=place[1])
                  for span in _merge("holding", needs, limit, gap, walls, parts=True)]
    return spans


def _needs(points: Iterable[Point]) -> "list[_Need]":
    return sorted((_need(p) for p in points), key=lambda n: n[:2])


def _address(point: Point) -> ModbusAddress:
    assert isinstance(point.address, ModbusAddress)  # callers pass Modbus points only
    return point.address


def words_of(address: ModbusAddress) -> int:
    """Registers that a point takes."""
    return address.length if address.type == "string" else WORDS[address.type]


def _need(point: Point) -> _Need:
    address = _address(point)
    size = 1 if address.kind in ("coil", "discrete") else words_of(address)
    scale = address.register if address.scale_register is None else address.scale_register
    return _Need(min(address.register, scale), max(address.register + size, scale + 1), point)


def _impossible(need: _Need, kind: RegisterKind, limit: int, barriers: Sequence[int]) -> str:
    """Why no request can carry this point; empty where one can."""
    what = f"{need.point.id}: {kind} {need.start}..{need.end - 1}"
    if _address(need.point).scale_register is not None:
        what += " (with its scale register)"
    if need.end - need.start > limit:
        return f"{what}: got {need.end - need.start} registers: expected {limit} at most in one request; not started"
    crossed = _crossed(need.start, need.end, barriers)
    return "" if crossed is None else f"{what}: crosses the barrier at {crossed}: expected one request; not started"


def _crossed(start: int, end: int, barriers: Sequence[int]) -> int | None:
    """The first barrier inside `start <= r < end`, or None."""
    return next((b for b in barriers if start < b < end), None)


def _merge(kind: RegisterKind, needs: list[_Need], limit: int, gap: int, barriers: Sequence[int], *,
           parts: bool = False) -> list[Span]:
    """Needs come sorted by start, so that a span only ever grows at its end; beyond the limit only in `parts`."""
    spans: list[Span] = []
    for need in needs:
        if spans:
            last = spans[-1]
            start, end = last.start, last.start + last.length
            stop = max(end, need.end)
            fits = stop - start <= limit or (parts and last.length > limit and need.start < end)
            if need.start - end <= gap and fits and _crossed(start, stop, barriers) is None:
                spans[-1] = Span(kind, start, stop - start, (*last.points, need.point))
                continue
        spans.append(Span(kind, need.start, need.end - need.start, (need.point,)))
    return spans
