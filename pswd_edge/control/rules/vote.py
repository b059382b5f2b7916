"""Which of several meters of one power speaks: the one in the middle. Good ones are never averaged with bad ones."""

from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.measured import flaw
from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.snapshot import Reading, Snapshot

APART_SHARE = 0.1             # of the site's maximum: so far from the one that speaks may an honest meter be


class Vote(NamedTuple):
    """The meter that speaks, its reading, and the places (0 is `grid_power`) of those that are not believed."""

    source: Input
    reading: Reading
    outvoted: tuple[int, ...] = ()


def voted(spec: ControlSpec, snapshot: Snapshot) -> Vote:
    """The grid meter of this cycle; `grid_power` itself where it is the only one.

    Of three or more usable ones the median: whatever one of three says lies between the two others, or is not taken. Of
    two the first. One whose value stands still while another's moves is not heard.
    """
    if not spec.grid_meters:
        return Vote(spec.grid_power, snapshot.read(spec.grid_power.point))
    sources = (spec.grid_power, *spec.grid_meters)
    readings = [snapshot.read(source.point) for source in sources]
    heard = _heard(spec, sources, readings)
    if not heard:
        return Vote(spec.grid_power, readings[0], tuple(range(len(sources))))
    ranked = sorted(heard, key=lambda i: (readings[i].value, i))
    speaks = ranked[(len(ranked) - 1) // 2] if len(ranked) > 2 else heard[0]
    apart_w = APART_SHARE * spec.load_maximum_w
    believed = [i for i in heard if abs(readings[i].value - readings[speaks].value) <= apart_w]
    return Vote(sources[speaks], readings[speaks], tuple(i for i in range(len(sources)) if i not in believed))


def _heard(spec: ControlSpec, sources: Sequence[Input], readings: Sequence[Reading]) -> list[int]:
    """Places of the meters that can be used; those that stand still only where all do."""
    usable = [i for i, (s, r) in enumerate(zip(sources, readings, strict=True)) if not flaw(r, s.max_age_ms / 1000)]
    moving = [i for i in usable if not 0 < spec.frozen_after <= readings[i].unchanged]
    return moving or usable
