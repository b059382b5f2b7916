"""The report to the utility: the plant's own definition of ramps, gaps that stay gaps, a signature that holds."""

import math
import stat
from pathlib import Path

import numpy as np
import pytest
from virtual import MW, demo_site

from pswd_edge.commands.compliance import encoded, report_of, runs_of
from pswd_edge.commands.signature import KEY_FILE, problem_of, public_text, sign, site_key
from pswd_edge.control.power_record import PowerBlock, PowerRecord
from pswd_edge.planning.compliance import Run, Span, gaps, score, violations
from pswd_edge.planning.ramps import ramp_w_per_min
from simulators.score import WINDOWS_SAMPLES, RampScore

UTC_S = 1_780_000_000.0
LIMIT = 10 * MW
ALL = Span(0.0, 4e9)


def run_of(power_mw: np.ndarray) -> Run:
    return Run(UTC_S, 0.1, power_mw * MW)


def ramp_of(run: Run, window_s: float) -> np.ndarray:
    return ramp_w_per_min(run.power_w, run.slot_s, window_s)


@pytest.mark.parametrize("seed", range(3))
def test_ramps_are_those_of_the_plants_score(seed: int) -> None:
    """One definition: the utility's figure and the bench's are the same."""
    power = 60 + np.cumsum(np.random.default_rng(seed).normal(0, 0.05, 3000))
    plant = RampScore()
    for value in power:
        plant.add(value, counts=True)
    for slots in WINDOWS_SAMPLES:
        found = score([run_of(power)], slots // 10, LIMIT, ALL).max_w_per_min
        assert found is not None
        assert math.isclose(found / MW, plant.max_mw_per_min[slots], rel_tol=1e-6)


def test_a_steady_ramp_is_itself_in_every_window() -> None:
    """12 MW/min is 12 MW/min."""
    power = 20 + np.arange(2400) * 12 / 600
    for window in (60, 10, 1):
        ramp = ramp_of(run_of(power), window)
        assert np.allclose(ramp[np.isfinite(ramp)], 12 * MW)


def test_a_violation_has_its_begin_end_and_excess() -> None:
    """A step of 15 MW: above 10 from where two thirds of it are in the newer mean to where a third is in the older."""
    power = np.where(np.arange(3000) < 1500, 40.0, 55.0)
    [found] = violations(run_of(power), 1, LIMIT, ALL)
    assert math.isclose(found.peak_w_per_min, 15 * MW)
    assert math.isclose(found.start_utc_s - UTC_S, 150.6, abs_tol=0.11)
    assert math.isclose(found.end_utc_s - found.start_utc_s, 59.7, abs_tol=0.05)
    assert math.isclose(found.excess_w, 5 * MW, rel_tol=0.05)


def test_a_fall_counts_as_a_rise_does() -> None:
    """With its own sign."""
    power = np.where(np.arange(3000) < 1500, 55.0, 40.0)
    [found] = violations(run_of(power), 1, LIMIT, ALL)
    assert math.isclose(found.peak_w_per_min, -15 * MW)


def test_a_gap_is_not_judged_and_told() -> None:
    """Ten seconds without a meter: no 60 s mean that needs them is judged, nothing is put in their place."""
    power = np.full(6000, 50.0)
    power[3000:3100] = np.nan
    run, span = run_of(power), Span(UTC_S, UTC_S + 600)
    [gap] = gaps([run], span)
    assert (round(gap.start_utc_s - UTC_S, 1), round(gap.end_utc_s - UTC_S, 1)) == (300.0, 310.0)
    ramp = ramp_of(run, 60)
    assert np.isnan(ramp[3100:3500]).all()
    assert score([run], 60, LIMIT, span).not_judged_s > 120 + 100


def test_one_missing_cycle_does_not_blind_two_minutes() -> None:
    """Its means are those of what was measured, and the time is told as such."""
    power = np.full(3000, 50.0)
    power[1500] = np.nan
    found = score([run_of(power)], 60, LIMIT, Span(UTC_S, UTC_S + 300))
    assert found.partial_s > 60
    assert math.isclose(found.judged_s, 300 - 120 + 0.1, abs_tol=0.2)


def test_time_without_any_record_is_not_judged() -> None:
    """Control was off: that is a gap too, not a quiet time."""
    found = score([], 60, LIMIT, Span(UTC_S, UTC_S + 3600))
    assert (found.max_w_per_min, found.not_judged_s) == (None, 3600.0)
    assert gaps([], Span(UTC_S, UTC_S + 3600)) == [(UTC_S, UTC_S + 3600)]


def blocks(count: int, first_s: float = 0.0, cycle: int = 0, power_mw: float = 50.0) -> list[PowerBlock]:
    power = np.full(100, power_mw * MW, np.float32)
    return [PowerBlock(100, cycle + 100 * i, UTC_S + first_s + 10 * i, 10.0 * i, power) for i in range(count)]


def test_a_restart_is_a_gap_within_one_run() -> None:
    """The minute after a restart is judged against the minute before it as soon as both means stand."""
    [run] = runs_of([*blocks(3), *blocks(3, first_s=40.0)])
    assert int(np.isnan(run.power_w).sum()) == 100


def test_a_clock_set_back_begins_a_new_run() -> None:
    """Two times of one name are not laid over each other."""
    assert len(runs_of([*blocks(6), *blocks(6, first_s=5.0)])) == 2


def test_a_report_from_disk(tmp_path: Path) -> None:
    """Record and ledger as control leaves them: a step of 30 MW after three minutes."""
    record = PowerRecord(tmp_path / "power")
    for block in [*blocks(18), *blocks(18, first_s=180.0, cycle=1800, power_mw=80.0)]:
        record.append(block)
    report = report_of(demo_site(), tmp_path, Span(UTC_S, UTC_S + 360), UTC_S + 400)
    assert {v["window_s"] for v in report.facts["violations"]} == {60, 10, 1}
    assert report.facts["gaps"] == []
    assert report.ramps_csv.count(b"\n") == 361
    assert b"2026" in report.violations_csv


def test_a_signature_holds_for_its_file_and_key_only(tmp_path: Path) -> None:
    """Anybody with the public key can tell."""
    key = site_key(tmp_path)
    content = encoded({"a": 1})
    signature = sign(content, key)
    assert problem_of(content, signature, public_text(key)) == ""
    assert "changed" in problem_of(content.replace(b"1", b"2"), signature, None)
    (tmp_path / "b").mkdir()
    assert "expected" in problem_of(content, signature, public_text(site_key(tmp_path / "b")))
    assert "no signature" in problem_of(content, b"{}", None)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Whoever reads it can sign in the site's name."""
    first = public_text(site_key(tmp_path))
    assert public_text(site_key(tmp_path)) == first
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [KEY_FILE]
