"""Answers to the grid operator's demand response requests, and the commitments that come of them.

An accepted reduction is an import limit at control's door: the law keeps it with its batteries and tiers, within the
ramp. Workloads that were named are throttled first. What was really delivered is measured every second, kept, and told
to the operator at the end.
"""

import asyncio
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from pswd_edge.clock import Clock, iso_utc
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable, unavailable
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services.baseline import mean_grid_w
from pswd_edge.gateway.services.commitment import (
    LIVE,
    Answered,
    Commitment,
    CommitmentTable,
    Measured,
    Offer,
    Stage,
)
from pswd_edge.gateway.services.delivery import Delivered, Delivery
from pswd_edge.gateway.services.dispatch import Dispatch, accepted
from pswd_edge.gateway.services.forecast import ForecastService
from pswd_edge.gateway.services.grid_event import ENDED, STARTED
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.throttles import Throttles
from pswd_edge.model.command import AHEAD_S, Clamped, SetLimit
from pswd_edge.planning.flexibility import lead_s

LONGEST_S = 86_400.0 - 2 * AHEAD_S    # from the answer to the end: as long as control holds a limit
TELL_S = 0.6                  # for the operator's word, of the second that a command may take
KEEP_S = 10.0                 # between two writes of what is measured
_STEP_MAX_S = 5.0             # a gap in the measurements longer than this is left out
_ASK_S = 5.0                  # between two looks whether the operator has answered
_LOG = structlog.get_logger("pswd_edge.gateway")


class ResponseView(NamedTuple):
    """A commitment, and how far the operator has been told of it."""

    commitment: Commitment
    told: Delivered


