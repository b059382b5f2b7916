"""One cycle as it is recorded: what went into the rules, and what came out, in a form that can be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pswd_edge.control.arbiter import Bound, Candidate, Verdict
from pswd_edge.control.rules.law import Decision, LawState, Orders
from pswd_edge.control.setpoints import SetpointMemory
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Reading, Snapshot


class Begin(NamedTuple):
    """All that a replay needs to begin with a cycle: the site and what was remembered before it."""

    site: Site
    state: LawState
    memory: SetpointMemory


class Seen(NamedTuple):
    """One cycle, by reference: nothing of it is changed any more. `begin` is None but where a recording may begin."""

    begin: Begin | None
    snapshot: Snapshot
    orders: Orders
    dt_s: float
    asked: Sequence[Candidate]
    bounds: Sequence[Bound]
    trial: Sequence[Candidate]
    decision: Decision
    shown: LawState
    verdicts: Sequence[Verdict]


def flags_of(reading: Reading) -> int:
    """Quality, reason and `unchanged` in one number of 64 bits."""
    return int(reading.quality) | int(reading.reason) << 8 | min(reading.unchanged, 0xFFFF_FFFF) << 16


def reading_of(value: float, received_s: float, age_s: float, flags: int) -> Reading:
    """The inverse, with the three numbers that are recorded beside the flags."""
    return Reading(value, Quality(flags & 0xFF), Reason(flags >> 8 & 0xFF), age_s, received_s, flags >> 16)


def numbers_of(decision: Decision, shown: LawState, verdicts: Sequence[Verdict], tiers: Sequence[str]
               ) -> dict[str, float]:
    """What came out, by name; what does not exist in this cycle is not there. `tiers` are the tiers' names."""
    found, made = decision.estimate, decision.step
    numbers = {
        "battery_w": decision.battery_w, "load_w": found.load_w, "grid_w": found.grid_w,
        "batteries_measured_w": found.battery_w, "deficit_w": decision.need.deficit_w,
        "surplus_w": decision.need.surplus_w, "energy_wh": decision.fleet.energy_wh,
        "up_w_per_s": decision.limits.up_w_per_s, "ceiling_w": decision.limits.ceiling_w,
    }
    if made is not None:
        numbers |= {"low_w": made.low_w, "high_w": made.high_w, "target_w": made.target_w}
    if shown.reference is not None:
        numbers["reference_w"] = shown.reference.reference_w
    if shown.feed is not None:
        numbers |= {"filtered_w": shown.feed.filtered_w, "followed_w": shown.feed.followed_w}
    numbers |= {f"share:{name}": power for name, power in decision.shares.items()}
    numbers |= {f"tier:{name}": t.shed_w for name, t in zip(tiers, shown.shed.tiers, strict=True)}
    return numbers | {f"setpoint:{v.point}": v.value for v in verdicts if v.value is not None}


def words_of(decision: Decision, shown: LawState, verdicts: Sequence[Verdict]) -> Mapping[str, object]:
    """What came out that is no number: bindings, modes, tiers, and who won each set-point against whom."""
    return {
        "binding": decision.binding, "source": decision.estimate.source, "degraded": list(decision.degraded),
        "acts": decision.acts, "tiers": [t.engaged for t in shown.shed.tiers],
        "usable": [b.usable for b in decision.fleet.batteries],
        "verdicts": [[v.point, v.winner, int(v.level), v.limit, [x.partition("=")[0] for x in v.losers],
                      v.value is None] for v in verdicts],
    }
