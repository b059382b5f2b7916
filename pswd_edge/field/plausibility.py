"""Which of all decodings is the right one: ranked by evidence. Pure.

A decoding is judged by how much better it explains its registers than chance does (the logarithm of a Bayes factor):
how dense measured values of this unit are at its value, times the step of its type, over the probability that unrelated
registers hold just these words. So a float32 of 231.2 V beats every integer that its halves could be, since 32 bits
that make a plausible voltage by chance are rare. Habits of vendors (address, orders, types, scales) weigh in as priors.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pswd_edge.field.decodings import TYPES, Decoding, Registers, decodings
from pswd_edge.model.point import WordType
from pswd_edge.model.unit import UNITS

_SCALES = {1.0: 0.0, 0.1: 0.4, 0.01: 0.8, 0.001: 1.2, 10.0: 1.5, 100.0: 1.8, 1000.0: 1.2}
_OFFSETS = {0: 0.0, -1: 0.8, 1: 1.2}
_KINDS = {"holding": 0.0, "input": 0.1}
_ORDERS = {("big", "big"): 0.0, ("little", "big"): 0.7, ("big", "little"): 4.5, ("little", "little"): 4.0}
_TYPES: dict[WordType, float] = {
    "float32": 0.0, "int16": 0.0, "uint16": 0.0, "int32": 0.2, "uint32": 0.2, "int64": 2.5, "uint64": 2.5,
    "float64": 4.5, "float16": 3.0, "bcd16": 3.0, "bcd32": 3.0,
}
"""Penalties: minus the logarithm of how often one meets them, by judgement."""
_DECADES = {"W": (10, 1e9), "var": (10, 1e9), "VA": (10, 1e9), "Wh": (10, 1e13), "A": (0.1, 1e4), "bar": (0.05, 30),
            "L/min": (0.5, 1e4), "s": (1, 1e7), "rpm": (50, 20_000)}
_SIGNED = frozenset({"W", "var", "A", "degC"})    # of two integers that say the same, the one that can be negative
_ZERO = 0.05                  # share of measured values that are just 0
_NEGATIVE = 0.25              # share of negative ones, where the unit has them
_TINY, _HUGE = 1e-12, 1e18    # of what anything measures, in any unit
_RANGE = 0.5                  # share of values that spread over a range which was given, instead of as its unit's do


class Clue(NamedTuple):
    """What is known of the value: its unit, its range and what the device's display shows, all in that unit.

    `display_step` is the last digit of the display.
    """

    unit: str = "1"
    low: float | None = None
    high: float | None = None
    display: float | None = None
    display_step: float = 0.0


class Guess(NamedTuple):
    """A decoding with the scale that fits best; `value = raw * scale` in the clue's unit.

    `evidence` is the natural logarithm of how much likelier it is than chance. `also` names what cannot be told from
    it: other types, the other register kind, other scales.
    """

    decoding: Decoding
    scale: float
    value: float
    evidence: float
    also: tuple[str, ...] = ()


def rank(registers: Registers, register: int, clue: Clue, types: Iterable[WordType] = TYPES) -> list[Guess]:
    """All decodings around an address, the likeliest first; each reading once, at its best scale."""
    best = [_best_scale(found, register, clue) for found in decodings(registers, register, tuple(types))
            if found.raw == 0 or _TINY < abs(found.raw) < _HUGE]
    best.sort(key=lambda g: -g.evidence)
    return _merged(best, clue)


def share(guesses: Sequence[Guess]) -> list[float]:
    """How the guesses divide certainty among themselves, 0..1, if one of them is right and the priors are."""
    weights = [math.exp(g.evidence - guesses[0].evidence) for g in guesses]
    return [w / sum(weights) for w in weights]


def _best_scale(found: Decoding, register: int, clue: Clue) -> Guess:
    scales = _SCALES if not found.address.type.startswith("float") else {1.0: 0.0, 0.001: 1.5, 1000.0: 1.5}
    guesses = sorted((_judged(found, scale, register, clue) for scale in scales), key=lambda g: -g.evidence)
    near = [f"scale {g.scale:g}" for g in guesses[1:] if guesses[0].evidence - g.evidence < 1.0]
    return guesses[0]._replace(also=tuple(near))


def _judged(found: Decoding, scale: float, register: int, clue: Clue) -> Guess:
    value = found.raw * scale
    address = found.address
    habit = (_OFFSETS[address.register - register] + _KINDS[address.kind] + _TYPES[address.type] + _SCALES[scale]
             + _ORDERS[address.word_order, address.byte_order])
    density = max(_density(value, clue), 1e-300)
    fit = min(0.0, math.log(density) + math.log(found.step) + math.log(scale)) if value else math.log(_zero_share(clue))
    return Guess(found, scale, value, fit - sum(math.log(_by_chance(w)) for w in found.words) - habit)


def _by_chance(word: int) -> float:
    """How probable this word is in a register of no interest: zeros, small numbers and halves of floats are common."""
    special = {0: 0.45, 0xFFFF: 0.08, 0x8000: 0.02, 0x7FFF: 0.02}.get(word, 0.0)
    small = 0.2 / (word * math.log(10_000)) if 1 <= word < 10_000 else 0.0
    floating = 0.1 / 8192 if 0x3D00 <= word & 0x7FFF < 0x4D00 else 0.0
    return special + small + floating + 0.13 / 65536


# --- how values of a unit are distributed -----------------------------------------------------------------------------


def _normal(value: float, mean: float, sigma: float) -> float:
    z = (value - mean) / sigma
    return math.exp(-0.5 * z * z) / (sigma * 2.5066)


def _decades(value: float, low: float, high: float) -> float:
    """Equally dense in every decade from `low` to `high`, falling off tenfold with each decade beyond."""
    if value <= 0:
        return 0.0
    beyond = max(low / value, value / high, 1.0)
    return 1 / (value * beyond * math.log(high / low))


def _volts(v: float) -> float:
    if v <= 0:
        return 0.02 * _decades(-v, 1, 40_000)
    nominal = sum(_normal(math.log(v / n), 0, 0.06) / v for n in (48, 120, 230, 277, 400, 480, 690, 800)) / 8
    return 0.7 * nominal + 0.3 * _decades(v, 1, 40_000)


def _typical(value: float, si: str) -> float:
    """Density of measured values at `value`, in SI units; 0 apart."""
    match si:
        case "V":
            return _volts(value)
        case "Hz":
            return 0.475 * (_normal(value, 50, 0.15) + _normal(value, 60, 0.15)) + 0.05 * _decades(value, 0.1, 1000)
        case "degC":
            return 0.9 * _normal(value, 28, 15) + 0.1 * _normal(value, 40, 80)
        case "%":
            return 0.95 / 100 * (0 <= value <= 100) + 0.05 * _decades(abs(value), 1, 1000)
    low, high = _DECADES.get(si, (0.01, 1e5))
    share = _NEGATIVE if si in _SIGNED else 0.02
    return (share if value < 0 else 1 - share) * _decades(abs(value), low, high)


def _density(value: float, clue: Clue) -> float:
    """Per unit of the clue."""
    unit = UNITS[clue.unit]
    found = (1 - _ZERO) * _typical(value * unit.factor + unit.offset, unit.si) * abs(unit.factor)
    if clue.low is not None and clue.high is not None and clue.low < clue.high:
        inside = clue.low <= value <= clue.high
        found = _RANGE * _within(value, clue.low, clue.high) + (1 - _RANGE) * found if inside else 0.01 * found
    if clue.display is None:
        return found
    return _shown(value, clue.display, clue.display_step) + 1e-5 * found


def _shown(value: float, display: float, step: float) -> float:
    """Often the very digits of the display, else near: what is measured moves between two looks."""
    return (0.8 * _normal(value, display, max(0.4 * step, 1e-6 * abs(display)))
            + 0.2 * _normal(value, display, max(1.5 * step, 0.005 * abs(display), 1e-6)))


def _within(value: float, low: float, high: float) -> float:
    """Even over the range, and over its decades: a meter for 500 MW may show 2 kW."""
    most = max(abs(low), abs(high))
    return 0.5 / (high - low) + 0.5 * _decades(abs(value), most / 1e5, most) / (2 if low < 0 else 1)


def _zero_share(clue: Clue) -> float:
    if clue.display is not None:
        return 0.95 if clue.display == 0 else 1e-6
    return _ZERO if clue.low is None or clue.high is None or clue.low <= 0 <= clue.high else 0.01 * _ZERO


# --- what cannot be told apart ----------------------------------------------------------------------------------------


def _merged(guesses: list[Guess], clue: Clue) -> list[Guess]:
    """One line for each value: signed and unsigned, holding and input, a word with or without the zeros beside it."""
    groups: dict[str, list[Guess]] = {}
    for guess in guesses:
        groups.setdefault(f"{guess.value:.10g}", []).append(guess)
    return [_joined(found, clue) for found in groups.values()]


def _joined(found: list[Guess], clue: Clue) -> Guess:
    """The likeliest, as the signed or the unsigned integer that the unit wants, with the others' names."""
    top = found[0].decoding.address
    signed = ("int" if UNITS[clue.unit].si in _SIGNED else "uint") + top.type.lstrip("uint")
    wanted = [g for g in found if g.decoding.address == msgspec.structs.replace(top, type=signed)]
    chosen = wanted[0] if wanted and "int" in top.type else found[0]
    others = tuple(_difference(g, chosen) for g in found if g is not chosen)
    return chosen._replace(also=(*dict.fromkeys(others), *chosen.also), evidence=found[0].evidence)


def _difference(guess: Guess, chosen: Guess) -> str:
    """In what a guess differs from the one that is shown: "uint16", "input", "uint32 at 1000 words little"."""
    mine, other = chosen.decoding.address, guess.decoding.address
    parts = [str(getattr(other, key)) for key in ("kind", "type") if getattr(other, key) != getattr(mine, key)]
    parts += [f"at {other.register}"] if other.register != mine.register else []
    parts += [f"{name} {getattr(other, key)}" for name, key in (("words", "word_order"), ("bytes", "byte_order"))
              if getattr(other, key) != getattr(mine, key)]
    parts += [f"scale {guess.scale:g}"] if guess.scale != chosen.scale else []
    return " ".join(parts)
