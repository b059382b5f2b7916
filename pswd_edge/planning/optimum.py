"""What the best of all controllers would have done, knowing the whole load beforehand: a linear programme.

With h the step in s, k the steps, powers in MW, energies in MWh::

    minimise   sum h (TRADE (d + c) + UNSERVED s) + SLACK sum v
    such that  g + d - c + s = load
               E' = E - h/3600 (d / eta_d - eta_c c)
               |g' - g| <= R h / 60 + v
               0 <= g <= import limit, 0 <= d, c <= ratings, 0 <= s <= what tiers take off, E in its window,
               E at the end between E at the start and what the run ended with, the first g as the run had it

The weights order the aims: no ramp is broken to save a load, none is shed to save the batteries. Both are only optimal
while charging and discharging at once does not pay; where energy must be burned the run is not viable, and says so.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from pswd_edge.planning.run import Bounds, Series

TRADE, UNSERVED, SLACK = 0.01, 10.0, 1e5
_BURN_MW = 0.5                # charging and discharging at once by more: energy is being burned
_TINY = 1e-6


@dataclass(frozen=True)
class Optimum:
    """The optimum over the steps of `step_s`; W and Wh, arrays of shape (n,).

    `viable`: no ramp is broken, no energy burned. `excess_w_per_min`: the largest ramp beyond the limit. `seconds`: how
    long the solver took. `solved` is False where it found nothing; the numbers are NaN then.
    """

    step_s: float
    throughput_wh: float
    unserved_wh: float
    excess_w_per_min: float
    grid_w: Series
    battery_w: Series
    energy_wh: Series
    viable: bool
    solved: bool
    seconds: float


def optimum(
    load_w: Series, step_s: float, bounds: Bounds, first_grid_w: float, energy_wh: float, end_wh: float | None = None,
    import_w: Series | None = None,
) -> Optimum:
    """The optimum for a load; batteries hold `energy_wh` at the start.

    At the end they hold something between that and `end_wh`, where the run that is compared ended; None: as at the
    start. A run that stops in mid-ramp cannot have its energy back: asking it of the optimum would break the ramp.
    `import_w`: an import limit for each step, where it changes; None: that of the bounds.
    """
    began = time.perf_counter()
    count = len(load_w)
    model = _model(load_w / 1e6, step_s, bounds, first_grid_w / 1e6, energy_wh / 1e6,
                   (energy_wh if end_wh is None else end_wh) / 1e6,
                   np.full(count, bounds.import_limit_w / 1e6) if import_w is None else import_w / 1e6)
    values = _solved(model)
    seconds = time.perf_counter() - began
    if values is None:
        nothing = np.full(count, np.nan)
        nan = float("nan")
        return Optimum(step_s, nan, nan, nan, nothing, nothing, nothing, False, False, seconds)
    grid, give, take, shed, slack = (values[k * count : (k + 1) * count] for k in range(5))
    burned = float(np.minimum(give, take).max(initial=0.0))
    excess = float(slack.max(initial=0.0)) * 60 / step_s
    return Optimum(
        step_s, float((give + take).sum()) * step_s / 3600 * 1e6, float(shed.sum()) * step_s / 3600 * 1e6, excess * 1e6,
        grid * 1e6, (give - take) * 1e6, values[5 * count + 1 :] * 1e6, burned < _BURN_MW and excess < _TINY * 1e3,
        True, seconds)


def _model(load: Series, step_s: float, bounds: Bounds, first_grid: float, energy: float, end: float,
           most: Series) -> Any:
    """The programme for HiGHS; columns g, d, c, s, v (each as long as the load) and E (one longer)."""
    import highspy  # noqa: PLC0415  # 0.1 s that only those pay who solve something

    count, hours = len(load), step_s / 3600
    inf = highspy.kHighsInf
    one, zero = np.ones(count), np.zeros(count)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 6 * count + 1, 2 * count + 2 * (count - 1)
    lp.col_cost_ = np.concatenate((zero, step_s * TRADE * one, step_s * TRADE * one, step_s * UNSERVED * one,
                                   SLACK * one, np.zeros(count + 1)))
    low_e, high_e = bounds.energy_min_wh / 1e6, bounds.energy_max_wh / 1e6
    lower_e, upper_e = np.full(count + 1, low_e), np.full(count + 1, high_e)
    first, last = (min(max(e, low_e), high_e) for e in (energy, end))
    lower_e[0] = upper_e[0] = first
    lower_e[-1], upper_e[-1] = min(first, last), max(first, last)
    lower_g, upper_g = zero.copy(), most.copy()
    lower_g[0] = upper_g[0] = first_grid
    lp.col_lower_ = np.concatenate((lower_g, zero, zero, zero, zero, lower_e))
    lp.col_upper_ = np.concatenate((upper_g, bounds.discharge_w / 1e6 * one, bounds.charge_w / 1e6 * one,
                                    np.minimum(bounds.shed_max_w / 1e6, load.clip(0)), np.full(count, inf), upper_e))
    ramp = bounds.ramp_w_per_min / 1e6 * step_s / 60
    short = count - 1
    lp.row_lower_ = np.concatenate((load, zero, np.full(short, -inf), np.full(short, -ramp)))
    lp.row_upper_ = np.concatenate((load, zero, np.full(short, ramp), np.full(short, inf)))
    k, j = np.arange(count), np.arange(short)
    entries = [  # row, column, value
        (k, k, one), (k, count + k, one), (k, 2 * count + k, -one), (k, 3 * count + k, one),
        (count + k, 5 * count + 1 + k, one), (count + k, 5 * count + k, -one),
        (count + k, count + k, hours / bounds.discharge_efficiency * one),
        (count + k, 2 * count + k, -hours * bounds.charge_efficiency * one),
        (2 * count + j, 1 + j, one[:-1]), (2 * count + j, j, -one[:-1]), (2 * count + j, 4 * count + j, -one[:-1]),
        (2 * count + short + j, 1 + j, one[:-1]), (2 * count + short + j, j, -one[:-1]),
        (2 * count + short + j, 4 * count + j, one[:-1])]
    row, column, value = (np.concatenate([e[i] for e in entries]) for i in range(3))
    order = np.lexsort((column, row))
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=lp.num_row_)))).astype(np.int32)
    lp.a_matrix_.index_ = column[order].astype(np.int32)
    lp.a_matrix_.value_ = value[order]
    return lp


def _solved(lp: Any) -> Series | None:
    """The columns' values, or None where no optimum was found."""
    import highspy  # noqa: PLC0415

    solver: Any = highspy.Highs.__base__()  # type: ignore[misc]  # the wrapper prints a banner before it can be told not to
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return np.asarray(solver.getSolution().col_value, dtype=np.float64)
