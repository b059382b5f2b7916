"""Supervisors that must be heard from time to time while they hold something: who was heard when, who is silent.

Any accepted request of a supervisor counts, and a `Heartbeat`. What a silent one holds is the desk's to let go.
"""

from collections.abc import Callable, Sequence

from pswd_edge.control.limits import HeldLimit, level_of
from pswd_edge.model.command import Accepted, Heartbeat, Level, Outcome, Rejected
from pswd_edge.model.control import Supervisor


def covers(supervisor: Supervisor, origin: str, level: Level) -> bool:
    """Whether a request of this origin and level is the supervisor's."""
    return origin == supervisor.origin if supervisor.origin else level == supervisor.level


def covers_limit(supervisor: Supervisor, held: HeldLimit) -> bool:
    """Whether a limit is the supervisor's; what comes by the operator's socket is held as the grid's word."""
    if supervisor.origin or supervisor.level is None:
        return held.origin == supervisor.origin
    return held.level == level_of(Level(supervisor.level))


class Watch:
    """When each supervisor was last heard (monotonic). Those of a start are taken as heard then."""

    def __init__(self, supervisors: Sequence[Supervisor], now_s: float) -> None:
        self._supervisors = tuple(supervisors)
        self._heard_s = dict.fromkeys((s.name for s in supervisors), now_s)
        self._back_s: dict[str, float] = {}
        self._silent: dict[str, Supervisor] = {}

    def moved(self, supervisors: Sequence[Supervisor], now_s: float) -> "Watch":
        """The same under another site: who is still declared keeps its times."""
        after = Watch(supervisors, now_s)
        for supervisor in supervisors:
            name = supervisor.name
            after._heard_s[name] = self._heard_s.get(name, now_s)
            if name in self._silent:
                after._silent[name] = supervisor
            if name in self._back_s:
                after._back_s[name] = self._back_s[name]
        return after

    @property
    def silent(self) -> tuple[str, ...]:
        """Names of those that were silent for too long while they held something, until they are heard again."""
        return tuple(self._silent)

    def hear(self, origin: str, level: Level, now_s: float) -> int:
        """A request of this origin was accepted; returns how many supervisors that makes heard."""
        found = [s.name for s in self._supervisors if covers(s, origin, level)]
        for name in found:
            self._heard_s[name] = now_s
            if self._silent.pop(name, None) is not None:
                self._back_s[name] = now_s
        return len(found)

    def beat(self, request: Heartbeat, level: Level, now_s: float, cycle: int) -> Outcome:
        """The answer to a heartbeat; it is never written down, since nothing changes by it."""
        if self.hear(request.origin, level, now_s):
            return Accepted(id=request.id, cycle=cycle + 1, reason="heard")
        return Rejected(id=request.id, code="not_found", reason=f"{request.origin}: nobody waits for its heartbeat: "
                        "expected an origin or level of control.supervision")

    def newly_silent(self, holds: Callable[[Supervisor], bool], now_s: float) -> list[Supervisor]:
        """Those that hold something and have not been heard for longer than they may; each once."""
        found = [s for s in self._supervisors
                 if s.name not in self._silent and now_s - self._heard_s[s.name] > s.period_s and holds(s)]
        self._silent |= {s.name: s for s in found}
        return found

    def keeps(self, held: HeldLimit, now_s: float) -> bool:
        """Whether a limit that has run out stays: its supervisor is silent, or has had no time yet to renew it."""
        return any(s.on_silence == "hold_limit" and covers_limit(s, held)
                   and (s.name in self._silent or now_s < self._back_s.get(s.name, -s.period_s) + s.period_s)
                   for s in self._supervisors)
