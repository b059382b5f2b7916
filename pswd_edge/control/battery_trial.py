"""How a battery is tried: led for some seconds with all that leads it, moved, watched on its meter and the grid's."""

import math

from pswd_edge.control.commissioned import led_points
from pswd_edge.control.publish import known
from pswd_edge.control.rules.allocate import Battery
from pswd_edge.control.stage import SEEN_SHARE, Stage, TrialError, and_back, moved, text_of
from pswd_edge.model.command import Trial
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.point import WriteRule

GRID_S = 5.0                  # how long the grid meter may take to show it


async def nudge_battery(stage: Stage, battery: BatteryControl, found: Battery | None, percent: float) -> Trial:
    """Lead a battery for some seconds: it is enabled where it was not, moved, and left as it was found.

    `found` is the battery as the last cycle saw it, None before the first.
    """
    _, rule = stage.rule(battery.setpoint)
    if found is None or not found.usable:
        raise TrialError(f"the battery cannot be used: {'no cycle yet' if found is None else found.why}")
    former, enabled = stage.read(rule.read_back), stage.read(battery.enable)
    power, _ = await stage.mean(battery.power.point)
    if math.isnan(power) or (battery.enable is not None and math.isnan(enabled)):
        raise TrialError("its power or whether it is enabled cannot be read")
    led = battery.enable is None or enabled >= 1
    start = former if led and abs(former - power) <= rule.effect_tolerance else power
    move = percent / 100 * (battery.charge_rating_w + battery.discharge_rating_w)
    if start + move > found.discharge_available_w:
        move = -move
    start = min(max(start, -found.charge_available_w), found.discharge_available_w)
    if abs(move) < 2 * rule.tolerance or not -found.charge_available_w <= start + move <= found.discharge_available_w:
        raise TrialError(f"{abs(move):g} W is too small to be told apart from {rule.tolerance:g} W, or more than it "
                         "can give now")
    return await and_back(stage, _lead_battery(stage, battery, start, move),
                           lambda: _put_back(stage, battery, start, former, was_enabled=led))


async def _lead_battery(stage: Stage, battery: BatteryControl, start: float, move: float) -> Trial:
    _, rule = stage.rule(battery.setpoint)
    for index, value in _companions(battery, rule, start):
        await stage.put(index, value)
    return await _move_battery(stage, battery, start, move)


def _companions(battery: BatteryControl, rule: WriteRule, start: float) -> list[tuple[int, float]]:
    """What leads a battery, in the order that is safe."""
    found: list[tuple[int, float]] = []
    if battery.revert_timeout is not None and rule.revert_s > 0:
        found.append((battery.revert_timeout, rule.revert_s))
    if battery.mode is not None:
        found.append((battery.mode, 1.0))
    found.append((battery.setpoint, start))
    if battery.enable is not None:
        found.append((battery.enable, 1.0))
    return found


async def _move_battery(stage: Stage, battery: BatteryControl, start: float, move: float) -> Trial:
    _, rule = stage.rule(battery.setpoint)
    grid = stage.site.control.grid_power.point
    if battery.heartbeat is not None:
        stage.wanted[battery.heartbeat] = 0.0  # counts by itself while it stands there
    meter = battery.power.point if rule.effect is None else rule.effect
    await stage.stand()
    (before, _), (grid_before, restless) = await stage.mean(meter), await stage.mean(grid)
    await stage.put(battery.setpoint, start + move)
    shown = stage.read(rule.read_back)
    if not await stage.until(lambda: moved(stage.read(meter), before, move), rule.effect_s):
        raise TrialError(f"its meter moved from {text_of(before)} to {text_of(stage.read(meter))} W: expected "
                         f"{move:+g} W")
    after = stage.read(meter)
    change, note = await _grid_note(stage, grid, grid_before, restless, move)
    notes = (f"{start:g} to {start + move:g} W and back", f"read back {text_of(shown)}",
             f"its meter went from {before:g} to {after:g} W", note)
    points = tuple(stage.site.points[p].id for p in led_points(battery))
    return Trial("nudge", points, start, start + move, known(shown), stage.site.points[meter].id, known(before),
                 known(after), known(change), notes)


async def _grid_note(stage: Stage, grid: int, before: float, restless: float, move: float) -> tuple[float, str]:
    """Whether the grid connection saw it: discharge takes from the import. A restless load tells nothing."""
    if not restless < SEEN_SHARE * abs(move):
        return math.nan, "the grid meter was too restless to show it"
    if await stage.until(lambda: moved(stage.read(grid), before, -move), GRID_S):
        change = stage.read(grid) - before
        return change, f"the grid meter moved by {change:g} W, as it should"
    change = stage.read(grid) - before
    if moved(stage.read(grid), before, move):
        raise TrialError(f"the grid meter moved by {change:g} W, the wrong way for {move:+g} W: the sign of the "
                         "set-point and of the battery's power, or of the grid meter, is wrong")
    return change, f"the grid meter moved by {change:g} W only: not judged"


async def _put_back(stage: Stage, battery: BatteryControl, start: float, former: float, *, was_enabled: bool) -> None:
    await stage.put(battery.setpoint, start)
    await stage.stand()
    if was_enabled or battery.enable is None:
        return
    await stage.put(battery.enable, 0.0)
    if not math.isnan(former):
        await stage.put(battery.setpoint, former)
