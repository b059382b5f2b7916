"""A site file's own control part on virtual time: its batteries and tiers as plants of numbers."""

from msgspec.structs import replace

from pswd_edge.model.control import ControlSpec
from pswd_edge.model.site import Site
from pswd_edge.planning.run import Series
from pswd_edge.replay.loop import Case
from pswd_edge.replay.plant import Battery, Shedder
from pswd_edge.replay.scenarios import store
from pswd_edge.replay.site import BATTERY_POINTS, FREQUENCY, GRID, LOAD, TIER_POINTS


def spec_of(site: Site) -> ControlSpec:
    """The control part with points of its own: the replay has meters and batteries, and no devices."""
    spec = site.control
    batteries = []
    for i, battery in enumerate(spec.batteries):
        first = 10 + BATTERY_POINTS * i
        batteries.append(replace(
            battery, soc=replace(battery.soc, point=first), power=replace(battery.power, point=first + 1),
            setpoint=first + 2, charge_limit=first + 3, discharge_limit=first + 4, state=first + 5,
            available_states=(1,), temperature=None))
    tiers = [replace(t, setpoint=200 + TIER_POINTS * i, power=201 + TIER_POINTS * i) for i, t in enumerate(spec.tiers)]
    meters = (replace(spec.load_meters[0], point=LOAD),) if spec.load_meters else ()
    return replace(spec, batteries=tuple(batteries), tiers=tuple(tiers), load_meters=meters,
                   frequency=None if spec.droop is None else FREQUENCY,
                   grid_power=replace(spec.grid_power, point=GRID), load_controllers=(), branches=(),
                   require_commissioning=False)


def case_of(site: Site, name: str, load_w: Series, soc: float = 0.6) -> Case:
    """A case of a site and a load; tiers take off at most what they carry at the site's ceiling."""
    spec = spec_of(site)
    batteries: list[Battery] = [store(b, max(0.2, spec.delay_s), soc) for b in spec.batteries]
    shedders = [Shedder(max(0.0, abs(t.released_value - t.engaged_value)) / spec.load_ceiling_w if t.action == "cap"
                        else 0.02, 0.0, t.actuation_s / 2) for t in spec.tiers]
    return Case(name, spec, 0.0 * load_w, load_w, batteries, shedders)
