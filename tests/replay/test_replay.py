"""Virtual time: what each scenario promises, and the files that go in and come out."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pswd_edge.bench.adversary import adversary
from pswd_edge.cli import main
from pswd_edge.model.tuning import peak_gain
from pswd_edge.planning.spectrum import amplification
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case, Loop, bounds_of
from pswd_edge.replay.making import store
from pswd_edge.replay.scenarios import ELSEWHERE, SCENARIOS, Draw, scenario
from pswd_edge.replay.scoring import scored
from pswd_edge.replay.site import BASE_W, MW, reference_spec

ROOT = Path(__file__).parents[2]
SHORT_S = 260.0


def draw(seconds: float = SHORT_S, **changes) -> Draw:
    return Draw(**({"seed": 301, "f0_hz": 1.0, "delay_s": 0.25, "seconds": seconds} | changes))


def test_every_number_is_run_here_or_named_with_its_place() -> None:
    """44 pathologies: none is forgotten; 44 itself needs a UPS and stands with the batteries' tests."""
    known = {s.number for s in SCENARIOS} | set(ELSEWHERE)
    assert known >= set(range(1, 44))
    numbers = [s.number for s in SCENARIOS]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("number", [s.number for s in SCENARIOS if s.number not in (11, 27)])
def test_a_scenario_that_can_be_served_is_served(number: int) -> None:
    """The ramp is kept, nothing is shed, no limit is broken; where it cannot be, the case says why."""
    found = scenario(number)
    result = scored(found.build(draw()), None)
    assert result.card.limit_violations == 0
    if result.case.viable:
        assert result.card.ramp_60s_max_mw_per_min <= 10.0
        assert result.card.unserved_mwh == 0.0
    else:
        assert result.case.why


def test_the_loads_would_break_the_limit_by_themselves() -> None:
    """Else the test above would prove nothing."""
    broken = [s.number for s in SCENARIOS if s.number in (1, 2, 3, 4, 5, 10)
              and scored(s.build(draw(200.0)), None).card.load_ramp_60s_max_mw_per_min > 40]
    assert broken == [1, 2, 3, 4, 5, 10]


def test_the_same_case_gives_the_same_bits() -> None:
    """P8: no clock and no chance in the rules or in the plant."""
    one, two = (Loop(scenario(5).build(draw(120.0, predicts=True))).run() for _ in range(2))
    assert np.array_equal(one.grid_w, two.grid_w)
    assert np.array_equal(one.reference_w, two.reference_w)


def test_a_healthy_site_is_not_degraded_while_it_begins() -> None:
    """A register that showed 0 % until the first step would be a jump: each window would be narrower for a minute."""
    loop = Loop(scenario(0).build(draw(20.0)))
    loop.run()
    assert not loop.seen_degraded


def test_the_loop_has_the_delay_that_it_says() -> None:
    """A step of the load against the batteries' answer: half of it comes T_d later, and the law has measured it."""
    for delay_s in (0.25, 0.45):
        loop = Loop(scenario(0).build(draw(200.0, delay_s=delay_s)))
        loop.run()
        assert loop.measured_delay_s == pytest.approx(delay_s, abs=0.05)


@pytest.mark.parametrize(("f_hz", "delay_s"), [(0.2, 0.25), (0.7, 0.25), (2.5, 0.25), (0.4, 0.45)])
def test_no_frequency_is_amplified_beyond_the_analytic_peak_gain(f_hz: float, delay_s: float) -> None:
    """A sinusoid in the load, in the closed loop with meters, converter lag and the whole law, against the formula."""
    spec, time_s = reference_spec(delay_s), np.arange(round(60 / STEP_S)) * STEP_S
    job_w = 40 * MW + 8 * MW * np.sin(2 * np.pi * f_hz * time_s)
    loop = Loop(Case("sinusoid", spec, np.full(len(job_w), BASE_W), job_w, [store(b, delay_s, 0.5)
                                                                            for b in spec.batteries]))
    run = loop.run()
    last = slice(len(run.grid_w) - 400, None)  # 40 s: whole periods of each frequency
    turns = np.exp(-2j * np.pi * f_hz * run.period_s * np.arange(400))
    grid, load = (abs(((w[last] - w[last].mean()) * turns).sum()) for w in (run.grid_w, run.load_w))
    assert 0.3 < grid / load <= peak_gain(spec.filter_hz, delay_s, 0.1)


