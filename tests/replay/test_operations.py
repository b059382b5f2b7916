"""Operations in which everything changes: nothing may break, and the count must be able to find what does."""

import math

import pytest

from pswd_edge.bench.operations import Operations, operations
from pswd_edge.control.rules import law

Cycle = type(law.cycle)


@pytest.mark.parametrize("seed", [21, 22])
def test_nothing_breaks_while_everything_changes(seed: int) -> None:
    """Meters, batteries, limits, modes, missed cycles and restarts: the hour itself is in `bench control`."""
    found = operations(240.0, seed)
    assert found.first == {}
    assert found.violations == 0
    assert found.events > 40
    assert found.led > 300


def test_the_same_seed_is_the_same_hour() -> None:
    """A violation that is found has to be found again."""
    assert operations(30.0, 5) == operations(30.0, 5)


def _broken(how: str) -> Cycle:
    real = law.cycle

    def cycle(spec, state, snapshot, orders, dt_s):
        if how == "exception":
            raise ZeroDivisionError
        after, made = real(spec, state, snapshot, orders, dt_s)
        reference = after.reference
        if how == "nan":
            made = made._replace(battery_w=math.nan)
        elif how == "sum":
            made = made._replace(battery_w=made.battery_w + 1e6)
        elif how == "rating":
            made = made._replace(shares={b.id: 1.2 * b.discharge_rating_w for b in spec.batteries})
        elif how == "energy":
            made = made._replace(shares={b.id: b.discharge_rating_w for b in spec.batteries})
        elif how == "unexplained":
            made = made._replace(binding="")
        elif how == "ramp" and reference is not None:
            after = after._replace(reference=reference._replace(reference_w=reference.reference_w + 1e6))
        elif how == "dwell":
            after = after._replace(shed=after.shed._replace(
                tiers=tuple(t._replace(engaged=not t.engaged) for t in after.shed.tiers)))
        return after, made

    return cycle


@pytest.mark.parametrize("how", ["exception", "nan", "sum", "rating", "energy", "unexplained", "ramp", "dwell"])
def test_a_law_that_breaks_is_counted(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count of 0 says something only where each kind can be found."""
    monkeypatch.setattr(law, "cycle", _broken(how))
    found: Operations = operations(240.0 if how == "energy" else 20.0, 21)
    assert found.kinds[how] > 0
    assert found.violations >= found.kinds[how]
