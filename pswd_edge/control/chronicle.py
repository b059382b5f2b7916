"""What changed in a cycle, for the ledger: winners, what binds, mode, tiers, limits, droop, each with its reasons.

Set-points of every cycle are no changes: they lie in the image's ring. A subject that goes to and fro is written at
most once in a pause that doubles from a second to a minute while it does, with the number of changes in between. What
binds goes to and fro in quiet operation already; mode, degraded modes and tiers have a pause of their own.
"""

import math
from typing import NamedTuple

import numpy as np

from pswd_edge.chain.chain import Body
from pswd_edge.clock import iso_utc
from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.ledger import Ledger, request_head
from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.power_record import PowerBlock
from pswd_edge.control.rules.law import Decision, LawState
from pswd_edge.model.command import Commission, Outcome
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site
from pswd_edge.model.snapshot import Snapshot

PAUSE_S, PAUSE_MAX_S = 1.0, 60.0
BLOCK_S = 10.0                # of the power record: what a power cut may cost
CLOCK_STEP_S = 0.5
_LIMIT_STEP_W = 1e5           # a guaranteed range that moves less is the same



class _Subject:
    """One subject's last seen key, and when it may be written again."""

    __slots__ = ("folded", "next_s", "pause_s", "seen")

    def __init__(self) -> None:
        self.seen: object = None
        self.next_s, self.pause_s, self.folded = -math.inf, PAUSE_S, 0


class _Moment(NamedTuple):
    """One cycle's everything."""

    snapshot: Snapshot
    decision: Decision
    state: LawState
    verdicts: list[Verdict]
    keeper: ModeKeeper


