"""What racks and cooling have left for a workload. Pure; control judges by it, the planner proposes by it."""

from collections.abc import Iterable

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import Announcement, Workload


def spare_w(spec: ControlSpec, workloads: Iterable[Workload]) -> list[float]:
    """What live workloads leave of each load controller's rating, W."""
    spare = [c.rating_w for c in spec.load_controllers]
    for workload in workloads:
        if is_live(workload):
            for controller, reserved in zip(workload.controllers, workload.reserved_w, strict=True):
                spare[controller] -= reserved
    return [max(0.0, s) for s in spare]


def power_for_heat(announcement: Announcement, heat_w: float) -> float:
    """The power at which the workload's heat fills `heat_w`; it makes as much heat as power unless it says less."""
    if announcement.heat_w is None or announcement.peak_w <= 0:
        return heat_w
    share = announcement.heat_w / announcement.peak_w
    return heat_w / share if share > 0 else float("inf")


def fast(ramp_w_per_s: float, followed_w_per_s: float) -> bool:
    """Whether swings are too fast for the grid's ramp, so that the batteries must carry them; 0 is a step."""
    return not 0 < ramp_w_per_s <= followed_w_per_s
