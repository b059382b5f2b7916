"""Workloads: what control keeps of them, and what their racks measure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.services.workload_figures import WorkloadFigures
from pswd_edge.model.control import LoadController
from pswd_edge.model.window import begin_utc_s
from pswd_edge.model.workload import Workload, WorkloadState

MIGRATION_UNAVAILABLE = "MIGRATION_UNAVAILABLE"
_ENDED = frozenset({WorkloadState.REJECTED, WorkloadState.TERMINATED, WorkloadState.EXPIRED})


class Allocation(NamedTuple):
    """Where a workload runs: the cooling that serves its racks, the circuits that feed them, the heat kept for it, W.

    Several of a kind are all named; empty where the site file does not say what serves or feeds a rack.
    """

    cooling: tuple[str, ...]
    circuits: tuple[str, ...]
    heat_w: float


class WorkloadView(NamedTuple):
    """A workload and its measurements; None: not known.

    `power_w` is its share of what its racks measure; `peak_w`, `mean_w` the same over the seconds in which it was
    known; temperature the hottest of its racks; progress where its racks serve it alone. `completion_utc_s` is start
    plus announced duration, while nothing slows it. `notes` say why it waits or ended, and what it cannot keep.
    """

    workload: Workload
    power_w: float | None
    peak_w: float | None
    mean_w: float | None
    temperature_c: float | None
    progress_percent: float | None
    completion_utc_s: float | None
    notes: tuple[str, ...] = ()


class WorkloadService:
    """Live workload facts. `look` once a second keeps peak and mean."""

    def __init__(self, live: LiveImage, clock: Clock, figures: WorkloadFigures) -> None:
        self._live = live
        self._clock = clock
        self._figures = figures

    def find(self, workload_id: str) -> Workload:
        """The workload as control keeps it; 404 where it has none of that name or rejected it, 503 without control."""
        found = self.known(workload_id)
        if found is None:
            raise not_found(workload_id)
        if found.state == WorkloadState.REJECTED:
            raise RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {workload_id}: was rejected; it does not run here")
        return found

    def state_of(self, workload_id: str) -> dict[str, Any] | None:
        """For the audit: what of a workload orders change, SI; None where it, or control, is not there."""
        report = self._live.report()
        found = None if report is None else next(
            (w for w in report.workloads if w.announcement.workload_id == workload_id), None)
        return None if found is None else changeable(found)

    def require_way_out(self, workload_id: str) -> None:
        """Raise 409 where the site knows no other that could take a workload; else as `find`."""
        self.find(workload_id)
        if not self._live.site.control.migration_targets:
            raise RefusalError(409, MIGRATION_UNAVAILABLE, f"workload {workload_id}: this site knows no other that "
                               "could take it; pause or terminate it")

    def known(self, workload_id: str) -> Workload | None:
        """As control keeps it, also one that it rejected; 503 without control."""
        return next((w for w in self._all() if w.announcement.workload_id == workload_id), None)

    def read(self, workload_id: str) -> WorkloadView:
        """The workload and its measurements; errors as `find`."""
        return self.view(self.find(workload_id))

    def view(self, workload: Workload) -> WorkloadView:
        """Its measurements; 503 without control."""
        figures = self._figures.of(workload.announcement.workload_id, workload.announced_utc_s)
        completion = _completion_utc_s(workload)
        return WorkloadView(
            workload, self.power_w(workload), figures.peak_w if figures else None, figures.mean_w if figures else None,
            self._temperature_c(workload), self._progress_percent(workload), completion, _notes(workload, completion),
        )

    def allocation(self, workload: Workload) -> Allocation:
        """Where it runs; empty names for one that holds nothing."""
        spec, racks = self._live.site.control, workload.controllers if workload.state not in _ENDED else ()
        coolers = spec.thermal.coolers if spec.thermal else ()
        circuits = [next((b.id for b in spec.branches if c in b.controllers), None) for c in racks]
        said, most_w = workload.announcement, workload.approved_w
        share = 1.0 if said.heat_w is None or said.peak_w <= 0 else said.heat_w / said.peak_w
        return Allocation(tuple([c.id for c in coolers if set(c.serves) & set(racks)]),
                          tuple(dict.fromkeys(i for i in circuits if i is not None)), most_w * share)

    def power_w(self, workload: Workload) -> float | None:
        """What its racks measure, shared by what is reserved there; None where a rack's power is not known."""
        name = workload.announcement.workload_id     # it may be newer than the report's
        others = [w for w in self._all() if w.announcement.workload_id != name]
        return self._power_w(workload, _weights([*others, workload]))

    def _power_w(self, workload: Workload, weights: Mapping[int, float]) -> float | None:
        if workload.state in _ENDED or not workload.controllers:
            return None
        parts = [self._share(workload, c, weights[c]) for c in workload.controllers]
        return sum(p for p in parts if p is not None) if None not in parts else None

    def look(self) -> None:
        """Take note of every running workload's power; forget those that control has forgotten."""
        if self._live.alive:
            found = self._all()
            weights = _weights(found)
            self._figures.look({(w.announcement.workload_id, w.announced_utc_s): self._power_w(w, weights)
                                for w in found})

    def _all(self) -> tuple[Workload, ...]:
        report = self._live.report()
        if report is None:
            raise control_unavailable()
        return report.workloads

    def _share(self, workload: Workload, controller: int, total: float) -> float | None:
        """Its part of what a rack measures; `total` is the weight of all that run there."""
        measured_w = self._live.value(self._live.site.control.load_controllers[controller].power)
        own = _weight(workload, controller)
        if measured_w is None or own <= 0 or total <= 0:
            return None
        return measured_w * own / total

    def _racks(self, workload: Workload) -> list[LoadController]:
        return [self._live.site.control.load_controllers[c] for c in workload.controllers]

    def _temperature_c(self, workload: Workload) -> float | None:
        values = [self._live.value(rack.temperature) for rack in self._racks(workload)]
        return max((value for value in values if value is not None), default=None)

    def _progress_percent(self, workload: Workload) -> float | None:
        """Mean over its racks; a rack that several workloads share says nothing about one of them."""
        others = [w for w in self._all() if w.state not in _ENDED and w != workload]
        if any(set(w.controllers) & set(workload.controllers) for w in others):
            return None
        values = [self._live.value(rack.progress) for rack in self._racks(workload)]
        known = [value for value in values if value is not None]
        return min(100.0, max(0.0, sum(known) / len(known))) if known and len(known) == len(values) else None


