"""Rows that are kept encoded: the same bytes as rows built anew, whatever happened to the ring meanwhile."""

import asyncio
from math import isnan

import numpy as np
import orjson
import pytest
from gateway_campus import CAMPUS, Control, make_site

from pswd_edge.bench.rows import measure_rows
from pswd_edge.clock import iso_utc
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.profiles.dcpi.power_rows import DcpiRows
from pswd_edge.gateway.profiles.pswd.power_rows import PswdRows
from pswd_edge.gateway.services.power import PowerSeries, PowerService
from pswd_edge.gateway.services.realtime import RealtimeService
from pswd_edge.gateway.services.row_encoding import encode
from pswd_edge.model.quality import Quality


def slowly(form, series):
    """Row by row through dictionaries: the reference that templates must equal."""
    times = np.datetime_as_string(series.start_ms.astype("datetime64[ms]"), timezone="UTC").tolist()
    return [orjson.dumps(form.row(time, [None if isnan(v) else v for v in row], series.circuit_ids))
            for time, row in zip(times, form.numbers(series).tolist(), strict=True)]


class Kept:
    """The service over a control of its own."""

    def __init__(self, tmp_path, control):
        self.control, self.heavy = control, HeavyWork()
        self.live = LiveImage(tmp_path / "run", control.clock)
        self.power = PowerService(self.live, control.clock)
        self.form = PswdRows()
        self.realtime = RealtimeService(self.live, self.power, self.heavy)
        self.realtime.register(self.form)

    async def both(self, duration_s=60, interval_ms=100):
        """What is kept, and what is built anew, now."""
        kept = await self.realtime.rows(self.form, duration_s, interval_ms)
        line = self.realtime._kept.line if self.realtime._kept is not None else None
        return kept, slowly(self.form, self.power.series(duration_s, interval_ms, line).with_newest(
            self.power.quality()))

    async def settle(self):
        """Until what is kept is there."""
        self.realtime.look()
        if self.realtime._making is not None:
            await self.realtime._making
        self.realtime.look()

    def work(self, cycles, look_every=7):
        """Cycles with power that changes, looked at now and then."""
        rng = np.random.default_rng(cycles)
        for k in range(cycles):
            for name in ("hall-a", "hall-b", "pcc"):
                self.control.set(f"{name}.active_power_w", float(rng.uniform(1e6, 9e7)))
            self.control.run()
            if k % look_every == 0:
                self.realtime.look()


@pytest.fixture
async def kept(tmp_path, control):
    made = Kept(tmp_path, control)
    yield made
    made.realtime.close()
    made.heavy.close()
    made.live.close()


@pytest.mark.parametrize("interval_ms", [100, 250, 500, 1000])
@pytest.mark.parametrize("duration_s", [1, 7, 20])
async def test_kept_rows_equal_rows_built_anew(kept, interval_ms, duration_s):
    """Byte for byte, at every resolution, for a window that begins within a second."""
    kept.work(137)

    found, expected = await kept.both(duration_s, interval_ms)

    assert found == expected
    assert abs(len(found) - min(duration_s * 1000, 167 * 100) / interval_ms) <= 1


async def test_an_hour_is_encoded_in_the_thread_and_answered_meanwhile(kept):
    """At the start the ring is full: the first answers are built anew, the next ones joined; both are right."""
    kept.work(400, look_every=10**6)

    first = await kept.both(10)
    assert kept.realtime._kept is None
    await kept.settle()
    assert kept.realtime._kept is not None

    assert first[0] == first[1]
    found, expected = await kept.both(60)
    assert found == expected
    assert found[-100:] == first[0]


async def test_a_row_is_encoded_once(kept, monkeypatch):
    """Only the newest interval is written again, for its quality of now."""
    kept.work(120)
    await kept.realtime.rows(kept.form, 60, 100)
    encoded = []

    def counted(form, series):
        encoded.append(len(series.start_ms))
        return encode(form, series)

    monkeypatch.setattr("pswd_edge.gateway.services.realtime.encode", counted)
    monkeypatch.setattr("pswd_edge.gateway.services.row_store.encode", counted)
    assert len(await kept.realtime.rows(kept.form, 60, 100)) == 150
    assert encoded == [1]


