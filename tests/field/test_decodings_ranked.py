"""Which decoding of some registers is the right one: ranked by evidence, against numbers whose meaning is known."""

import math
import random
import struct
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pswd_edge.field.decodings import FIRST, LAST, decodings
from pswd_edge.field.drivers.codec import FORMATS, byte_order
from pswd_edge.field.drivers.plan import WORDS
from pswd_edge.field.plausibility import Clue, Guess, rank, share
from pswd_edge.model.point import ModbusAddress

ASKED = 1000
VALUES = {
    "V": lambda r: r.choice([48, 120, 230, 400, 480, 690, 800]) * r.uniform(0.93, 1.07),
    "Hz": lambda r: r.choice([50, 60]) + r.gauss(0, 0.05),
    "degC": lambda r: r.uniform(5, 60),
    "%": lambda r: r.uniform(2, 99),
    "A": lambda r: 10 ** r.uniform(0, 3.5),
    "W": lambda r: 10 ** r.uniform(2.5, 8) * r.choice([1, 1, 1, -1]),
    "bar": lambda r: r.uniform(0.5, 10),
    "L/min": lambda r: 10 ** r.uniform(0.5, 3.3),
}
"""Values as plants have them."""
TYPES = ["float32"] * 4 + ["int16", "uint16", "int32", "uint32"] * 2 + ["float64", "int64"]


class Device(NamedTuple):
    """What a device holds: the value `raw * scale` in `unit` at `address`, among registers of other quantities."""

    unit: str
    address: ModbusAddress
    scale: float
    words: dict[int, int]

    @property
    def raw(self) -> float:
        found = decodings({"holding": self.words}, ASKED, [self.address.type])
        return next(d.raw for d in found if d.address == self.address)


def words_of(raw: float, address: ModbusAddress) -> tuple[int, ...]:
    number = raw if address.type.startswith("float") else round(raw)
    packed = struct.pack(FORMATS[address.type], number)
    placed = bytearray(len(packed))
    for source, target in enumerate(byte_order(address, len(packed))):
        placed[target] = packed[source]
    return struct.unpack(f">{len(placed) // 2}H", bytes(placed))


def drawn(r: Any) -> Device:
    """A device of habits as they are met: mostly float32 or integers with a scale, some off by one, some swapped."""
    while True:
        unit, type_ = r.choice(list(VALUES)), r.choice(TYPES)
        order = r.choice(["big"] * 4 + ["little"]) if WORDS[type_] > 1 else "big"
        swapped = "little" if r.random() < 0.02 else "big"
        address = ModbusAddress(ASKED + r.choice([0, 0, 0, 0, -1, -1, 1]), type_, "holding", order, swapped)
        scales = [1.0] if type_.startswith("float") else [1.0, 10.0, 100.0] if unit == "W" else [1.0, 0.1, 0.01, 0.001]
        scale = r.choice(scales)
        raw = VALUES[unit](r) / scale
        if not type_.startswith("float") and abs(raw) < 100:
            continue  # no device measures 230 V in steps of ten
        try:
            return Device(unit, address, scale, neighbourhood(r, address, raw, scale))
        except struct.error:
            continue  # the type cannot hold it


def neighbourhood(r: Any, address: ModbusAddress, raw: float, scale: float) -> dict[int, int]:
    """The registers around the address; those beside the value hold other quantities of the same type, or 0."""
    words = dict.fromkeys(range(ASKED - 20, ASKED + 20), 0)
    size = WORDS[address.type]
    for place in (-2, -1, 1, 2):
        other = VALUES[r.choice(list(VALUES))](r) / scale if r.random() < 0.8 else 0.0
        try:
            found = words_of(other, address)
        except struct.error:
            found = (0,) * size
        words.update({address.register + place * size + i: w for i, w in enumerate(found)})
    words.update({address.register + i: w for i, w in enumerate(words_of(raw, address))})
    return {r: words[r] for r in range(ASKED + FIRST, ASKED + LAST + 1)}


