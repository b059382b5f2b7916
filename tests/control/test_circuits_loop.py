"""Circuits on the simulated campus: halls whose cables are thinner than their racks, under the product's set-points."""

from msgspec.structs import replace

from pswd_edge.model.site import Site
from simulators.plant import Plant, PlantSpec
from tests.control.test_thermal_loop import Calm, Steady
from tests.control.virtual import MW, Loop, demo_site

JOB_W = 100 * MW


def site_of(**ratings_w: float) -> Site:
    """The demo's site with other ratings of circuits."""
    site = demo_site()
    branches = tuple(replace(b, rating_w=ratings_w.get(b.id.replace("-", "_"), b.rating_w))
                     for b in site.control.branches)
    return replace(site, control=replace(site.control, branches=branches))


class Campus(Loop):
    """The loop on a plant without noise, all racks busy from a second on."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, plant=Plant(PlantSpec(noise_scale=0.0), 1))
        self.scenario = Calm()
        self.hall_w: dict[str, list[float]] = {"feeder-a": [], "feeder-b": []}

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.step()
            for feeder, past in self.hall_w.items():
                past.append(self.plant.signals(feeder)["active_power_w"])

    def start_job(self) -> None:
        self.go(1)
        self.plant.start_job("job", Steady(), dict.fromkeys(self.plant.racks, JOB_W / 4))


def test_a_hall_with_tiers_is_throttled_and_the_other_is_left_alone() -> None:
    """Hall B carries 40 MW and draws 57: its own two tiers give what is missing, within their time and a second."""
    campus = Campus(site_of(hall_b=40 * MW))
    campus.start_job()
    campus.go(15)
    over = [k for k, w in enumerate(campus.hall_w["feeder-b"]) if w > 40 * MW]
    began = next(k for k, w in enumerate(campus.hall_w["feeder-b"]) if w > 40 * MW)
    assert over[-1] - began < 30
    assert "outlet-1" not in campus.ever_engaged
    assert all(campus.plant.signals(r)["power_cap_w"] == 25 * MW for r in ("rack-1", "rack-2"))


def test_a_hall_without_enough_tiers_has_its_racks_held() -> None:
    """Hall A's only tier is an outlet of 2 MW: the rest is taken off its racks, above everybody else's word."""
    campus = Campus(site_of(hall_a=40 * MW))
    campus.start_job()
    campus.go(15)
    assert campus.hall_w["feeder-a"][-1] <= 40 * MW
    assert "outlet-1" in campus.ever_engaged
    verdict = campus.verdict_of(campus.site.point_index["rack-1.power_cap_w"])
    assert verdict.limit == "circuit:hall-a"
    assert campus.plant.signals("rack-3")["active_power_w"] > campus.plant.signals("rack-1")["active_power_w"]


def test_racks_come_back_when_their_hall_has_room() -> None:
    """A cap that outlives its reason is work that is not done."""
    campus = Campus(site_of(hall_a=40 * MW))
    campus.start_job()
    campus.go(15)
    campus.plant.end_job("job")
    campus.go(120)
    verdict = campus.verdict_of(campus.site.point_index["rack-1.power_cap_w"])
    assert (verdict.value, verdict.limit) == (25 * MW, "")
