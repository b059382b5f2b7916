"""Heat for a heat network: held within its band by set-point and flow, off when it cannot be held. Pure."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from pswd_edge.control.rules.cooling import NOWHERE, followed
from pswd_edge.control.rules.measured import measured
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.thermal import HeatExport

WATER_J_PER_L_K = 4060.0      # water at 75 degC: 974 kg/m3 times 4.19 kJ/(kg K), less half a per cent for inhibitor
TRIM = 0.5                    # the most that the supply temperature may change of the flow that the heat asks for
TRIES_MAX = 3                 # the rest between two tries doubles so often


class ExportState(NamedTuple):
    """One heat exchanger.

    `outside_s` is how long its supply has been outside the band or unknown while it was on, `held_s` how long within;
    `rest_s` how long it has been off, `tries` how often in a row. `setpoint`, `flow`: what is wanted, NaN at first.
    """

    on: bool = True
    outside_s: float = 0.0
    held_s: float = 0.0
    rest_s: float = 0.0
    tries: int = 0
    setpoint: float = math.nan
    flow: float = math.nan


def held(
    spec: HeatExport, state: ExportState, snapshot: Snapshot, dt_s: float, *, acts: bool, others: frozenset[int],
    stopped: bool = False, stands: Mapping[int, float] = NOWHERE,
) -> ExportState:
    """The next state; `acts`, `others`, `stands` as in `cooling.led`. `stopped`: somebody has switched it off."""
    supply_c = measured(snapshot.read(spec.supply.point), spec.supply.max_age_s)
    heat_w = measured(snapshot.read(spec.heat.point), spec.heat.max_age_s)
    if stopped:
        state = state._replace(outside_s=0.0, held_s=0.0)
    elif acts:
        state = _switched(spec, state, supply_c, dt_s)
    setpoint = followed(spec.setpoint, state.setpoint, spec.goal_c, snapshot, dt_s,
                        free=acts and spec.setpoint.point not in others, stands=stands)
    runs = state.on and not stopped
    goal = _flow_goal(spec, supply_c - setpoint, heat_w, state.flow) if runs else spec.flow.low
    flow = followed(spec.flow, state.flow, goal, snapshot, dt_s,
                    free=acts and spec.flow.point not in others, stands=stands)
    return state._replace(setpoint=setpoint, flow=flow)


def wanted(spec: HeatExport, state: ExportState) -> tuple[tuple[int, float], ...]:
    """What is wanted of its points."""
    found = ((spec.setpoint.point, state.setpoint), (spec.flow.point, state.flow))
    return found if spec.enable is None else (*found, (spec.enable, 1.0 if state.on else 0.0))


def _switched(spec: HeatExport, state: ExportState, supply_c: float, dt_s: float) -> ExportState:
    """On or off. A supply that is not known is not held."""
    if not state.on:
        rest_s = state.rest_s + dt_s
        if rest_s < spec.retry_s * 2 ** min(state.tries - 1, TRIES_MAX):
            return state._replace(rest_s=rest_s)
        return state._replace(on=True, rest_s=0.0, outside_s=0.0, held_s=0.0)
    if spec.low_c <= supply_c <= spec.high_c:
        held_s = state.held_s + dt_s
        return state._replace(outside_s=0.0, held_s=held_s, tries=0 if held_s >= spec.retry_s else state.tries)
    outside_s = state.outside_s + dt_s
    if outside_s < spec.off_after_s:
        return state._replace(outside_s=outside_s, held_s=0.0)
    return state._replace(on=False, outside_s=0.0, held_s=0.0, rest_s=0.0, tries=state.tries + 1)


def _flow_goal(spec: HeatExport, above_c: float, heat_w: float, flow: float) -> float:
    """The flow that takes the heat away at the planned fall, L/min: less where the supply is cool, more where warm.

    `above_c`: how far the supply is above its set-point, NaN where it is not known.
    """
    if math.isnan(heat_w):
        return flow
    trim = 0.0 if math.isnan(above_c) else 2 * above_c / (spec.high_c - spec.low_c)
    planned = heat_w * 60.0 / (WATER_J_PER_L_K * spec.fall_c)
    return planned * (1.0 + min(max(trim, -TRIM), TRIM))
