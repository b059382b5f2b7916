"""Where the optimum's batteries may end."""

import numpy as np

from pswd_edge.planning.optimum import optimum
from pswd_edge.planning.run import Bounds

BOUNDS = Bounds(10e6, 120e6, 100e6, 100e6, 0.0, 12e6, 0.95, 0.95, 0.0)


def test_an_optimum_that_ends_in_mid_ramp_need_not_give_the_energy_back() -> None:
    """A step of 60 MW takes six minutes to ramp: after four there was no time to charge, for no controller at all."""
    load = np.where(np.arange(300) < 60, 30e6, 90e6)
    back = optimum(load, 1.0, BOUNDS, 30e6, 6e6)
    free = optimum(load, 1.0, BOUNDS, 30e6, 6e6, 2e6)
    assert not back.viable
    assert free.viable
    assert 2e6 - 1 <= free.energy_wh[-1] <= 6e6
