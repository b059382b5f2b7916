"""The fourth outcome of a write: its meter shows it, or does not."""

import pytest

from pswd_edge.field.table import Table
from tests.field.writebench import SILENT, Bench


def battery(monkeypatch: pytest.MonkeyPatch, **rule: object) -> Bench:
    """A set-point whose power is measured at point 2."""
    return Bench(monkeypatch, effect=2, effect_tolerance=2.0, effect_s=5.0, **rule)


def lead(bench: Bench, value: float, meter: int, cycles: int) -> None:
    for _ in range(cycles):
        bench.want(value, after_s=0.05)
        if bench.slot.in_flight:
            bench.answer()
        bench.meter(meter, after_s=0.05)


def test_the_four_outcomes_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledged is not applied, applied is not effective."""
    bench = battery(monkeypatch)
    seen = []
    bench.want(10.0)
    seen.append(bench.slot.state)
    bench.answer()
    seen.append(bench.slot.state)
    bench.show(10)
    seen.append(bench.slot.state)
    bench.meter(9)
    seen.append(bench.slot.state)
    assert seen == ["pending", "acknowledged", "verified", "effective"]
    assert bench.told.codes() == ["effect_seen"]


def test_a_write_without_effect_is_said_once_and_then_the_first_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """PCS accepts writes but does not follow: a minute of it is one warning, and its end one line."""
    bench = battery(monkeypatch)
    lead(bench, 10.0, 0, 600)
    assert bench.slot.state == "ineffective"
    assert bench.told.codes() == ["no_effect"]
    assert "wrote 10 W, its meter shows 0 after 5 s: expected 10 within 2" in bench.told.events[0][3]
    lead(bench, 10.0, 10, 5)
    assert bench.slot.state == "effective"
    assert bench.told.codes() == ["no_effect", "effect_seen"]


def test_a_set_point_that_moves_all_the_time_is_not_excused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cycle another value, never an effect: the time counts from the first that was not seen."""
    bench = battery(monkeypatch)
    for n in range(80):
        lead(bench, 20.0 + n % 40, 0, 1)
    assert bench.told.codes() == ["no_effect"]


def test_a_device_that_lags_behind_a_moving_set_point_is_not_accused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ramp is followed two cycles late, within the tolerance; told once, not in every cycle."""
    bench = battery(monkeypatch)
    for n in range(90):
        lead(bench, 1.0 * n, max(0, n - 2), 1)
    assert bench.told.codes() == ["effect_seen"]


def test_a_value_that_was_seen_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cheap: a slot is asked from the write of a new value until it is seen, and no more."""
    bench = battery(monkeypatch)
    lead(bench, 10.0, 10, 2)
    assert bench.field._effects.awaiting == {}
    lead(bench, 10.0, 0, 100)
    assert bench.told.codes() == ["effect_seen"]
    bench.want(40.0)
    bench.answer()
    assert list(bench.field._effects.awaiting) == [0]


def test_a_meter_that_says_nothing_neither_proves_nor_accuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence is the meter's trouble, and told elsewhere."""
    bench = battery(monkeypatch)
    bench.want(10.0)
    bench.answer()
    for _ in range(100):
        bench.want(10.0)
        bench.table.put_failure(1, 8)  # type: ignore[arg-type]
        bench.field.observe()
    assert bench.told.codes() == []
    lead(bench, 10.0, 0, 60)
    assert bench.told.codes() == ["no_effect"]


def test_a_reading_from_before_the_write_is_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter stood at 10 by chance: only what it shows afterwards counts."""
    bench = battery(monkeypatch)
    bench.meter(10)
    bench.want(10.0)
    bench.answer()
    bench.field.observe()
    assert bench.slot.state == "acknowledged"


@pytest.mark.parametrize(("meter", "state"), [(40, "effective"), (51, "effective"), (80, "ineffective")])
def test_a_cap_is_effective_where_the_load_keeps_below_it(
    monkeypatch: pytest.MonkeyPatch, meter: int, state: str
) -> None:
    """A rack at 40 of 50 obeys; one at 80 does not."""
    bench = battery(monkeypatch, effect_is="at_most")
    lead(bench, 50.0, meter, 60)
    assert bench.slot.state == state


@pytest.mark.parametrize(("value", "meter", "codes"), [
    (0.0, 1, ["effect_seen"]), (0.0, 30, ["no_effect"]), (1.0, 0, []), (1.0, 30, [])])
def test_a_switch_is_judged_when_it_is_off(
    monkeypatch: pytest.MonkeyPatch, value: float, meter: int, codes: list[str]
) -> None:
    """What is switched on need not draw anything; what is off must not."""
    bench = battery(monkeypatch, effect_is="off", off_value=0.0)
    lead(bench, value, meter, 60)
    assert bench.told.codes() == codes


def test_what_nobody_wants_any_more_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let go, the power is somebody else's."""
    bench = battery(monkeypatch)
    lead(bench, 10.0, 0, 5)
    bench.want(None)
    for _ in range(100):
        bench.meter(0)
    assert (bench.slot.state, bench.told.codes()) == ("idle", [])


def test_a_lost_answer_is_no_missing_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device holds is not known, so nothing can be expected of it."""
    bench = battery(monkeypatch)
    for _ in range(100):
        bench.want(10.0)
        bench.answer(SILENT)
        bench.meter(0, after_s=0.0)
    assert bench.told.codes() == ["write_failed"]


def test_the_table_is_not_asked_for_slots_that_await_nothing(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cycle in the steady state costs what it did before: no look at any meter."""
    bench = battery(monkeypatch)
    lead(bench, 10.0, 10, 2)
    looked: list[float] = []
    monkeypatch.setattr(bench.field._effects, "look", looked.append)
    assert isinstance(bench.table, Table)
    lead(bench, 10.0, 10, 50)
    assert looked == []
