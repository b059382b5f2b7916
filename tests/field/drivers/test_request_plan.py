"""The request planner: the fewest requests, and never one that a device must refuse."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pswd_edge.errors import ConfigError
from pswd_edge.field.drivers.plan import BITS_MAX, WORDS, Span, pack_spans
from pswd_edge.model.point import Point
from tests.field.fieldmaker import modbus_point


def pack(*points: Point, max_count: int = 125, max_gap: int = 31, barriers: tuple[int, ...] = ()) -> list[Span]:
    return pack_spans(points, max_count=max_count, max_gap=max_gap, barriers=barriers)


def shape(spans: list[Span]) -> list[tuple[str, int, int, int]]:
    return [(s.kind, s.start, s.length, len(s.points)) for s in spans]


def test_a_hole_as_large_as_the_gap_is_bridged_and_one_more_is_not() -> None:
    """Off by one here doubles the requests or reads what is not there."""
    assert shape(pack(modbus_point(0), modbus_point(32))) == [("holding", 0, 33, 2)]
    assert shape(pack(modbus_point(0), modbus_point(33))) == [("holding", 0, 1, 1), ("holding", 33, 1, 1)]


def test_a_span_is_as_long_as_the_device_allows_and_no_longer() -> None:
    """Batch limits off by one are the commonest complaint of all: 126 registers are refused as a whole."""
    points = [modbus_point(r, index=r) for r in range(126)]
    assert shape(pack(*points)) == [("holding", 0, 125, 125), ("holding", 125, 1, 1)]
    assert [s.length for s in pack(*points, max_count=50)] == [50, 50, 26]


def test_a_value_is_never_cut_in_two() -> None:
    """The halves of a 32-bit value of two moments are no value."""
    spans = pack(*(modbus_point(r, "float64", index=r) for r in range(0, 40, 4)), max_count=10)
    assert [(s.start, s.length) for s in spans] == [(0, 8), (8, 8), (16, 8), (24, 8), (32, 8)]


def test_no_span_crosses_a_barrier() -> None:
    """Some devices answer blocks of their table only; a hole is no exception."""
    assert shape(pack(modbus_point(9), modbus_point(10), barriers=(10,))) == [
        ("holding", 9, 1, 1), ("holding", 10, 1, 1)]
    assert shape(pack(modbus_point(5), modbus_point(15), barriers=(10,))) == [
        ("holding", 5, 1, 1), ("holding", 15, 1, 1)]
    assert shape(pack(modbus_point(10), modbus_point(12), barriers=(10,))) == [("holding", 10, 3, 2)]


def test_a_value_across_a_barrier_is_refused_before_it_is_asked_for() -> None:
    """No request can read it: the map is wrong, and the site must not start as if it were right."""
    with pytest.raises(ConfigError, match=r"dev0.p0: holding 9..10: crosses the barrier at 10"):
        pack(modbus_point(9, "int32"), barriers=(10,))


def test_the_four_kinds_never_share_a_request() -> None:
    """Each kind has a function code and an address space of its own."""
    spans = pack(modbus_point(0, "bit", kind="coil"), modbus_point(0, "bit", kind="discrete"),
                 modbus_point(0, kind="input"), modbus_point(0))
    assert [s.kind for s in spans] == ["holding", "input", "coil", "discrete"]


def test_bits_are_bridged_by_the_byte_and_bounded_by_the_standard() -> None:
    """2000 is the most that one read of coils may ask for."""
    coils = [modbus_point(r, "bit", kind="coil", index=i) for i, r in enumerate((0, 200, 1999, 2000))]
    assert [(s.start, s.length) for s in pack(*coils)] == [(0, 201), (1999, 2)]
    many = [modbus_point(r, "bit", kind="coil", index=r) for r in range(0, 2100, 100)]
    assert [s.length for s in pack(*many)] == [1901, 1]
    assert all(s.length <= BITS_MAX for s in pack(*many))


def test_bits_of_one_register_and_points_on_the_same_register_share_it() -> None:
    """An alarm word has sixteen names: it is read once (and comparing two points must not be tried to sort them)."""
    bits = [modbus_point(7, "bit", bit=b, index=b) for b in range(16)]
    assert shape(pack(*bits, modbus_point(7, index=16))) == [("holding", 7, 1, 17)]
    assert shape(pack(modbus_point(0, "int32"), modbus_point(1, "uint16", index=1))) == [("holding", 0, 2, 2)]


@pytest.mark.parametrize("scale", [2, 60, 124])
def test_a_scale_register_comes_in_the_same_answer(scale: int) -> None:
    """SunSpec: a value read with the scale of another moment is wrong by powers of ten."""
    assert shape(pack(modbus_point(0, scale_register=scale))) == [("holding", 0, scale + 1, 1)]
    assert shape(pack(modbus_point(200, scale_register=200 - scale))) == [("holding", 200 - scale, scale + 1, 1)]


def test_a_scale_register_before_its_point_counts_to_the_length_of_the_span() -> None:
    """It once did not: the span grew past what one request may carry."""
    spans = pack(modbus_point(100), modbus_point(120, scale_register=0, index=1), max_count=121, max_gap=200)
    assert all(s.length <= 121 for s in spans)
    spans = pack(modbus_point(0), modbus_point(130, scale_register=20, index=1), max_gap=200)
    assert shape(spans) == [("holding", 0, 1, 1), ("holding", 20, 111, 1)]


def test_a_point_between_a_value_and_its_scale_register_is_read_along() -> None:
    """Those registers come anyway."""
    assert shape(pack(modbus_point(0, scale_register=100), modbus_point(60, index=1))) == [("holding", 0, 101, 2)]


def test_a_scale_register_out_of_reach_is_an_error_and_never_an_illegal_request() -> None:
    """126 registers would be refused by every device: say so with the point's name, all such points at once."""
    with pytest.raises(ConfigError) as caught:
        pack(modbus_point(0, scale_register=125), modbus_point(1, index=1),
             modbus_point(10, "int32", scale_register=300, index=2))
    first, second = caught.value.problems
    assert first == ("dev0.p0: holding 0..125 (with its scale register): got 126 registers: expected 125 at most in "
                     "one request; not started")
    assert second.startswith("dev0.p2: holding 10..300 (with its scale register): got 291 registers")