async def test_bad_values_are_left_out_of_kept_rows(kept):
    """Each row shows what was known in its own interval."""
    kept.work(20)
    kept.control.spoil("hall-a.active_power_w")
    kept.work(20)
    kept.control.spoil("bess-1.power_w")
    kept.work(20)

    found, expected = await kept.both()

    assert found == expected
    rows = [orjson.loads(row) for row in found]
    assert [c["circuit_id"] for c in rows[-1]["circuit_breakdown"]] == ["utility", "hall-b"]
    assert "total_power_mw" in rows[-25]
    assert "total_power_mw" not in rows[-5]
    assert b"null" not in b"".join(found)


async def test_missed_cycles_are_no_rows(kept):
    """A gap of 3 s stays one."""
    kept.work(30)
    kept.control.clock.advance(3.0)
    kept.work(30)

    found, expected = await kept.both()

    assert found == expected
    times = [orjson.loads(row)["timestamp"] for row in found]
    gaps = np.diff(np.array([time[:-1] for time in times], "datetime64[ms]")).astype(int)
    assert sorted(set(gaps.tolist())) == [100, 3100]


async def test_a_set_wall_clock_dates_all_rows_anew(kept):
    """The newest UTC holds for the whole window, as if it had always been right."""
    kept.work(60)
    kept.control.clock.step_utc(-500.25)
    kept.work(60)
    await kept.settle()

    found, expected = await kept.both()

    assert kept.realtime._kept is not None
    assert found == expected
    assert len(found) in (149, 150)
    newest_s = kept.control.clock.utc_s()
    assert iso_utc(newest_s - 0.2) <= orjson.loads(found[-1])["timestamp"] <= iso_utc(newest_s)


async def test_a_reload_takes_up_the_new_site(tmp_path, kept):
    """Another generation has other circuits: nothing of the old one may be joined to it."""
    kept.work(60)
    control = Control(tmp_path / "run", make_site(circuits=kept.control.site.circuits[:2]), kept.control.clock)
    kept.control = control
    kept.live.follow()
    kept.work(30)
    await kept.settle()

    found, expected = await kept.both()

    assert found == expected
    assert {c["circuit_id"] for row in found for c in orjson.loads(row)["circuit_breakdown"]} == {"utility", "hall-a"}


async def test_without_cycles_the_window_runs_out(kept):
    """It is of now: 8 s after the last cycle seven are gone from it."""
    kept.work(60)
    before, _ = await kept.both(5)
    kept.control.clock.advance(4.0)
    after, expected = await kept.both(5)

    assert after == expected
    assert len(before) == 50
    assert len(after) == 20
    kept.control.clock.advance(3.0)
    assert await kept.both(5) == ([], [])


async def test_kept_rows_are_bounded(kept, monkeypatch):
    """A site runs for months."""
    monkeypatch.setattr("pswd_edge.gateway.services.row_store._TRIM_ROWS", 10)
    kept.form.kept_s = 5
    kept.realtime.register(kept.form)
    kept.work(300)

    assert len(kept.realtime._kept.store(kept.form, 100)._rows) <= 60
    found, expected = await kept.both(5)
    assert found == expected


async def test_another_resolution_is_built_anew(kept):
    """Nothing is kept for 130 ms."""
    kept.work(50)

    found, expected = await kept.both(2, 130)

    assert found == expected
    assert len(found) == 15