def place_of(device: Device, guesses: list[Guess]) -> int:
    """Where the right number stands: the same raw number, whatever the scale."""
    return next(i for i, g in enumerate(guesses) if g.decoding.raw == device.raw)


def test_the_right_number_is_nearly_always_among_the_first_three() -> None:
    """Without a display to compare with, habits and units must do: 95 of 100 drawn devices, measured at about 97."""
    r = random.Random(3)
    devices = [drawn(r) for _ in range(600)]

    places = [place_of(d, rank({"holding": d.words}, ASKED, Clue(d.unit))) for d in devices]

    assert sum(p < 3 for p in places) >= 0.95 * len(places)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9))
def test_what_the_display_shows_comes_first(seed: int) -> None:
    """With the digits of the device's own display there is no doubt left: value and scale are right."""
    device = drawn(random.Random(seed))
    shown = f"{device.raw * device.scale:.6g}"
    step = 10.0 ** int(Decimal(shown).as_tuple().exponent)
    clue = Clue(device.unit, display=float(shown), display_step=step)

    best = rank({"holding": device.words}, ASKED, clue)[0]

    assert best.value == pytest.approx(device.raw * device.scale, abs=0.51 * step)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 65535), min_size=6, max_size=6), st.sampled_from(["1", *VALUES, "kW", "degF", "Wh"]))
def test_any_registers_give_numbers_and_an_order(words: list[int], unit: str) -> None:
    """Whatever a device sends: no crash, no NaN, the likeliest first, and shares that add up to one."""
    guesses = rank({"input": dict(enumerate(words, start=ASKED + FIRST))}, ASKED, Clue(unit))

    assert all(math.isfinite(g.value) and math.isfinite(g.evidence) for g in guesses)
    assert [g.evidence for g in guesses] == sorted((g.evidence for g in guesses), reverse=True)
    assert not guesses or sum(share(guesses)) == pytest.approx(1.0)


def holding(**values: tuple[int, ...]) -> dict[str, dict[int, int]]:
    words = dict.fromkeys(range(ASKED + FIRST, ASKED + LAST + 1), 0)
    for at, found in values.items():
        words.update({int(at[1:]) + i: w for i, w in enumerate(found)})
    return {"holding": words}


def test_a_manual_that_counts_from_one_is_seen_through() -> None:
    """The meter's 231.2 V lie one below the address of the manual; the halves at the address make nothing."""
    words = words_of(231.2, ModbusAddress(ASKED - 1, "float32"))

    best = rank(holding(r999=words), ASKED, Clue("V"))[0]

    assert best.decoding.address == ModbusAddress(ASKED - 1, "float32")


def test_swapped_words_are_seen_through() -> None:
    """Low word first: the usual order makes 4e-8 of it."""
    address = ModbusAddress(ASKED, "float32", word_order="little")

    best = rank(holding(r1000=words_of(231.2, address)), ASKED, Clue("V"))[0]

    assert best.decoding.address == address


def test_a_range_tells_the_scale() -> None:
    """2305 may be 230.5 V, or 2305 V of a medium-voltage meter; the map's range decides."""
    low = rank(holding(r1000=(2305,)), ASKED, Clue("V", 0, 300))[0]
    high = rank(holding(r1000=(2305,)), ASKED, Clue("V", 1000, 4000))[0]

    assert (low.value, high.value) == (pytest.approx(230.5), 2305.0)


def test_what_cannot_be_told_apart_is_one_line() -> None:
    """Signed or not, with or without the zero before it: one reading cannot know, so it says so."""
    best = rank(holding(r1001=(2305,)), ASKED, Clue("V"))[0]

    assert best.value == pytest.approx(230.5)
    assert any(a.startswith("int") for a in best.also)


def test_registers_that_could_not_be_read_cost_only_their_own_decodings() -> None:
    """One kind is refused, or the device has no more registers: the others still count."""
    found = rank({"input": {ASKED: 2305}}, ASKED, Clue("V"))

    assert found[0].decoding.address.kind == "input"
    assert {g.decoding.address.register for g in found} == {ASKED}
