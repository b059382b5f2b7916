"""The workloads that control keeps: what they may draw, what their racks are told, and when that ends."""

from collections.abc import Iterator, Mapping

import msgspec
import structlog

from pswd_edge.control.arbiter import Bound, Candidate
from pswd_edge.control.holds import Ends, ends_of, run_out
from pswd_edge.control.ledger import ENDED_KEPT, Entry
from pswd_edge.control.rules.placement import controller_caps, eased_w, run_orders
from pswd_edge.model.command import Level
from pswd_edge.model.site import Site
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import Workload

_log = structlog.get_logger("control")


class Reservations:
    """Those that live, and the last hundred that ended. `ends` has their times, by workload id."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._allowed_w: dict[str, float] = {}
        self._halted: set[int] = set()
        self.workloads: dict[str, Workload] = {}
        self.ends: dict[str, Ends] = {}

    def move(self, site: Site, controllers: Mapping[int, int]) -> list[str]:
        """Go on under another site; `controllers` is old index to new. Returns a sentence for each workload gone."""
        self._site, gone = site, []
        self._halted = {controllers[i] for i in self._halted if i in controllers}
        for workload_id, workload in list(self.workloads.items()):
            if all(c in controllers for c in workload.controllers):
                places = tuple(controllers[c] for c in workload.controllers)
                self.workloads[workload_id] = msgspec.structs.replace(workload, controllers=places)
            else:
                del self.workloads[workload_id], self.ends[workload_id]
                gone.append(f"workload {workload_id}: a load controller of it is gone; announce it again")
        return gone

    def keep(self, workload: Workload, entry: Entry, began_s: float) -> None:
        """Keep a workload as `entry`, taken at `began_s` (monotonic), has made or changed it."""
        workload_id = workload.announcement.workload_id
        if any(c >= len(self._site.control.load_controllers) for c in workload.controllers):
            _log.warning("restored workload: the site has lost its load controllers; announce it again",
                         workload=workload_id)
            return
        self.workloads.pop(workload_id, None)
        self.workloads[workload_id] = workload
        self.ends[workload_id] = ends_of(workload, entry, began_s, self.ends.get(workload_id))
        ended = [i for i, w in self.workloads.items() if not is_live(w)]
        for i in ended[:-ENDED_KEPT]:
            del self.workloads[i], self.ends[i]

    def expire(self, now_s: float) -> list[str]:
        """End pauses and throttles that have run out; returns a sentence for each."""
        gone = []
        for workload_id, workload in self.workloads.items():
            after = run_out(workload, self.ends[workload_id], now_s)
            if after is not None:
                self.workloads[workload_id] = after
                gone.append(f"{workload_id}: {workload.state.value} expired, {after.state.value} again")
        return gone

    @property
    def pause_ends_s(self) -> dict[str, float]:
        """When each workload's pause ends (monotonic), by workload id; infinite where it has no end."""
        return {i: ends.pause_s for i, ends in self.ends.items()}

    def run_commands(self) -> Iterator[Candidate]:
        """Pause and stop as ordered; run only where a job was halted by us: what others halted stays halted."""
        for controller, order in run_orders(tuple(self.workloads.values())).items():
            point = self._site.control.load_controllers[controller].run_command
            if point is None or (order == "run" and controller not in self._halted):
                continue
            self._halted.add(controller)
            codes = {name: code for code, name in self._site.points[point].labels.items()}
            if order in codes:
                yield Candidate(point, float(codes[order]), Level.API, "workload")

    def ease(self, dt_s: float) -> None:
        """Move each workload's allowed power toward what it is to be, at the ramp that its order asked for."""
        self._allowed_w = {i: eased_w(self._allowed_w.get(i, w.approved_w), w, dt_s)
                           for i, w in self.workloads.items() if is_live(w)}

    def bounds(self) -> list[Bound]:
        """Caps that throttled, paused, held and conditional workloads put on load controllers."""
        spec = self._site.control
        caps = controller_caps(spec, tuple(self.workloads.values()), self._allowed_w)
        return [Bound(spec.load_controllers[c].cap, 0.0, w, Level.API, "workload") for c, w in caps.items()]
