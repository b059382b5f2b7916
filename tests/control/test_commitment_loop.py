"""A commitment as the law keeps it: the grid's power is down when it was promised, by its ramp, and stays there."""

from itertools import pairwise

from virtual import MW, World, small_spec

from pswd_edge.planning.flexibility import lead_s

BEGIN, END = 3500, 5000       # cycles of 100 ms


def test_an_import_limit_that_begins_a_ramp_before_keeps_the_promise() -> None:
    """Below the baseline less the reduction, from the first second on, without a step."""
    world = World(small_spec(), 80 * MW)
    world.run(1500)
    baseline_w = world.grid_w
    limit_w, from_cycle = baseline_w - 15 * MW, BEGIN - round(10 * lead_s(world.spec, 15 * MW))
    grid_w = []
    for cycle in range(1500, END):
        order = {"import_limit_w": limit_w} if cycle >= from_cycle else {}
        world.step(**order)
        grid_w.append(world.grid_w)
    assert max(grid_w[BEGIN - 1500 :]) <= limit_w + 0.01 * MW
    assert min(grid_w) > limit_w - 3 * MW
    assert max(a - b for a, b in pairwise(grid_w)) <= 1.01 * 0.1 * world.spec.ramp_down_w_per_s