class Chronicle:
    """Compares each cycle with the one before. The loop calls it; nothing here waits."""

    def __init__(self, site: Site, ledger: Ledger) -> None:
        self._site, self._spec, self._ledger = site, site.control, ledger
        self._inputs = tuple(dict.fromkeys(input_points(site.control)))
        self._subjects: dict[str | int, _Subject] = {}
        self._power: list[float] = []
        self._first = (0, 0.0, 0.0)
        self._second_s = -math.inf
        self._due: set[str | int] = set()
        self._offset_s: float | None = None
        self._slots = max(1, round(BLOCK_S * 1000 / site.control.period_ms))

    def note(self, snapshot: Snapshot, decision: Decision, state: LawState, verdicts: list[Verdict],
             keeper: ModeKeeper) -> None:
        """Queue what is new; once a second have it written."""
        now_s = snapshot.time_s
        moment = _Moment(snapshot, decision, state, verdicts, keeper)
        limits = decision.limits
        tiers = tuple([t.engaged for t in state.shed.tiers])
        self._look("site", (keeper.mode, decision.degraded, tiers), now_s, moment)
        self._look("binding", (decision.binding, round(limits.ceiling_w / _LIMIT_STEP_W),
                               round(limits.floor_w / _LIMIT_STEP_W), decision.grid), now_s, moment)
        droop_w = decision.droop_w or 0.0
        self._look("droop", (droop_w > 0, droop_w < 0), now_s, moment)
        for v in verdicts:
            losers = tuple([text.partition("=")[0] for text in v.losers]) if v.losers else ()
            self._look(v.point, (v.winner, v.level, v.limit, losers, len(v.tied), v.value is None), now_s, moment)
        for subject in [s for s in self._due if now_s >= self._subjects[s].next_s] if self._due else ():
            self._write(subject, now_s, moment)
        self._keep_power(snapshot)
        if now_s - self._second_s >= 1.0:
            self._second_s = now_s
            self._watch_clock(snapshot)
            self._ledger.flush()

    def _look(self, name: str | int, key: object, now_s: float, moment: _Moment) -> None:
        subject = self._subjects.get(name)
        if subject is None:
            subject = self._subjects[name] = _Subject()
            if name in {"binding", "droop"}:  # the site's first entry has it already
                subject.seen = key
                return
        elif key == subject.seen:
            return
        subject.seen = key
        if now_s >= subject.next_s:
            self._write(name, now_s, moment)
        else:
            subject.folded += 1
            self._due.add(name)

    def _write(self, name: str | int, now_s: float, moment: _Moment) -> None:
        """Queue the subject as it is now. Its pause doubles while it went to and fro, else it is a second again."""
        subject = self._subjects[name]
        self._due.discard(name)
        calm = now_s - subject.next_s > subject.pause_s
        subject.pause_s = PAUSE_S if calm else min(PAUSE_MAX_S, 2 * subject.pause_s)
        body = self._site_body(moment) if isinstance(name, str) else self._point_body(name, moment)
        if body is not None:
            shadow = {"shadow": True} if self._spec.shadow else {}
            self._ledger.note({**body, **shadow, "folded": subject.folded, "inputs": self._inputs_of(moment.snapshot)})
        subject.folded, subject.next_s = 0, now_s + subject.pause_s

    # --- entries ------------------------------------------------------------------------------------------------

    def _site_body(self, moment: _Moment) -> Body:
        _, decision, state, _, keeper = moment
        made, reference, limits = decision.step, state.reference, decision.limits
        return {
            **_head(moment.snapshot), "subject": "site", "mode": keeper.mode.value, "mode_reason": keeper.reason,
            "binding": decision.binding, "degraded": decision.degraded,
            "tiers": {t.id: s.shed_w if s.engaged else None
                      for t, s in zip(self._spec.tiers, state.shed.tiers, strict=True)},
            "limits": {"floor_w": limits.floor_w, "ceiling_w": limits.ceiling_w, "up_w_per_s": limits.up_w_per_s,
                       "down_w_per_s": limits.down_w_per_s,
                       "import_w": decision.grid.import_w, "ramp_w_per_min": decision.grid.ramp_w_per_min},
            "load_w": decision.estimate.load_w, "grid_w": decision.estimate.grid_w, "source": decision.estimate.source,
            "battery_w": decision.battery_w, "reference_w": None if reference is None else reference.reference_w,
            "load_filtered_w": None if state.feed is None else state.feed.filtered_w,
            "reference_low_w": None if made is None else made.low_w,
            "reference_high_w": None if made is None else made.high_w,
            "droop_w": decision.droop_w, "deficit_w": decision.need.deficit_w, "surplus_w": decision.need.surplus_w,
            "energy_wh": decision.fleet.energy_wh,
            "batteries": {b.id: {"usable": b.usable, "charge_w": b.charge_available_w,
                                 "discharge_w": b.discharge_available_w, "share_w": decision.shares.get(b.id, 0.0)}
                          for b in decision.fleet.batteries},
        }

    def _point_body(self, point: int, moment: _Moment) -> Body | None:
        verdict = next((v for v in moment.verdicts if v.point == point), None)
        if verdict is None:
            return None
        return {**_head(moment.snapshot), "subject": f"point:{self._site.points[point].id}", "value": verdict.value,
                "unit": self._site.points[point].unit, "winner": verdict.winner,
                "level": verdict.level, "limit": verdict.limit, "losers": verdict.losers,
                **({"tied": verdict.tied} if verdict.tied else {}),
                "mode": moment.keeper.mode.value, "binding": moment.decision.binding}

    def _inputs_of(self, snapshot: Snapshot) -> Body:
        """Value, quality, reason and age of every control input; what is infinite or no number becomes null."""
        return {self._site.points[p].id: [r.value, r.quality.name, r.reason.name, r.age_s]
                for p in self._inputs for r in (snapshot.read(p),)}

    # --- the grid's power ---------------------------------------------------------------------------------------

    def _keep_power(self, snapshot: Snapshot) -> None:
        reading = snapshot.read(self._spec.grid_power.point)
        fresh = reading.quality is Quality.GOOD and reading.age_s * 1000 <= self._spec.grid_power.max_age_ms
        missing = snapshot.cycle - self._first[0] - len(self._power)
        if self._power and not 0 <= missing < self._slots:
            self._hand_over()
        if not self._power:
            self._first = (snapshot.cycle, snapshot.utc_s, snapshot.time_s)
            missing = 0
        self._power += [math.nan] * missing
        self._power.append(reading.value if fresh else math.nan)
        if len(self._power) >= self._slots:
            self._hand_over()

    def _hand_over(self) -> None:
        cycle, utc_s, time_s = self._first
        self._ledger.keep_power(PowerBlock(self._spec.period_ms, cycle, utc_s, time_s,
                                           np.array(self._power, dtype=np.float32)))
        self._power = []

    def _watch_clock(self, snapshot: Snapshot) -> None:
        """A wall clock that was set is an entry: the times before and behind it are not of one scale."""
        offset_s = snapshot.utc_s - snapshot.time_s
        if self._offset_s is not None and abs(offset_s - self._offset_s) > CLOCK_STEP_S:
            self._ledger.note({**_head(snapshot), "kind": "clock", "subject": "site",
                               "step_s": offset_s - self._offset_s})
            if self._power:
                self._hand_over()
        self._offset_s = offset_s


def input_points(spec: ControlSpec) -> list[int]:
    """What the law decides by: grid power, with droop its frequency, load meters, each battery's SoC and power."""
    batteries = [p for b in spec.batteries for p in (b.soc.point, b.power.point)]
    frequency = [] if spec.droop is None or spec.frequency is None else [spec.frequency]
    return [spec.grid_power.point, *frequency, *(m.point for m in spec.load_meters), *batteries]


def tried_body(request: Commission, outcome: Outcome, utc_s: float) -> Body:
    """A trial of commissioning with its outcome, as the chain keeps it."""
    return {**request_head(request, utc_s, 200), "request": request, "answer": type(outcome).__name__,
            "outcome": outcome}


def _head(snapshot: Snapshot) -> Body:
    return {"kind": "change", "utc_s": snapshot.utc_s, "utc": iso_utc(snapshot.utc_s), "monotonic_s": snapshot.time_s,
            "cycle": snapshot.cycle}
