"""The ramp budget: what the grid has really done in the last two minutes bounds what the reference may do next.

The utility judges means over 60 s, 60 s apart. Whatever filter, delay and batteries have left on the grid is in these
windows already; it can be measured, and taken off the ramp that follows. If the grid stood still at g from now on, the
difference of the two windows in h seconds would be (known(h) + g h) / 60, with

    known(h) = C(t) - 2 C(t + h - 60) + C(t + h - 120)

and C the energy that the grid has given up to a time. So g must lie within (+-60 limit - known(h)) / h for every h up
to 60 s. That is always possible again later, for the reference can stand still; nothing is promised of errors to come.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pswd_edge.model.tuning import WINDOW_S

_AHEAD_S = (1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)
_REBASE_J = 1e14              # double precision still tells 0.02 J apart


class Budget(NamedTuple):
    """Energy that the grid has given, J, at the end of each cycle of the last 120 s, oldest first.

    `ahead` and `back` are the places in it that the horizons look at; they depend on the period alone.
    """

    energy_j: NDArray[np.float64]
    ahead_s: NDArray[np.float64]
    one_back: NDArray[np.intp]
    two_back: NDArray[np.intp]
    period_s: float


def begun(grid_w: float, period_s: float) -> Budget:
    """A history in which the grid has been at `grid_w` for two minutes: the best guess where none was seen."""
    window = round(WINDOW_S / period_s)
    ahead = np.maximum(1, np.round(np.array(_AHEAD_S) / period_s)).astype(np.intp)
    energy = np.arange(2 * window + 1, dtype=np.float64) * (grid_w * period_s)
    return Budget(energy, (ahead * period_s).astype(np.float64), window + ahead, ahead, period_s)


def observed(budget: Budget, grid_w: float, dt_s: float) -> Budget:
    """The history after a cycle in which the grid gave `grid_w`; a long cycle counts as several."""
    cycles = max(1, round(dt_s / budget.period_s))
    new = budget.energy_j[-1] + np.arange(1, cycles + 1) * (grid_w * budget.period_s)
    energy = np.concatenate((budget.energy_j[cycles:], new))
    if abs(energy[-1]) > _REBASE_J:
        energy = energy - energy[0]
    return budget._replace(energy_j=energy)


def bounds_w(budget: Budget, up_w_per_min: float, down_w_per_min: float) -> tuple[float, float]:
    """The lowest and the highest power at which the grid may stand now, W, for ramps up and down of W/min.

    The lower one is above the higher where the windows hold a violation that nothing can mend any more; then the
    middle is the least evil, and both are that.
    """
    energy = budget.energy_j
    known = energy[-1] - 2 * energy[budget.one_back] + energy[budget.two_back]
    high = float(np.min((WINDOW_S * up_w_per_min - known) / budget.ahead_s))
    low = float(np.max((-WINDOW_S * down_w_per_min - known) / budget.ahead_s))
    if low > high:
        low = high = (low + high) / 2
    return low, high


def change_w_per_min(budget: Budget) -> float:
    """The ramp that the utility would find now: the last 60 s mean less the one before, W/min."""
    energy, window = budget.energy_j, (len(budget.energy_j) - 1) // 2
    return float(energy[-1] - 2 * energy[window] + energy[0]) / WINDOW_S
