"""How a point is tried: a small move and back, a dry run, or a switch and back; and what must be seen of it."""

import asyncio
import math

from pswd_edge.control.publish import known
from pswd_edge.control.stage import ANSWER_S, TAKEN, Stage, TrialError, and_back, moved, text_of
from pswd_edge.model.command import Trial
from pswd_edge.model.point import Point, WriteRule

PRESENT_SHARE = 0.05          # of its present value: a move is never larger, where that is not 0


async def nudge(stage: Stage, index: int, percent: float) -> Trial:
    """Move a set-point by `percent` of its range and back; caps go down, others where there is room."""
    point, rule = stage.rule(index)
    before = stage.read(rule.read_back)
    if math.isnan(before):
        raise TrialError("its present value cannot be read, so it could not be put back; try operate")
    controller = next((c for c in stage.site.control.load_controllers if c.cap == index), None)
    span = controller.rating_w if controller else rule.maximum - rule.minimum
    move = percent / 100 * span
    if before:  # a map's range may be far wider than the device's: 1 % of it can be many times what it holds
        move = min(move, PRESENT_SHARE * abs(before))
    if rule.effect_is == "at_most" or before + move > rule.maximum:
        move = -move
    asked = before + move
    if abs(move) < max(2 * rule.tolerance, abs(point.scale) if _whole(point) else 0.0) or asked < rule.minimum:
        raise TrialError(f"{percent:g} % of its range, {abs(move):g} {point.unit}, is too small to be told apart")
    return await and_back(stage, _move(stage, index, before, move), lambda: stage.put(index, before))


async def _move(stage: Stage, index: int, before: float, move: float) -> Trial:
    point, rule = stage.rule(index)
    asked = before + move
    meter_before = (await stage.mean(rule.effect))[0] if rule.effect is not None else math.nan
    await stage.put(index, asked)
    shown = stage.read(rule.read_back)
    meter_after, note = await _watch(stage, rule, asked, move, meter_before)
    name = stage.site.points[rule.effect].id if rule.effect is not None else ""
    notes = (f"{before:g} to {asked:g} {point.unit} and back", f"read back {text_of(shown)}", note)
    return Trial("nudge", (point.id,), before, asked, known(shown), name, known(meter_before), known(meter_after),
                 None, notes)


async def _watch(stage: Stage, rule: WriteRule, asked: float, move: float, before: float) -> tuple[float, str]:
    """Wait for the move on the effect's meter; returns what it shows and a sentence. Raises TrialError."""
    if rule.effect is None:
        return math.nan, "no meter is named: only the read-back was seen"
    if rule.effect_is == "at_most":
        if await stage.until(lambda: stage.read(rule.effect) <= asked + rule.effect_tolerance, rule.effect_s):
            return stage.read(rule.effect), "its meter keeps below the limit"
        raise TrialError(f"its meter shows {text_of(stage.read(rule.effect))}: expected at most {asked:g}")
    if await stage.until(lambda: moved(stage.read(rule.effect), before, move), rule.effect_s):
        return stage.read(rule.effect), "its meter moved with it"
    raise TrialError(f"its meter moved from {text_of(before)} to {text_of(stage.read(rule.effect))}: expected "
                     f"{move:+g}")


def _whole(point: Point) -> bool:
    return not point.address.type.lower().startswith(("float", "double"))


async def dry_run(stage: Stage, index: int) -> Trial:
    """Read the state, and select it where it is select-before-operate. Nothing is switched."""
    point, rule = stage.rule(index)
    shown = stage.read(rule.read_back)
    if rule.sbo:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stage.field.rehearse(index, lambda why: None if done.done() else done.set_result(why))
        try:
            why = await asyncio.wait_for(done, ANSWER_S)
        except TimeoutError:
            why = f"not selected in {ANSWER_S:g} s"
        if why:
            raise TrialError(why)
    elif rule.read_back is not None and math.isnan(shown):
        raise TrialError("its state cannot be read")
    state = "shows nothing of itself" if rule.read_back is None else f"shows {shown:g}"
    return Trial("dry_run", (point.id,), shown=known(shown),
                 notes=(f"{state}; {'selected, ' if rule.sbo else ''}not operated",))


async def operate(stage: Stage, index: int) -> Trial:
    """Switch to another value and back (select-before-operate), or write a code again as it stands."""
    point, rule = stage.rule(index)
    shown = stage.read(rule.read_back)
    codes = [float(v) for v in point.labels] or ([rule.minimum, rule.maximum] if point.unit == "1" else [shown])
    codes = [v for v in codes if rule.minimum <= v <= rule.maximum]
    now = next((v for v in codes if abs(_expected(rule, v) - shown) <= max(rule.tolerance, 0.5)), None)
    if now is None:
        raise TrialError(f"its state, {text_of(shown)}, is none that can be written back")
    if not rule.sbo:
        await stage.put(index, now)
        return Trial("operate", (point.id,), now, now, known(shown), notes=(f"written again as it stands, {now:g}",))
    other = next(v for v in codes if v != now)
    return await and_back(stage, _switch(stage, index, now, other), lambda: _switched(stage, index, now))


async def _switch(stage: Stage, index: int, now: float, other: float) -> Trial:
    point, rule = stage.rule(index)
    await _switched(stage, index, other)
    return Trial("operate", (point.id,), now, other, known(stage.read(rule.read_back)),
                 notes=(f"switched to {other:g} and back to {now:g}, both confirmed",))


def _expected(rule: WriteRule, value: float) -> float:
    return float(rule.read_back_values.get(round(value), value))


async def _switched(stage: Stage, index: int, value: float) -> None:
    """Until a select-before-operate is confirmed. Raises TrialError where it failed."""
    _, rule = stage.rule(index)
    stage.wanted[index] = value

    def over() -> bool:
        slot = stage.field.slot(index)
        return (slot.state in TAKEN and slot.written == value) or slot.state in ("mismatch", "refused", "silent")

    await stage.until(over, rule.select_s + rule.confirm_s + rule.min_interval_s + ANSWER_S)
    slot = stage.field.slot(index)
    if slot.state not in TAKEN or slot.written != value:
        raise TrialError(f"{value:g}: {slot.state}, the device shows {text_of(stage.read(rule.read_back))}")