def changeable(workload: Workload) -> dict[str, Any]:
    """What of a workload orders and judgements change, SI; what is not set is left out."""
    fields = {"state": workload.state.value, "approved_w": workload.approved_w, "target_w": workload.target_w,
              "held": workload.held or None, "start_utc_s": workload.start_utc_s,
              "duration_limit_s": workload.duration_limit_s, "paused_until_utc_s": workload.paused_until_utc_s}
    return {name: value for name, value in fields.items() if value is not None}


def not_found(workload_id: str) -> RefusalError:
    """404 for a workload that nobody announced."""
    return RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {workload_id}: not known; announce it first")


def _weights(workloads: Sequence[Workload]) -> dict[int, float]:
    """Of all workloads together, by load controller."""
    found: dict[int, float] = defaultdict(float)
    for workload in workloads:
        for controller in workload.controllers:
            found[controller] += _weight(workload, controller)
    return found


def _weight(workload: Workload, controller: int) -> float:
    """What a workload may draw from a rack: what it reserved, less by a throttle; an ended or paused one nothing."""
    if workload.state in _ENDED or controller not in workload.controllers:
        return 0.0
    reserved_w, total_w = workload.reserved_w[workload.controllers.index(controller)], sum(workload.reserved_w)
    if workload.held or workload.state in (WorkloadState.PAUSED, WorkloadState.MIGRATING):
        return 1e-9 * reserved_w      # alone on its rack it still answers for what the rack draws
    if workload.target_w is not None and total_w > 0:
        return reserved_w * min(1.0, workload.target_w / total_w)
    return reserved_w


def _completion_utc_s(workload: Workload) -> float | None:
    """Estimated; None where it said nothing, or is slowed, or waits for something that nobody can date."""
    length_s = workload.announcement.duration_s if workload.duration_limit_s is None else workload.duration_limit_s
    if length_s is None or workload.state not in (WorkloadState.APPROVED, WorkloadState.CONDITIONAL):
        return None
    if workload.held and workload.start_utc_s is None:
        return None
    return begin_utc_s(workload) + length_s


def _notes(workload: Workload, completion_utc_s: float | None) -> tuple[str, ...]:
    said, notes = workload.announcement, [workload.held or "", workload.reason]
    ends = {"deadline": said.deadline_utc_s, "latest completion": said.latest_completion_utc_s}
    for name, end_utc_s in ends.items():
        if end_utc_s is not None and completion_utc_s is not None and completion_utc_s > end_utc_s:
            notes.append(f"its {name} cannot be met: it ends {completion_utc_s - end_utc_s:.0f} s after it at best")
    return tuple([note for note in notes if note])
