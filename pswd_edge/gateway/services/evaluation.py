"""What can be said of an announcement before control is asked: whether it is possible at all, and what would fit."""

from typing import NamedTuple

from msgspec.structs import replace

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.report import Report
from pswd_edge.model.workload import Announcement, Offer
from pswd_edge.planning import admission
from pswd_edge.planning.admission import Alternative, Outlook

_FEW = 20                     # workloads that are looked at without a thread


class Impossible(NamedTuple):
    """Beyond the site's rating: of "power", "cooling" or "swing", what was asked and what there ever is, W."""

    kind: str
    requested_w: float
    available_w: float
    alternatives: tuple[Alternative, ...]


class Evaluation:
    """Looks at the live site; decides nothing."""

    def __init__(self, live: LiveImage, clock: Clock, heavy: HeavyWork) -> None:
        self._live, self._clock, self._heavy = live, clock, heavy

    def impossible(self, said: Announcement) -> Impossible | None:
        """Why the site can never carry it, however long it waits; None where it could."""
        spec, ramp = self._live.site.control, ramp_w_per_s(self._live.site.control, self._live.report())
        scarce, least_w = admission.at_rating(spec, said, ramp), admission.least_w(said)
        if scarce.most_w >= least_w:
            return None
        share = 1.0
        if scarce.kind == "cooling" and said.heat_w is not None and said.peak_w > 0:
            share = said.heat_w / said.peak_w
        return Impossible(scarce.kind, least_w * share, scarce.most_w * share,
                          admission.rated_alternatives(spec, said, ramp))

    async def offer(self, said: Announcement) -> Offer | None:
        """How control is to be asked; None: as it was announced."""
        outlook = self._outlook()
        if outlook is None:
            return None
        if len(outlook.workloads) <= _FEW:
            return admission.offer_for(outlook, said)
        return await self._heavy.run(lambda: admission.offer_for(outlook, said))

    async def alternatives(self, said: Announcement) -> tuple[Alternative, ...]:
        """What would fit in its place, now or later."""
        outlook = self._outlook()
        if outlook is None:
            return ()
        if self.impossible(said) is not None:
            return admission.rated_alternatives(outlook.spec, said, outlook.ramp_w_per_s)
        if len(outlook.workloads) <= _FEW:
            return admission.alternatives(outlook, said)
        return await self._heavy.run(lambda: admission.alternatives(outlook, said))

    def _outlook(self) -> Outlook | None:
        report = self._live.report()
        if report is None:
            return None
        spec = self._live.site.control
        return Outlook(spec_now(spec, report), report.workloads, report.headroom,
                       ramp_w_per_s(spec, report), report.load_w, self._clock.utc_s())


def spec_now(spec: ControlSpec, report: Report) -> ControlSpec:
    """What the site promises, with the import limit that is in force."""
    limits = [r.value for r in report.limits if r.name == "import_limit_w" and r.begins_s == 0]
    return replace(spec, import_limit_w=min([spec.import_limit_w, *limits]))


def ramp_w_per_s(spec: ControlSpec, report: Report | None) -> float:
    """What the grid follows, W/s: the loop's inner ramp as it is now, else the site file's."""
    loop = None if report is None else report.loop
    if loop is None:
        return min(spec.ramp_up_w_per_s, spec.ramp_down_w_per_s)
    return min(loop.ramp_up_w_per_s, loop.ramp_down_w_per_s)
