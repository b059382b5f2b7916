"""Minutes of the site: true, durable, and with gaps where nothing was seen."""

import sqlite3

import numpy as np
import pytest
import structlog
from gateway_campus import CAMPUS, Control, make_site, make_workload

from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services.history import KEPT_S, History
from pswd_edge.gateway.services.minute import FIELDS, make_table, minute_of, read_minutes, write_minutes
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.power_columns import PowerQuality
from pswd_edge.gateway.services.sampler import Sampler, in_bands
from pswd_edge.gateway.store import Store
from pswd_edge.model.site import GridFacts
from pswd_edge.model.workload import WorkloadState

BEGIN_S = 1_780_000_020     # 20 s after the fake clock begins: a whole minute


def assert_same(found, expected):
    """NaN at the same places counts as the same."""
    assert repr(found.tolist()) == repr(expected.tolist())


class Cooling:
    """Of which only one figure is asked."""

    percent = 90.0

    def efficiency_percent(self):
        return self.percent


class Past:
    """A history over a control of its own."""

    def __init__(self, tmp_path, control):
        self.tmp_path, self.control, self.meter = tmp_path, control, PerformanceMeter()
        self.live = LiveImage(tmp_path / "run", control.clock)
        self.store = Store(tmp_path / "state")
        self.open()

    def open(self):
        power = PowerService(self.live, self.control.clock)
        sampler = Sampler(self.live, power, Cooling())
        self.history = History(self.live, self.control.clock, power, sampler, self.meter, self.store)

    async def seconds(self, count, load_w=None):
        """Ten cycles each, then a look; `load_w` of each cycle of the run."""
        for k in range(10 * count):
            if load_w is not None:
                self.control.set("hall-a.active_power_w", load_w(k))
            self.control.run()
            if k % 10 == 9:
                self.history.look()
        await self.history.settle()

    def close(self):
        self.store.close()
        self.live.close()


@pytest.fixture
def plant(tmp_path):
    """CDUs that tell their set-points."""
    campus = {**CAMPUS, "cdu-1": ("cdu", {**CAMPUS["cdu-1"][1], "supply_temperature_setpoint_c": (29.0, False)}),
              "cdu-2": ("cdu", {**CAMPUS["cdu-2"][1], "supply_temperature_setpoint_c": (33.0, False)})}
    control = Control(tmp_path / "run", make_site(campus=campus))
    for device in ("cdu-1", "cdu-2"):
        for signal, (value, _) in campus[device][1].items():
            control.set(f"{device}.{signal}", value)
    control.run()
    return control


@pytest.fixture
async def past(tmp_path, plant):
    made = Past(tmp_path, plant)
    yield made
    await made.history.settle()
    made.close()


async def test_a_minute_is_its_cycles_and_its_seconds(past):
    """Every field again by hand; load and grid of each of the 600 cycles, though looked at once a second."""
    await past.seconds(20)
    past.history.forecast_percent = lambda: 85.0
    spikes = lambda k: 130e6 if k == 333 else 30e6 + k * 1e4       # noqa: E731
    await past.seconds(61, spikes)

    row = past.history.minutes(BEGIN_S)[0]

    loads = np.array([70e6, 70e6, *(40e6 + spikes(k) for k in range(598))])     # the minute begins two cycles before
    expected = {
        "utc_s": BEGIN_S, "load_mean_w": loads.mean(), "load_min_w": loads.min(), "load_max_w": 170e6,
        "grid_mean_w": 60e6, "grid_min_w": 60e6, "grid_max_w": 60e6, "frequency_min_hz": 49.98,
        "frequency_max_hz": 49.98, "battery_mean_w": 10e6, "soc_mean_percent": (9 * 40 + 6 * 70) / 15,
        "quality_seen": 60, "quality_good": 0, "heat_mean_w": 50e6, "recovered_mean_w": 5e6, "cooling_efficiency": 0.9,
        "temperature_seen": 60, "temperature_good": 60, "temperature_off_mean_k": 1.0,
        "approved": 0, "rejected": 0, "controls": 0, "controls_in_time": 0, "unauthenticated": 0, "forbidden": 0,
        "limited": 0, "failed": 0,
        "forecast_accuracy": 0.85}
    assert set(expected) == {"utc_s", *FIELDS}
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)


async def test_what_is_not_known_is_no_number(past, monkeypatch):
    """Neither in memory nor on disk."""
    monkeypatch.setattr(Cooling, "percent", None)
    for point in past.control.site.points:
        past.control.spoil(point.id)
    await past.seconds(82)

    row = past.history.minutes(BEGIN_S)[0]

    known = {name for name in FIELDS if not np.isnan(row[name])}
    assert known == {"quality_seen", "quality_good", "temperature_seen", "temperature_good", "approved", "rejected",
                     "controls", "controls_in_time", "unauthenticated", "forbidden", "limited", "failed"}
    assert row["quality_seen"] == row["temperature_seen"] == 0
    on_disk = await past.store.run(lambda db: read_minutes(db, BEGIN_S))
    assert_same(on_disk, past.history.minutes(BEGIN_S))


async def test_minutes_survive_a_restart_and_gaps_stay_gaps(past):
    """Ten minutes in which nothing ran are ten missing rows, not ten interpolated ones."""
    await past.seconds(141)
    past.control.clock.advance(600)
    before = past.history.minutes(0).copy()
    past.open()
    await past.seconds(120)

    after = past.history.minutes(0)

    assert_same(after[: len(before)], before)
    assert (after["utc_s"] - BEGIN_S).tolist() == [-60, 0, 60, 720, 780]


