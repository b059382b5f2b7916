"""An interlock that has tripped stays so over a restart of control, and is shown."""

from pathlib import Path

import pytest
import test_cycle
from msgspec.structs import replace
from virtual import FIRST_S, demo_site, good

from pswd_edge.commands.status import _thermal
from pswd_edge.control.alarm_file import AlarmFile
from pswd_edge.control.coordination import Coordination
from pswd_edge.control.journal import Journal
from pswd_edge.model.command import Accepted, Mode
from pswd_edge.model.report import AlarmReport, HeatExportReport, InterlockReport, ThermalReport
from pswd_edge.model.snapshot import freeze

SITE = demo_site()
LOCK = SITE.control.thermal.interlocks[0]
RACK = SITE.points[SITE.control.load_controllers[LOCK.caps[0]].cap].id


def kept(code: str = f"interlock_latched:{LOCK.id}", *, active: bool = True) -> AlarmReport:
    return AlarmReport(code, "tripped", 1.0, "critical", active=active)


def stepped(latches: list[AlarmReport], hot_c: float, *, reset: bool = False) -> Coordination:
    thermal = Coordination(SITE)
    thermal.relatch(latches)
    readings = {i.temperature.point: good(hot_c, FIRST_S) for i in SITE.control.thermal.interlocks}
    thermal.step(freeze(1, FIRST_S, FIRST_S, readings), Mode.AUTO, (), (), 0.1, reset=reset)
    return thermal


def test_a_latch_is_taken_up_with_all_its_steps() -> None:
    """However cool it is by now; the other interlocks are free."""
    thermal = stepped([kept()], 30.0)
    found = thermal.report()
    assert [(i.latched, i.step) for i in found.interlocks] == [(True, len(LOCK.steps)), (False, 0)]
    low = LOCK.steps[-1].cap_share * SITE.control.load_controllers[LOCK.caps[0]].rating_w
    assert [b.high for b in thermal.bounds() if b.name == f"interlock:{LOCK.id}"] == [low] * len(LOCK.caps)


def test_the_operator_lets_go_of_it_as_of_any_latch() -> None:
    """Below its reset value only."""
    assert not stepped([kept()], 30.0, reset=True).report().interlocks[0].latched
    assert stepped([kept()], LOCK.limit_c, reset=True).report().interlocks[0].latched


@pytest.mark.parametrize("alarm", [kept(active=False), kept("interlock_latched:nowhere"),
                                   kept(f"over_temperature:{LOCK.id}")])
def test_what_is_no_latch_in_force_latches_nothing(alarm: AlarmReport) -> None:
    """One that was let go, one of another site, one that was merely warm."""
    assert not any(i.latched for i in stepped([alarm], 30.0).report().interlocks)


async def test_a_trip_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hot, tripped, kept with the alarms; the next process caps the hall although it has cooled down."""
    monkeypatch.setattr(test_cycle, "site", lambda: SITE)

    def with_file(clock) -> Journal:
        journal = Journal(clock)
        journal.keep_in(AlarmFile(tmp_path / "alarms.json"))
        return journal

    monkeypatch.setattr(test_cycle, "Journal", with_file)
    first = test_cycle.Rig(tmp_path / "a", monkeypatch)
    first.field.on["latch"] = lambda _: first.field.override.update(
        {LOCK.temperature.point: good(LOCK.trip_c + 5, first.clock.monotonic_s())})
    report = await first.run(40)
    assert report.thermal.interlocks[0].latched
    assert f"interlock_latched:{LOCK.id}" in [a.code for a in report.alarms]
    first.journal.close()
    second = test_cycle.Rig(tmp_path / "b", monkeypatch)
    await second.cycle.desk.restore()
    second.field.on["latch"] = lambda _: second.field.override.update(
        {LOCK.temperature.point: good(30.0, second.clock.monotonic_s())})
    report = await second.run(3)
    assert report.thermal.interlocks[0].latched
    assert f"interlock_latched:{LOCK.id}" in [a.code for a in report.alarms]
    assert isinstance(await second.ask(second.mode(Mode.AUTO)), Accepted)
    report = await second.run(3)
    assert not report.thermal.interlocks[0].latched
    second.journal.close()
    for rig in (first, second):
        await rig.ledger.close()
        rig.bell.close()
        rig.reader.close()


def test_a_site_without_a_thermal_part_shows_none() -> None:
    """No line about what is nobody's to lead."""
    bare = Coordination(replace(SITE, control=replace(SITE.control, thermal=None)))
    bare.relatch([kept()])
    assert bare.report() is None


def test_status_says_it_in_one_line() -> None:
    """What is latched or off in capitals, what is not known as such."""
    locks = (InterlockReport("hall-a", 3, 3, True, 61.0), InterlockReport("hall-b", 0, 3, False, None),
             InterlockReport("hall-c", 2, 3, False, 49.26))
    found = ThermalReport(0.4, locks, (HeatExportReport("hx-1", False, 62.0),))
    assert _thermal(found) == (
        "thermal: cooling 40% of ready; hall-a 61.0 degC LATCHED; hall-b ? degC free; hall-c 49.3 degC step 2 of 3; "
        "heat export hx-1 OFF at 62.0 degC")
    assert _thermal(ThermalReport(None)) == "thermal: nothing to lead"
