"""What draws the site's power now: each workload by its racks' meters, and the rest."""

from collections.abc import Mapping
from typing import NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.workloads import WorkloadService
from pswd_edge.model.workload import WorkloadState

_NOT_RUNNING = frozenset({WorkloadState.REJECTED, WorkloadState.TERMINATED})


class PowerShares(NamedTuple):
    """W; None: not known. `load_w` is what the site consumes, without what its batteries take or give.

    `workloads_w` has those whose racks are measured. `rest_w` is what none of them draws: known only where the load and
    every workload are, and never below 0 (two meters are not read at the same instant).
    """

    load_w: float | None
    workloads_w: Mapping[str, float]
    rest_w: float | None


class SharesService:
    """Live shares of power."""

    def __init__(self, live: LiveImage, workloads: WorkloadService, power: PowerService) -> None:
        self._live, self._workloads, self._power = live, workloads, power

    def read(self) -> PowerShares:
        """The shares now; 503 where control is not alive."""
        report = self._live.report()
        if report is None:
            raise control_unavailable()
        running = [w for w in report.workloads if w.state not in _NOT_RUNNING]
        found = {w.announcement.workload_id: self._workloads.power_w(w) for w in running if w.controllers}
        known = {name: power_w for name, power_w in found.items() if power_w is not None}
        load_w = self._power.total_w()
        whole = load_w is not None and len(known) == len(found)
        return PowerShares(load_w, known, max(0.0, load_w - sum(known.values())) if whole and load_w is not None
                           else None)
