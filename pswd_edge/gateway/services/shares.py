"""What draws the site's power now: each workload by its racks' meters, and the rest."""

from collections.abc import Mapping
from typing import NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.refusal import control_unavailable
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

    def __init__(self, live: LiveImage, workloads: WorkloadService) -> None:
        self._live, self._workloads = live, workloads

    def read(self) -> PowerShares:
        """The shares now; 503 where control is not alive."""
        report = self._live.report()
        if report is None:
            raise control_unavailable()
        running = [w for w in report.workloads if w.state not in _NOT_RUNNING]
        found = {w.announcement.workload_id: self._workloads.power_w(w) for w in running if w.controllers}
        known = {name: power_w for name, power_w in found.items() if power_w is not None}
        load_w = self.load_w()
        whole = load_w is not None and len(known) == len(found)
        return PowerShares(load_w, known, max(0.0, load_w - sum(known.values())) if whole and load_w is not None
                           else None)

    def load_w(self) -> float | None:
        """The sum of the load meters; where one of them is not known, the grid's power and the batteries'."""
        control = self._live.site.control
        by_meters = self._sum([meter.point for meter in control.load_meters])
        if by_meters is not None:
            return by_meters
        return self._sum([control.grid_power.point, *(battery.power.point for battery in control.batteries)])

    def _sum(self, points: list[int]) -> float | None:
        values = [self._live.value(point) for point in points]
        known = [value for value in values if value is not None]
        return sum(known) if known and len(known) == len(values) else None
