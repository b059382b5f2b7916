"""Commands to cooling and heat delivery: set-points held through control, and how far each of them is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.dispatch import Dispatch, Progress, accepted, progress_of
from pswd_edge.model.command import Accepted, Clamped, Outcome, PrepareCooling, Request, SetPoint
from pswd_edge.model.report import SetpointReport
from pswd_edge.model.site import Site
from pswd_edge.model.thermal import Cooler

HOLD_S = 3600.0               # the contracts give no end: after an hour the law leads again
ANSWER_S = 0.92               # of the second that a client waits at most


class Move(NamedTuple):
    """A set-point that is to be held at `value`, by `ramp_per_s` at most (0: as fast as the site lets it)."""

    point: int
    value: float
    ramp_per_s: float = 0.0


class Moved(NamedTuple):
    """What became of a move. `limit` and `message` say what bound it, or why it failed; empty where nothing did.

    `value` is what was granted, None where it failed; `before` what the set-point showed when it was asked, None: not
    known.
    """

    move: Move
    progress: Progress
    value: float | None
    limit: str
    message: str
    eta_s: float | None
    expires_utc_s: float | None
    before: float | None = None


class Prepared(NamedTuple):
    """A cooler that is being made ready for `heat_w`."""

    cooler: str
    heat_w: float
    limit: str
    message: str
    eta_s: float | None
    expires_utc_s: float | None


class CoolingService:
    """Sends set-points; nothing is clamped here."""

    def __init__(self, live: LiveImage, dispatch: Dispatch, clock: Clock) -> None:
        self._live, self._dispatch, self._clock = live, dispatch, clock

    def points(self, kinds: Sequence[str], signal: str) -> list[int]:
        """The writable points of a signal on the devices of these kinds, in the order of the site."""
        site = self._live.site
        found = [site.find(device.id, signal) for device in site.devices_of(*kinds)]
        return [p for p in found if p is not None and site.points[p].write is not None]

    def shared(self, points: Sequence[int], total: float) -> list[Move]:
        """A total split over set-points in proportion to what each can take: rating, else declared or mapped most."""
        weights = weights_of(self._live.site, points)
        return [Move(p, total * w / sum(weights)) for p, w in zip(points, weights, strict=True)]

    async def hold(self, moves: Sequence[Move], sender: Sender, issued_utc_s: float, hold_s: float = HOLD_S
                   ) -> list[Moved]:
        """Ask control for all, one after the other, and wait for their devices, 0.92 s in all at most.

        Raises:
            RefusalError: control is not alive or does not answer; or every one of them was refused, as the first.
        """
        began_s, points = self._clock.monotonic_s(), self._live.site.points
        before = [self._live.value(m.point) for m in moves]
        outcomes = [await self._dispatch.ask(SetPoint(
            id=f"{sender.id}/{n}", origin=sender.origin, role=sender.role, issued_utc_s=issued_utc_s, ttl_s=hold_s,
            point=points[m.point].id, value=m.value, ramp_per_s=m.ramp_per_s)) for n, m in enumerate(moves)]
        taken = [o for o in outcomes if isinstance(o, Accepted | Clamped)]
        if not taken:
            accepted(outcomes[0])
        await self._dispatch.settle(max(o.cycle for o in taken), {m.point for m in moves},
                                    ANSWER_S - (self._clock.monotonic_s() - began_s))
        return [self._moved(m, o, sender.origin)._replace(before=b)
                for m, o, b in zip(moves, outcomes, before, strict=True)]

    def change(self, moved: Sequence[Moved]) -> dict[str, dict[str, float]]:
        """What the set-points showed before, and what was granted, by point id in SI units: for the audit."""
        points = self._live.site.points
        return {"before": {points[m.move.point].id: m.before for m in moved if m.before is not None},
                "after": {points[m.move.point].id: m.value for m in moved if m.value is not None}}

    def _moved(self, move: Move, outcome: Outcome, origin: str) -> Moved:
        if not isinstance(outcome, Accepted | Clamped):
            return Moved(move, "failed", None, outcome.limit, outcome.reason, None, None)
        value = outcome.value if isinstance(outcome, Clamped) else move.value
        progress, limit, message = self._led(move.point, outcome, origin)
        return Moved(move, progress, value, limit or outcome.limit, message or outcome.reason, outcome.eta_s,
                     outcome.expires_utc_s)

    def _led(self, point: int, outcome: Accepted | Clamped, origin: str) -> tuple[Progress, str, str]:
        """How far it is, and who else leads the point: a command is not carried out while an interlock has its way."""
        report, point_id = self._live.report(), self._live.site.points[point].id
        found = None if report is None else next((s for s in report.setpoints if s.point == point), None)
        if report is None or found is None or found.wanted is None or report.cycle < outcome.cycle:
            mode = "control is not alive" if report is None else f"the mode is {report.mode.value}"
            return "pending", "", f"{point_id}: not led yet; {mode}"
        if found.winner != origin:
            return "pending", found.winner, f"{point_id}: led by {found.winner} now"
        return progress_of(report, outcome.cycle, {point}), found.limit, _state(point_id, found)

    # --- making ready ---------------------------------------------------------------------------------------------

    def cooler(self, device: str) -> Cooler:
        """The cooler of this id; 409 where the law does not lead it, so that nothing can be made ready."""
        thermal = self._live.site.control.thermal
        found = next((c for c in (thermal.coolers if thermal else ()) if c.id == device), None)
        if found is None:
            raise RefusalError(409, "PREPARATION_UNAVAILABLE", f"{device}: the law does not lead it, so that it cannot "
                               "be made ready; leave `coordination` out, or name it under control.thermal.coolers")
        return found

    def heat_of(self, workload_id: str, cooler: Cooler) -> float | None:
        """The heat that an announced workload brings to a cooler, W; None where there is no such workload."""
        report = self._live.report()
        found = next((w for w in (report.workloads if report else ())
                      if w.announcement.workload_id == workload_id), None)
        if found is None:
            return None
        said = found.announcement
        heat = 1.0 if said.heat_w is None or said.peak_w <= 0 else said.heat_w / said.peak_w
        power_w = sum(w for c, w in zip(found.controllers, found.reserved_w, strict=True) if c in cooler.serves)
        return cooler.heat_share * heat * power_w

    async def prepare(self, cooler: Cooler, heat_w: float, hold_s: float | None, sender: Sender, issued_utc_s: float
                      ) -> Prepared:
        """Have a cooler made ready for `heat_w` for `hold_s` (None: the site's lead).

        Raises:
            RefusalError: as `accepted`.
        """
        thermal = self._live.site.control.thermal
        ttl_s = hold_s or (thermal.lead_s if thermal and thermal.lead_s > 0 else HOLD_S)
        request: Request = PrepareCooling(id=f"{sender.id}/prepare", origin=sender.origin, role=sender.role,
                                          issued_utc_s=issued_utc_s, ttl_s=ttl_s, cooler=cooler.id, heat_w=heat_w)
        taken = accepted(await self._dispatch.ask(request))
        granted_w = taken.value if isinstance(taken, Clamped) else heat_w
        return Prepared(cooler.id, granted_w, taken.limit, taken.reason, taken.eta_s, taken.expires_utc_s)


def joint(moved: Sequence[Moved]) -> Progress:
    """Failed where all have failed, pending where one is on its way, else executed."""
    states = {m.progress for m in moved}
    return "failed" if states == {"failed"} else "pending" if "pending" in states else "executed"


def weights_of(site: Site, points: Sequence[int]) -> list[float]:
    """What each set-point is weighted by: all by the ratings of their coolers, or by their declared most, or alike."""
    thermal = site.control.thermal
    coolers = thermal.coolers if thermal else ()
    ratings = {lead.point: c.rating_w for c in coolers for lead in c.leads}
    mosts = {lead.point: lead.high for c in coolers for lead in c.leads}
    mosts |= {e.flow.point: e.flow.high for e in (thermal.exports if thermal else ())}
    for weights in (ratings, mosts):
        if all(weights.get(p, 0.0) > 0 and math.isfinite(weights[p]) for p in points):
            return [weights[p] for p in points]
    return [1.0] * len(points)


def _state(point_id: str, found: SetpointReport) -> str:
    return f"{point_id}: {found.state}" if found.state in ("mismatch", "ineffective", "refused", "silent") else ""
