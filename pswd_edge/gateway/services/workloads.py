"""Workloads: what control keeps of them, and what their racks measure."""

from typing import NamedTuple

import numpy as np

from pswd_edge.clock import Clock
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.model.control import LoadController
from pswd_edge.model.workload import Workload, WorkloadState

_ENDED = frozenset({WorkloadState.REJECTED, WorkloadState.TERMINATED})


class WorkloadView(NamedTuple):
    """A workload and its measurements; None: not known.

    `power_w` is its share of what its racks measure; `peak_w`, `mean_w` the same since it was first seen by this
    gateway, once a second; temperature the hottest of its racks; progress where its racks serve it alone.
    `completion_utc_s` is start plus announced duration, while nothing slows it.
    """

    workload: Workload
    power_w: float | None
    peak_w: float | None
    mean_w: float | None
    temperature_c: float | None
    progress_percent: float | None
    completion_utc_s: float | None


class _History(NamedTuple):
    """Of one workload, known by when it was announced: a name can be announced again."""

    announced_utc_s: float
    peak_w: float
    total_w: float
    looks: int


class WorkloadService:
    """Live workload facts. `look` once a second keeps peak and mean."""

    def __init__(self, live: LiveImage, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._history: dict[str, _History] = {}

    def find(self, workload_id: str) -> Workload:
        """The workload as control keeps it; 404 where it has none of that name or rejected it, 503 without control."""
        found = next((w for w in self._all() if w.announcement.workload_id == workload_id), None)
        if found is None:
            raise not_found(workload_id)
        if found.state == WorkloadState.REJECTED:
            raise RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {workload_id}: was rejected; it does not run here")
        return found

    def read(self, workload_id: str) -> WorkloadView:
        """The workload and its measurements; errors as `find`."""
        workload = self.find(workload_id)
        history = self._history.get(workload_id)
        if history is not None and history.announced_utc_s != workload.announced_utc_s:
            history = None
        return WorkloadView(
            workload, self.power_w(workload),
            history.peak_w if history else None, history.total_w / history.looks if history else None,
            self._temperature_c(workload), self._progress_percent(workload), _completion_utc_s(workload),
        )

    def power_w(self, workload: Workload) -> float | None:
        """What its racks measure, shared by what is reserved there; None where a rack's power is not known."""
        if workload.state in _ENDED or not workload.controllers:
            return None
        parts = [self._share(workload, c) for c in workload.controllers]
        return sum(p for p in parts if p is not None) if None not in parts else None

    def look(self) -> None:
        """Take note of every running workload's power; forget those that control has forgotten."""
        if not self._live.alive:
            return
        seen = {}
        for workload in self._all():
            name, power_w = workload.announcement.workload_id, self.power_w(workload)
            old = self._history.get(name)
            if old is None or old.announced_utc_s != workload.announced_utc_s:
                old = _History(workload.announced_utc_s, -np.inf, 0.0, 0)
            if power_w is not None:
                old = _History(old.announced_utc_s, max(old.peak_w, power_w), old.total_w + power_w, old.looks + 1)
            if old.looks:
                seen[name] = old
        self._history = seen

    def _all(self) -> tuple[Workload, ...]:
        report = self._live.report()
        if report is None:
            raise control_unavailable()
        return report.workloads

    def _share(self, workload: Workload, controller: int) -> float | None:
        measured_w = self._live.value(self._live.site.control.load_controllers[controller].power)
        weights = {w.announcement.workload_id: _weight(w, controller) for w in self._all()}
        total, own = sum(weights.values()), weights.get(workload.announcement.workload_id, 0.0)
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


def not_found(workload_id: str) -> RefusalError:
    """404 for a workload that nobody announced."""
    return RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {workload_id}: not known; announce it first")


def _weight(workload: Workload, controller: int) -> float:
    """What a workload may draw from a rack: what it reserved, less by a throttle; an ended or paused one nothing."""
    if workload.state in _ENDED or controller not in workload.controllers:
        return 0.0
    reserved_w, total_w = workload.reserved_w[workload.controllers.index(controller)], sum(workload.reserved_w)
    if workload.state == WorkloadState.PAUSED:
        return 1e-9 * reserved_w      # alone on its rack it still answers for what the rack draws
    if workload.target_w is not None and total_w > 0:
        return reserved_w * min(1.0, workload.target_w / total_w)
    return reserved_w


def _completion_utc_s(workload: Workload) -> float | None:
    said = workload.announcement
    if said.duration_s is None or workload.state not in (WorkloadState.APPROVED, WorkloadState.CONDITIONAL):
        return None
    return max(workload.announced_utc_s, said.earliest_start_utc_s or 0.0) + said.duration_s
