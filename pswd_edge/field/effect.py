"""Whether a write does what it is for: acknowledged and read back is not yet seen on a meter.

Asked only of slots that await it, from the write of a new value until the meter shows it. A value that moves all the
time awaits from the first change that was not seen: a device that never follows is found out, one that lags is not.
"""


from pswd_edge.field.slot import Slot
from pswd_edge.field.table import Table
from pswd_edge.field.work import Tell
from pswd_edge.model.quality import Quality


class EffectWatch:
    """`awaiting` are the slots of which an effect is due, by point."""

    def __init__(self, table: Table, tell: Tell) -> None:
        self.table, self._tell = table, tell
        self.awaiting: dict[int, Slot] = {}

    def expect(self, slot: Slot, value: float, now_s: float) -> None:
        """A new value was acknowledged: its effect is due in `effect_s`."""
        rule = slot.rule
        if rule.effect is None:
            return
        if rule.effect_is == "off" and value != rule.off_value:  # what is switched on need not draw anything
            self.forget(slot)
        elif slot.awaits_s is None:
            slot.awaits_s = now_s
            self.awaiting[slot.point.index] = slot

    def forget(self, slot: Slot) -> None:
        """Nothing is due any more."""
        slot.awaits_s = None
        self.awaiting.pop(slot.point.index, None)

    def look(self, now_s: float) -> None:
        """Judge every slot that awaits its effect; call it once a cycle."""
        for slot in tuple(self.awaiting.values()):
            self._judge(slot, now_s)

    def _judge(self, slot: Slot, now_s: float) -> None:
        meter, since_s = slot.rule.effect, slot.awaits_s
        if meter is None or since_s is None or slot.wanted is None:
            self.forget(slot)
            return
        if self.table.quality[meter] != Quality.GOOD:
            slot.awaits_s = now_s  # a meter that says nothing neither proves nor accuses
            return
        if slot.written is None or not float(self.table.received_s[meter]) > since_s:
            return
        shown = float(self.table.value[meter])
        if _reached(slot, slot.written, shown):
            self.forget(slot)
            self._seen(slot, shown)
        elif now_s - since_s > slot.rule.effect_s and slot.effect != "ineffective":
            self._missed(slot, slot.written, shown)

    def _seen(self, slot: Slot, shown: float) -> None:
        if slot.state in ("acknowledged", "verified", "ineffective"):
            slot.state = "effective"
        if slot.effect != "effective":
            slot.effect = "effective"
            self._tell("info", "effect_seen", slot.point.id, f"{slot.point.id}: its meter shows the effect: {shown:g}")

    def _missed(self, slot: Slot, written: float, shown: float) -> None:
        slot.effect = slot.state = "ineffective"
        self._tell("warning", "no_effect", slot.point.id,
                   f"{slot.point.id}: wrote {written:g} {slot.point.unit}, its meter shows {shown:g} after "
                   f"{slot.rule.effect_s:g} s: expected {_expectation(slot, written)}; the value stands")


def _reached(slot: Slot, written: float, shown: float) -> bool:
    rule = slot.rule
    if rule.effect_is == "off":
        return abs(shown) <= rule.effect_tolerance
    over = shown - written
    return over <= rule.effect_tolerance if rule.effect_is == "at_most" else abs(over) <= rule.effect_tolerance


def _expectation(slot: Slot, written: float) -> str:
    tolerance = slot.rule.effect_tolerance
    if slot.rule.effect_is == "off":
        return f"{tolerance:g} at most"
    if slot.rule.effect_is == "at_most":
        return f"at most {written + tolerance:g}"
    return f"{written:g} within {tolerance:g}"