def test_a_point_longer_than_the_gap_keeps_its_neighbours() -> None:
    """The hole counts, not the distance of first registers."""
    points = [modbus_point(0, "uint64"), modbus_point(4, "uint64", index=1), modbus_point(9, index=2)]
    assert shape(pack(*points, max_gap=1)) == [("holding", 0, 10, 3)]
    assert [s.length for s in pack(*points, max_gap=0)] == [8, 1]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Point], int, int, tuple[int, ...]]:
    limit = draw(st.integers(4, 125))
    walls = tuple(draw(st.sets(st.integers(1, 400), max_size=4)))
    points = []
    for index in range(draw(st.integers(1, 25))):
        type_ = draw(st.sampled_from(sorted(WORDS)))
        register = draw(st.integers(0, 400))
        end = register + WORDS[type_]
        scale = draw(st.none() | st.integers(max(0, end - limit), register + limit - 1))
        low, high = min(register, register if scale is None else scale), max(end, 0 if scale is None else scale + 1)
        if high - low <= limit and not any(low < b < high for b in walls):
            kind = draw(st.sampled_from(["holding", "input"]))
            points.append(modbus_point(register, type_, index=index, scale_register=scale, kind=kind))
    return points, limit, draw(st.integers(0, 40)), walls


@settings(max_examples=200, deadline=None)
@given(plans())
def test_every_plan_is_legal_and_complete(plan: tuple[list[Point], int, int, tuple[int, ...]]) -> None:
    """Each point in exactly one span, whole and with its scale register; no span too long or across a barrier."""
    points, limit, gap, walls = plan
    spans = pack_spans(points, max_count=limit, max_gap=gap, barriers=walls)

    assert Counter(p.index for s in spans for p in s.points) == Counter(p.index for p in points)
    for span in spans:
        assert span.length <= limit
        assert not any(span.start < b < span.start + span.length for b in walls)
        for p in span.points:
            a = p.address
            assert a.kind == span.kind
            assert span.start <= a.register <= a.register + WORDS[a.type] <= span.start + span.length
            assert a.scale_register is None or span.start <= a.scale_register < span.start + span.length
