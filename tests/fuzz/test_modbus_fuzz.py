"""A small share of the fuzzing in every test run; the million is `python -m tests.fuzz.modbus`."""

import pytest

from pswd_edge.errors import SilentError
from pswd_edge.field.drivers.ordered_link import OrderedLink
from pswd_edge.field.drivers.rtu_debts import Debts
from tests.fuzz.modbus import FRAMINGS, BrokenInvariantError, fuzz

FRAMES = 5000


@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_frame_makes_a_crash_a_hang_or_a_wrong_value(framing: str) -> None:
    """Malformed, truncated, late, doubled and lost; a third of the answers must still get through."""
    figures = fuzz(framing, FRAMES, seed=7)
    assert figures.frames >= FRAMES
    assert figures.ended["right"] > FRAMES / 4
    assert {"DecodeError", "RefusedError", "SilentError", "cancelled"} <= set(figures.ended)
    assert figures.late > 0


def test_the_same_seed_is_the_same_run() -> None:
    """A finding must be found again."""
    first, second = (fuzz("rtu", 1000, seed=3) for _ in range(2))
    assert first._replace(seconds=0) == second._replace(seconds=0)


@pytest.mark.parametrize(("framing", "of", "name", "mistake"), [
    ("rtu", Debts, "fence", lambda *_: None),                           # the old answer is trusted after a while
    ("rtu_over_tcp", Debts, "due", lambda *_: None),                    # as most clients do: asked again at once
    ("ordered", OrderedLink, "_expire", lambda link: link._end(SilentError("kept open"))),
    ("ordered", OrderedLink, "_hang_up", lambda link, error: link._end(error)),
])
def test_the_fuzzer_finds_a_driver_that_has_a_mistake(
    framing: str, of: type, name: str, mistake: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fuzzer that cannot fail proves nothing: each of these links takes another's answer for its own."""
    monkeypatch.setattr(of, name, mistake)
    with pytest.raises(BrokenInvariantError, match="expected"):
        fuzz(framing, 20_000, seed=7)