async def test_minutes_that_no_gateway_saw_come_from_the_ring(past):
    """Control went on: loads are there, what only a look could see is not. What was seen is left as it is."""
    await past.seconds(90)
    past.control.run(2400)
    past.open()
    heavy = HeavyWork()
    await past.history.backfill(heavy)
    await past.history.settle()
    heavy.close()

    rows = past.history.minutes(0)

    assert (rows["utc_s"] - BEGIN_S).tolist() == [-60, 0, 60, 120, 180, 240]
    assert rows["load_mean_w"].tolist() == pytest.approx([70e6] * 6)
    assert np.isnan(rows["heat_mean_w"]).tolist() == [False, False, True, True, True, True]
    assert_same(await past.store.run(lambda db: read_minutes(db, 0)), rows)


async def test_minutes_that_cannot_be_written_are_written_later(past, monkeypatch):
    """A full disk costs nothing but the time until it is not: said once, and kept in memory."""
    real = past.store.run

    async def full(_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(past.store, "run", full)
    with structlog.testing.capture_logs() as log:
        await past.seconds(141)
    assert len(past.history.minutes(0)) == 3
    assert await real(lambda db: len(read_minutes(db, 0))) == 0
    monkeypatch.undo()
    await past.seconds(60)

    assert [line["event"] for line in log if line["log_level"] == "error"] == [
        "history: minutes cannot be written; they are kept in memory"]
    assert await past.store.run(lambda db: len(read_minutes(db, 0))) == 4
    assert past.history._unwritten == []


async def test_fifteen_days_are_kept(past):
    """On disk and in memory."""
    await past.seconds(81)
    past.control.clock.advance(KEPT_S - 180)
    await past.seconds(61)

    assert past.history.minutes(0)["utc_s"].min() == BEGIN_S
    past.control.clock.advance(120)
    await past.seconds(61)
    assert past.history.minutes(0)["utc_s"].min() > BEGIN_S
    assert_same(await past.store.run(lambda db: read_minutes(db, 0)), past.history.minutes(0))


async def test_a_clock_that_was_set_back_doubles_no_minute(past):
    """The same minute comes again: the newer row stands. What then lies ahead is not shown."""
    await past.seconds(142)
    past.control.clock.step_utc(-90)
    assert past.history.minutes(0)["utc_s"].max() == BEGIN_S
    await past.seconds(61)

    assert len(set(past.history.minutes(0)["utc_s"].tolist())) == len(past.history.minutes(0))
    stored = await past.store.run(lambda db: read_minutes(db, 0))
    assert len(set(stored["utc_s"].tolist())) == len(stored)


async def test_decisions_are_counted_once(past):
    """When they are first seen; what was decided before this gateway ran is not counted again."""
    past.control.run(workloads=(make_workload("old"),))
    await past.seconds(20)
    past.control.run(workloads=(make_workload("old"), make_workload("a"), make_workload("b"),
                                make_workload("c", state=WorkloadState.REJECTED)))
    await past.seconds(30)
    past.control.run(workloads=(make_workload("old"), make_workload("a", state=WorkloadState.TERMINATED),
                                make_workload("a", announced_utc_s=1_780_000_060.0)))
    await past.seconds(61)

    row = past.history.minutes(BEGIN_S)[0]
    assert (row["approved"], row["rejected"]) == (3, 1)


async def test_answers_are_counted_by_what_they_were(past):
    """Control operations that were let in count for the contract's second; a 503 never does."""
    await past.seconds(20)
    for duration_s, status, operation in (
            (0.1, 200, Operation.BATTERY_CONTROL), (1.2, 200, Operation.WORKLOAD_CONTROL),
            (0.1, 409, Operation.THERMAL_CONTROL), (0.1, 503, Operation.POWER_CONTROL),
            (0.1, 401, Operation.BATTERY_CONTROL), (0.1, 403, Operation.HEAT_CONTROL), (9.0, 200, Operation.POWER_READ),
            (0.1, 429, Operation.BATTERY_CONTROL), (0.1, 404, None)):
        past.meter.answered(duration_s, status, operation)
    await past.seconds(61)

    row = past.history.minutes(BEGIN_S)[0]
    assert [row[name] for name in ("controls", "controls_in_time", "unauthenticated", "forbidden", "limited", "failed")
            ] == [4, 2, 1, 1, 1, 1]


def test_a_table_of_an_older_release_gets_its_columns():
    """An update must not need an empty store."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE minutes (utc_s INTEGER PRIMARY KEY, load_mean_w REAL)")
    db.execute("INSERT INTO minutes VALUES (60, 5.0)")

    make_table(db)
    write_minutes(db, [minute_of(120, {"heat_mean_w": 7.0})], 0)

    rows = read_minutes(db, 0)
    assert rows["load_mean_w"].tolist() == pytest.approx([5.0, np.nan], nan_ok=True)
    assert rows["heat_mean_w"].tolist() == pytest.approx([np.nan, 7.0], nan_ok=True)
    db.close()


@pytest.mark.parametrize(("change", "good"), [
    ({}, True), ({"thd_percent": 8.1}, False), ({"power_factor": -0.95}, True), ({"power_factor": 0.89}, False),
    ({"frequency_hz": 50.21}, False), ({"frequency_hz": 49.81}, True), ({"stability_percent": 89.0}, False),
    (dict.fromkeys(PowerQuality._fields), None), ({"thd_percent": None, "power_factor": None}, True)])
def test_quality_is_good_where_all_that_is_measured_is(change, good):
    """What is not measured neither helps nor harms."""
    quality = PowerQuality(50.0, 2.0, 0.98, 400.0, 100.0, 99.0)._replace(**change)

    assert in_bands(quality, GridFacts()) is good
