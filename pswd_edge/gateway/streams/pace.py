"""When a row leaves: a steady while after its cycle began, however long the devices took to answer in it.

A row is whole as soon as control has its inputs and has decided: on a campus of simulators 5 to 30 ms after the cycle
began, never twice the same. Sent at once, that would be the jitter of the stream. So a row waits until it is as old as
the oldest were of late.
"""

_GLIDE_S = 20e-6         # a row: what was waited for in vain is given up slowly, 0.2 ms a second
_MOST_PERIODS = 0.7      # of waiting: the next row is on its way then


class Pace:
    """Learns how old rows are when they are seen."""

    def __init__(self) -> None:
        self._hold_s = 0.0

    def due_s(self, began_s: float, now_s: float, period_s: float) -> float:
        """When a row is to leave whose cycle began at `began_s` and that is seen now; all monotonic."""
        age_s = now_s - began_s
        if not 0.0 <= age_s <= _MOST_PERIODS * period_s:
            return now_s
        self._hold_s = max(age_s, min(self._hold_s - _GLIDE_S, _MOST_PERIODS * period_s))
        return began_s + self._hold_s