def test_the_predictor_takes_the_swing_off() -> None:
    """The front: the filter amplifies the rhythm, the predictor attenuates it, both keep the ramp."""
    seen = {}
    for predicts in (False, True):
        run = Loop(scenario(0).build(draw(260.0, predicts=predicts))).run()
        part = slice(run.first + 1600, None)
        seen[predicts] = amplification(run.grid_w[part], run.load_w[part], 0.1, (0.5, 2.5))
    assert 1.0 < seen[False] <= 1.2
    assert seen[True] < 0.85


def test_a_meter_of_one_second_is_recognised() -> None:
    """The delay is learnt from when its content changes, and the ramp is the gentler one."""
    loop = Loop(scenario(19).build(draw(220.0)))
    loop.run()
    assert loop.decision is not None
    assert loop.decision.tuning.up_w_per_s * 60 < 5e6
    assert loop.measured_delay_s > 0.6


@pytest.mark.parametrize("delay_s", [0.0, 0.25, 0.45])
def test_the_adversary_breaks_nothing(delay_s: float) -> None:
    """P1, P2, P4: the worst loads against the smallest battery. The bench runs a million cycles of it."""
    found = adversary(12_000, 3, delay_s)
    assert found.cycles == 12_000
    assert found.violations == 0
    assert delay_s or found.saturated == 0


def test_a_battery_that_is_too_small_is_found_by_the_adversary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the adversary would prove nothing: with half the energy it saturates."""
    from pswd_edge.bench import adversary as module

    begin = module.Store.__init__

    def halved(self, rng, late, *, filtered) -> None:
        begin(self, rng, late, filtered=filtered)
        self.usable_wh /= 2
        self.energy_wh = min(self.energy_wh, self.usable_wh)

    monkeypatch.setattr(module.Store, "__init__", halved)
    assert module.adversary(40_000, 3).saturated > 0


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["time_s,load_w", *rows]) + "\n")
    return path


def test_a_trace_goes_in_and_decisions_come_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """What an engineer does first with a recording of his own site."""
    trace = write(tmp_path / "mine.csv", "0,30e6", "30,30e6", "30.1,80e6", "90,80e6")
    assert main(["replay", str(trace), "--json", "--out", str(tmp_path / "out.csv")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["load_ramp_60s_max_mw_per_min"] > 10 > told["ramp_60s_max_mw_per_min"]
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == pytest.approx(900, abs=2)
    assert float(rows[-1]["load_w"]) == 80e6
    balance = float(rows[600]["load_w"]) - float(rows[600]["battery_w"])
    assert float(rows[600]["grid_w"]) == pytest.approx(balance, abs=1.0)


def test_wear_has_its_price(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Whether to follow the predicted swing is asked with a price: it goes by throughput, for a day like the run."""
    trace = write(tmp_path / "mine.csv", "0,30e6", "30,30e6", "30.1,80e6", "90,80e6")
    assert main(["replay", str(trace), "--json", "--wear-price", "20"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wear_per_day"] == pytest.approx(20 * told["throughput_mwh"] * 86400 / told["seconds"])
    assert main(["replay", str(trace), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wear_per_day"] is None


def test_a_trace_on_a_site_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The demo's batteries and tiers."""
    trace = write(tmp_path / "mine.csv", "0,30e6", "20,30e6", "20.1,60e6", "60,60e6")
    assert main(["replay", str(trace), "--site", str(ROOT / "config/demo.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ramp_60s_max_mw_per_min"] <= 10


def test_every_mistake_of_a_trace_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """All at once."""
    trace = write(tmp_path / "bad.csv", "0,1e6", "1,x", "0.5", "2,-4", "1.5,nan", "0,3")
    assert main(["replay", str(trace)]) == 2
    told = capsys.readouterr().err
    assert [line.split(":")[1] for line in told.splitlines() if "bad.csv" in line] == ["3", "4", "5", "6", "7"]
    assert "got 0: expected more than 0" in told.replace("time_s ", "")


def test_a_scenario_without_a_match_is_answered_with_the_list(capsys: pytest.CaptureFixture) -> None:
    """Help that teaches."""
    assert main(["replay", "no such thing"]) == 1
    assert "step up from idle" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run.png", "run.html"])
def test_a_run_can_be_looked_at(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The picture stands in one file."""
    assert main(["replay", "1", "--seconds", "80", "--plot", str(tmp_path / name), "--json"]) == 0
    assert (tmp_path / name).stat().st_size > 10_000
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert json.loads(capsys.readouterr().out)["viable"]


def test_bounds_are_the_fleet_s() -> None:
    """What the optimum may use is what the law has."""
    found = bounds_of(scenario(33).build(draw(60.0)))
    assert (found.discharge_w, found.energy_min_wh, found.energy_max_wh) == (160e6, 2e6, 18e6)
