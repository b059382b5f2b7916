"""A job on racks: one load trace, and how much of it each rack draws."""

from collections.abc import Mapping

from simulators.loads import LoadShape
from simulators.plant.rack import Rack


class Job:
    """All its racks draw the same trace at the same time, as a synchronous job does."""

    def __init__(self, load: LoadShape, peaks: Mapping[Rack, float]) -> None:
        self.load = load
        self._peaks = tuple(peaks.items())

    def demand(self, t_s: float, dt_s: float) -> None:
        """Add what the job wants in this step to its racks' demand."""
        share = self.load.power_share(t_s, dt_s)
        for rack, peak_w in self._peaks:
            rack.demand_w += share * peak_w
