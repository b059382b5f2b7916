"""How much more and less a site could take: batteries, absorbers, tiers, throttles."""

import math

import pytest
from gateway_campus import make_report, make_site, make_workload
from msgspec.structs import replace

from pswd_edge.clock import FakeClock
from pswd_edge.model.control import Absorber, Tier
from pswd_edge.model.report import AbsorberReport, TierReport
from pswd_edge.planning.announcements import running_w
from pswd_edge.planning.flexibility import flexibility, racks_w, reserves_of

MW = 1e6
SPEC = make_site().control
CAP, POWER = SPEC.load_controllers[0].cap, SPEC.load_controllers[0].power


def report(**changes):
    return make_report(1, FakeClock(), **changes)


def free(name="wl-1", **changes):
    made = make_workload(name, **changes)
    return replace(made, announcement=replace(made.announcement, can_throttle=True))


def test_batteries_give_and_take_what_they_can_for_a_quarter_of_an_hour():
    """Power, or the energy that is there spread over it, whichever is less."""
    found = reserves_of(SPEC, report(), {})
    assert (found.charge_w, found.discharge_w) == (pytest.approx(22.917 * MW, rel=1e-3), pytest.approx(24.96 * MW))
    half_an_hour = reserves_of(SPEC, report(), {}, hold_s=1800)
    assert half_an_hour.discharge_w == pytest.approx(found.discharge_w / 2)
    assert reserves_of(SPEC, report(), {}, hold_s=60).discharge_w == 110 * MW


def test_batteries_that_are_lost_or_unknown_give_nothing():
    """Neither by their nameplate nor by their last word."""
    lost = tuple(replace(b, usable=False) for b in report().batteries)
    assert reserves_of(SPEC, report(batteries=lost), {}).discharge_w == 0.0
    assert reserves_of(SPEC, report(energy_wh=None), {}).discharge_w == 0.0


def test_tiers_give_what_they_carry_above_their_floor_unless_they_are_engaged():
    """An engaged tier has been given already; one whose power is not known is not counted on."""
    cap = Tier("cap-1", "cap", CAP, POWER, 5 * MW, 25 * MW, floor_w=5 * MW)
    outlet = Tier("out-1", "outlet", 3, 4, 0, 1)
    spec = replace(SPEC, tiers=(cap, outlet))
    found = reserves_of(spec, report(), {POWER: 20 * MW, 4: 2 * MW})
    assert (found.capped_w, found.shed_w) == ({0: 15 * MW}, 2 * MW)
    assert reserves_of(spec, report(), {POWER: None, 4: None}).shed_w == 0.0
    engaged = report(tiers=(TierReport("cap-1", True, 15 * MW),))
    assert reserves_of(spec, engaged, {POWER: 20 * MW, 4: 2 * MW}).capped_w == {}


def test_absorbers_add_what_they_do_not_draw_yet():
    """A load bank that runs is no room."""
    spec = replace(SPEC, absorbers=(Absorber("bank", 1, 2, 8 * MW),))
    assert reserves_of(spec, report(absorbers=(AbsorberReport("bank", 3 * MW, 3 * MW),)), {}).absorb_w == 5 * MW


def test_a_rack_is_counted_once_whether_a_tier_or_a_throttle_takes_it():
    """Both act on the same cap."""
    spec = replace(SPEC, tiers=(Tier("cap-1", "cap", CAP, POWER, 5 * MW, 25 * MW, floor_w=5 * MW),))
    reserves = reserves_of(spec, report(), {POWER: 20 * MW})
    job = free()
    off_w = running_w(job) - job.announcement.baseline_w
    assert racks_w(reserves, []) == 15 * MW
    assert racks_w(reserves, [job]) == pytest.approx(15 * MW + off_w / 3)      # a third of it is reserved on rack 2
    assert racks_w(reserves, [make_workload()]) == 15 * MW                     # cannot be throttled


def test_more_load_stops_at_the_import_limit():
    """Room in the batteries is none where the connection is full."""
    reserves = reserves_of(SPEC, report(), {})
    assert flexibility(reserves, 0.0, 120 * MW, 125 * MW).up_w == 5 * MW
    assert flexibility(reserves, 0.0, 130 * MW, 125 * MW).up_w == 0.0


def test_no_more_can_be_shed_than_is_drawn():
    """An idle site has nothing to take off, beyond its batteries."""
    reserves = reserves_of(SPEC, report(), {})
    assert flexibility(reserves, 50 * MW, 0.0, 125 * MW).down_w == reserves.discharge_w


def test_the_response_time_is_that_of_the_ramp():
    """The grid sees it no faster than its ramp limit, whatever the batteries can do."""
    reserves = reserves_of(SPEC, report(), {})
    found = flexibility(reserves, 0.0, 60 * MW, 125 * MW)
    assert found.response_s == pytest.approx(SPEC.delay_s + max(found.up_w, found.down_w) / 1e5)
    assert math.isfinite(flexibility(reserves._replace(ramp_w_per_s=0.0), 0.0, 60 * MW, 125 * MW).response_s)