class DemandResponse:
    """`respond` is a client's; `turn` once a second carries the commitments through; `run` is that for ever."""

    def __init__(self, live: LiveImage, clock: Clock, heavy: HeavyWork, dispatch: Dispatch, delivery: Delivery,
                 events: GridEvents, forecast: ForecastService, table: CommitmentTable) -> None:
        self._live, self._clock, self._heavy, self._dispatch = live, clock, heavy, dispatch
        self._delivery, self._events, self._forecast, self._table = delivery, events, forecast, table
        self._throttles = Throttles(live, clock, dispatch)
        self._turn = asyncio.Lock()
        self._measured_s: dict[str, float] = {}
        self._kept_s: dict[str, float] = {}
        self._asked_s = 0.0

    @property
    def active(self) -> bool:
        """Whether a commitment is in force now."""
        return any(c.stage == "active" for c in self._table.all.values())

    def current(self) -> list[Commitment]:
        """Those that are to come or in force."""
        return self._table.live()

    def find(self, event_id: str) -> Commitment | None:
        """What was answered to a request; None where nothing was."""
        return self._table.all.get(event_id)

    # --- a client's answer ---------------------------------------------------------------------------------------

    async def respond(self, event_id: str, answered: Answered, offer: Offer | None, sender: Sender) -> ResponseView:
        """Answer a request, once; the same answer again gets what the first one got, as it stands now.

        Raises:
            RefusalError: 404 for an unknown event or workload; 409 where it is too late, was answered otherwise, taken
                back, or is more than the site can give; 503 where control or the load is not there; as `Dispatch.ask`.
        """
        self._delivery.require("grid")
        async with self._turn:
            known = self._table.all.get(event_id)
            if known is None:
                await self._require_open(event_id)
                made = await (self._declined(event_id, sender) if offer is None else
                              self._promised(event_id, offer, sender))
            elif (known.answered, known.offer) != (answered, offer):
                raise RefusalError(409, "EVENT_ALREADY_ANSWERED", f"event {event_id}: was answered with "
                                   f"{known.answered} at {iso_utc(known.made_utc_s)}; an answer stands")
            else:
                made = known
        return await self._told(made)

    async def _require_open(self, event_id: str) -> None:
        demand = await self._events.demand(event_id)
        if demand is None:
            raise RefusalError(404, "EVENT_NOT_FOUND", f"event {event_id}: the grid operator has not asked for it")
        if await self._events.cancelled(event_id):
            raise RefusalError(409, "EVENT_CANCELLED", f"event {event_id}: the grid operator has taken it back")
        if self._clock.utc_s() > demand.deadline_utc_s:
            raise RefusalError(409, "RESPONSE_DEADLINE_PASSED", f"event {event_id}: answers were due by "
                               f"{iso_utc(demand.deadline_utc_s)}")

    async def _declined(self, event_id: str, sender: Sender) -> Commitment:
        made = Commitment(event_id, "decline", sender.origin, sender.role, self._clock.utc_s(), "declined",
                          f"dr:{event_id}:decline")
        await self._table.keep(made)
        return made

    async def _promised(self, event_id: str, offer: Offer, sender: Sender) -> Commitment:
        """The limit first: the operator is told of nothing that control does not keep."""
        if not self._live.alive:
            raise control_unavailable()
        self._throttles.require_known(offer.workloads)
        baseline = await self._heavy.run(lambda: mean_grid_w(self._live))
        if baseline is None:
            raise unavailable("BASELINE_UNKNOWN", "the grid's power is not measured: there is nothing to reduce from")
        self._require_possible(offer, baseline[0])
        now_utc_s = self._clock.utc_s()
        needs_s, begin_utc_s = lead_s(self._live.site.control, offer.reduction_w), now_utc_s + offer.response_s
        made = Commitment(
            event_id, "accept", sender.origin, sender.role, now_utc_s, "scheduled", f"dr:{event_id}:accept", offer,
            self._free(max(now_utc_s, begin_utc_s - needs_s)), begin_utc_s, begin_utc_s + offer.duration_s, *baseline,
            max(0.0, baseline[0] - offer.reduction_w),
            f"within the ramp limit all of it is there {needs_s:.0f} s after the answer"
            if needs_s > offer.response_s else "")
        outcome = accepted(await self._dispatch.ask(self._limit(made, made.limit_w, "limit")))
        if isinstance(outcome, Clamped):
            made = replace(made, note=f"control keeps {outcome.value / 1e6:g} MW in any case: {outcome.reason}")
        await self._table.keep(made)
        _LOG.info("demand response: committed", id=event_id, origin=sender.origin, reduction_w=offer.reduction_w,
                  limit_w=made.limit_w, baseline_w=made.baseline_w)
        return made

    def _free(self, from_utc_s: float) -> float:
        """Control tells limits of one origin apart by the second in which they begin: no two commitments share one."""
        taken = {round(c.from_utc_s) for c in self._table.live()}
        while round(from_utc_s) in taken:
            from_utc_s -= 1.0
        return from_utc_s

    def _require_possible(self, offer: Offer, baseline_w: float) -> None:
        """Raise 409 where batteries, tiers and workloads together cannot take so much off for so long."""
        most_w = min(self._forecast.flexibility_now(max(offer.duration_s, 1.0)).down_w, max(0.0, baseline_w))
        if offer.reduction_w <= most_w:
            return
        asked_mw, most_mw = offer.reduction_w / 1e6, most_w / 1e6
        raise RefusalError(
            409, "INSUFFICIENT_POWER_CAPACITY",
            f"commitment.load_reduction_mw: got {asked_mw:g}: this site can take off {most_mw:.3f} MW for "
            f"{offer.duration_s / 3600:g} h now",
            details={"requested_reduction_mw": round(asked_mw, 6), "available_reduction_mw": round(most_mw, 3),
                     "suggested_alternatives": [f"Commit to {most_mw:.1f} MW", "Commit for a shorter time"]})

    def _limit(self, commitment: Commitment, value_w: float, what: str) -> SetLimit:
        """The import limit of a commitment. Its id tells control that it is the same one."""
        now_utc_s = self._clock.utc_s()
        return SetLimit(
            id=f"dr:{commitment.event_id}:{what}", origin=commitment.origin, role=commitment.role,
            issued_utc_s=now_utc_s, ttl_s=max(1.0, commitment.end_utc_s - now_utc_s), name="import_limit_w",
            value=value_w, from_utc_s=commitment.from_utc_s)

    async def _told(self, made: Commitment) -> ResponseView:
        """Tell the operator; a commitment that it does not want is let go of."""
        told = await self._tell(made, TELL_S)
        if told.status == "rejected":
            async with self._turn:
                await self._reject(self._table.all[made.event_id], told)
        return ResponseView(self._table.all[made.event_id], told)

    async def _tell(self, made: Commitment, inline_s: float) -> Delivered:
        return await self._delivery.send("grid", "demand_response_response", _words(made), made.origin, made.told_id,
                                         inline_s)

    async def _reject(self, commitment: Commitment, told: Delivered) -> None:
        if commitment.stage in LIVE:
            await self._let_go(commitment, "rejected", told.response)

    # --- once a second -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. What goes wrong in one turn is told; the next one is tried."""
        while True:
            try:
                async with self._turn:
                    await self.turn()
            except Exception as error:  # noqa: BLE001  # the limit is control's: it holds whatever goes wrong here
                _LOG.error("demand response: a turn failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(1.0)

    async def turn(self) -> None:
        """Throttle, begin, measure, end: each live commitment by its times."""
        ask = self._clock.monotonic_s() - self._asked_s >= _ASK_S
        for commitment in self._table.live():
            try:
                if not ask or not await self._gone(commitment):
                    await self._carry(commitment)
            except RefusalError as error:
                _LOG.warning("demand response: not carried on now", id=commitment.event_id, reason=error.message)
        if ask:
            self._asked_s = self._clock.monotonic_s()

    async def _gone(self, commitment: Commitment) -> bool:
        """Whether the operator took its request back, or does not want the commitment; then it is let go of."""
        if await self._events.cancelled(commitment.event_id):
            await self._let_go(commitment, "cancelled", "taken back by the grid operator")
            return True
        told = await self._delivery.find(commitment.told_id) or await self._tell(commitment, 0.1)
        if told.status == "rejected":
            await self._reject(commitment, told)
            return True
        return False

    async def _carry(self, commitment: Commitment) -> None:
        now_utc_s = self._clock.utc_s()
        if commitment.from_utc_s <= now_utc_s < commitment.end_utc_s:
            throttled = await self._throttles.begin(commitment)
            if throttled != commitment.throttled:
                commitment = replace(commitment, throttled=throttled)
                await self._table.keep(commitment)
        if now_utc_s >= commitment.end_utc_s:
            await self._end(commitment)
        elif now_utc_s >= commitment.begin_utc_s:
            await self._measure(commitment)

    async def _measure(self, commitment: Commitment) -> None:
        now_s, report = self._clock.monotonic_s(), self._live.report()
        if commitment.stage == "scheduled":
            commitment = replace(commitment, stage="active")
            await self._table.keep(commitment)
            await self._events.tell(STARTED, commitment.event_id, {"reduction_w": commitment.baseline_w
                                                                   - commitment.limit_w})
        since_s = now_s - self._measured_s.get(commitment.event_id, now_s)
        self._measured_s[commitment.event_id] = now_s
        if report is None or report.grid_w is None or not 0 < since_s <= _STEP_MAX_S:
            return
        commitment = replace(commitment, measured=commitment.measured.after(
            commitment.baseline_w - report.grid_w, since_s))
        self._table.all[commitment.event_id] = commitment
        if now_s - self._kept_s.get(commitment.event_id, 0.0) >= KEEP_S:
            self._kept_s[commitment.event_id] = now_s
            await self._table.keep(commitment)

    async def _end(self, commitment: Commitment) -> None:
        """Workloads are let go, the result is kept and told. The limit has run out by itself."""
        await self._throttles.end(commitment)
        await self._table.keep(replace(commitment, stage="completed"))
        self._forget(commitment.event_id)
        result = _result(commitment.measured)
        await self._events.tell(ENDED, commitment.event_id, result)
        await self._report(commitment, "demand_response_result", {"event_id": commitment.event_id, **result})

    async def _let_go(self, commitment: Commitment, stage: Stage, why: str) -> None:
        """As loose as the site file says, at the place of the commitment's own limit: others of its origin stay."""
        loose_w = self._live.site.control.import_limit_w
        accepted(await self._dispatch.ask(self._limit(commitment, loose_w, stage)))
        await self._throttles.end(commitment)
        await self._table.keep(replace(commitment, stage=stage, note=why))
        self._forget(commitment.event_id)
        await self._events.tell(ENDED, commitment.event_id, {"reason": why, **_result(commitment.measured)})

    async def _report(self, commitment: Commitment, kind: str, content: dict[str, object]) -> None:
        try:
            await self._delivery.send("grid", kind, content, commitment.origin, f"dr:{commitment.event_id}:result", 0.1)
        except RefusalError as error:
            _LOG.warning("demand response: the result cannot be told", id=commitment.event_id, reason=error.message)

    def _forget(self, event_id: str) -> None:
        self._measured_s.pop(event_id, None)
        self._kept_s.pop(event_id, None)


def _words(made: Commitment) -> dict[str, object]:
    """The answer as the operator gets it."""
    words: dict[str, object] = {"event_id": made.event_id, "response": made.answered}
    if made.offer is not None:
        words["commitment"] = {
            "reduction_w": made.offer.reduction_w, "baseline_w": round(made.baseline_w),
            "begins_at": iso_utc(made.begin_utc_s), "ends_at": iso_utc(made.end_utc_s)}
    return words


def _result(measured: Measured) -> dict[str, object]:
    found = {"seconds": round(measured.seconds, 1), "energy_wh": round(measured.energy_wh),
             "mean_reduction_w": measured.mean_w, "least_reduction_w": measured.least_w}
    return {name: value for name, value in found.items() if value is not None}