def test_quality_columns_come_from_the_trend_where_they_are_in_it(tmp_path):
    """Then each measurement has its own; the rest of them only the newest."""
    campus = {**CAMPUS, "pcc": ("meter", {
        **CAMPUS["pcc"][1], "reactive_power_var": (45e6, True), "thd_percent": (2.5, False),
        "voltage_l1_v": (400.0, True), "voltage_l2_v": (404.0, True), "voltage_l3_v": (390.0, True),
        "current_l1_a": (90.0, True), "current_l2_a": (110.0, True)})}
    site = make_site(campus=campus, grid=make_site().grid.__class__("grid", nominal_voltage_v=400.0))
    control = Control(tmp_path / "run", site)
    for signal, (value, _) in campus["pcc"][1].items():
        control.set(f"pcc.{signal}", value)
    control.run(20)
    live = LiveImage(tmp_path / "run", control.clock)
    power = PowerService(live, control.clock)

    series = power.series(1, 100).with_newest(power.quality())

    assert series.quality[0] == pytest.approx([49.98, np.nan, 0.8, 398.0, 100.0, 97.5], nan_ok=True)
    assert series.quality[-1] == pytest.approx([49.98, 2.5, 0.8, 398.0, 100.0, 97.5])
    assert power.quality() == pytest.approx((49.98, 2.5, 0.8, 398.0, 100.0, 97.5))
    control.spoil("pcc.voltage_l2_v")
    control.run(2)
    assert power.quality()[3] is power.quality()[5] is None
    assert np.isnan(power.series(1, 100).quality[-1][[3, 5]]).all()
    live.close()


@pytest.mark.parametrize("seed", range(4))
def test_templates_write_what_dictionaries_write(seed):
    """Holes anywhere, names that JSON and templates must escape, numbers of every size."""
    rng = np.random.default_rng(seed)
    ids = ('hall "a"', "100 %s", "é", "plain")
    matrix = rng.normal(size=(60, 1 + 6 + len(ids))) * 10.0 ** rng.integers(-3, 9, (60, 1))
    matrix[rng.random(matrix.shape) < (0.0, 0.1, 0.5, 1.0)[seed]] = np.nan
    times, load_w = 1_780_000_000_000 + 100 * np.arange(60), matrix[:, 0]
    series = PowerSeries(100, times, load_w, load_w, matrix[:, 1:7], ids, matrix[:, 7:])

    assert encode(PswdRows(), series) == slowly(PswdRows(), series)
    assert encode(PswdRows(), series.part(slice(0, 0))) == []


@pytest.mark.parametrize("form", [PswdRows(), DcpiRows()])
def test_the_benchmark_compares_ways_to_the_same_bytes(form):
    """It raises where they differ; its figures are of nothing else."""
    figures = measure_rows(form, circuits=3, rows=200)

    assert figures["rows"] == 200


async def test_work_that_is_refused_is_tried_again(kept, monkeypatch):
    """Eight long answers wait already: the hour is encoded a little later."""
    monkeypatch.setattr("pswd_edge.gateway.heavy._WAITING_MAX", 0)
    kept.work(400, look_every=10**6)
    await kept.settle()
    assert kept.realtime._kept is None
    monkeypatch.undo()
    await asyncio.sleep(0)
    await kept.settle()

    assert kept.realtime._kept is not None


async def test_quality_decides_in_kept_rows_too(kept):
    """Whatever number lies beside BAD."""
    kept.control.quality[kept.control.site.point_index["hall-a.active_power_w"]] = Quality.BAD
    kept.work(30)

    found, expected = await kept.both(1)

    assert found == expected
    assert b"hall-a" not in found[-1]


async def test_an_hour_with_a_set_clock_in_it_is_dated_by_the_newest(kept, monkeypatch):
    """A start after it: what is old is dated as what is new, however many pieces it is copied in."""
    monkeypatch.setattr("pswd_edge.gateway.services.kept_rows._TAKEN_ROWS", 37)
    kept.work(150, look_every=10**6)
    kept.control.clock.step_utc(77.7)
    kept.work(150, look_every=10**6)
    await kept.settle()

    found, expected = await kept.both()

    assert kept.realtime._kept is not None
    assert found == expected
    assert len(found) in (329, 330)
