"""What an agent can answer at once, learnt from it: a GET that brings no value is asked anew in halves.

gufo_snmp does not tell an error status from an answer full of noSuchInstance: both are an answer without a value. So
tooBig and the one sick object that spoils a whole GET (genErr) are found by halving, once; the cuts are remembered.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gufo.snmp.typing import ValueType

from pswd_edge.model.quality import Reason

Oids = tuple[str, ...]
Found = dict[str, ValueType | Reason]
"""Values by object id; a `Reason` where the agent gave none. An object that is missing: the agent does not have it."""
GetMany = Callable[[Oids], Awaitable[dict[str, ValueType]]]
GetWhy = Callable[[str], Awaitable[Reason]]
LESSONS_MAX = 8               # exchanges more than it needs, in one read, until it is known how this agent wants it


class Part(NamedTuple):
    """Objects asked in one exchange. `why`: what an answer without a value means, NONE where that is not known yet."""

    oids: Oids
    why: Reason = Reason.NONE


class Parts:
    """The parts of one request, in its order."""

    def __init__(self, oids: Oids) -> None:
        self._parts: tuple[Part, ...] = (Part(oids),)

    async def ask(self, get_many: GetMany, get_why: GetWhy) -> Found:
        """One exchange a part, and about `LESSONS_MAX` more; what is left for the next read is NEVER_READ for now."""
        found: Found = {}
        todo, done, lessons = deque(self._parts), list[Part](), 0
        while todo:
            part = todo.popleft()
            values = await get_many(part.oids)
            if values or part.why is not Reason.NONE:
                done.append(part)
                found.update(values or _all(part.oids, part.why))
            elif lessons >= LESSONS_MAX:
                done.append(part)
                found.update(_all(part.oids, Reason.NEVER_READ))
            elif len(part.oids) == 1:
                lessons += 1
                why = await get_why(part.oids[0])
                if why is Reason.NONE:  # it has a value after all: ask again
                    todo.appendleft(part)
                else:
                    done.append(Part(part.oids, why))
                    found.update(_all(part.oids, why))
            else:
                lessons += 2
                half = len(part.oids) // 2
                todo.extendleft((Part(part.oids[half:]), Part(part.oids[:half])))
            self._parts = (*done, *todo)
        if lessons:
            self._parts = tuple(_joined(done))
        return found


def _all(oids: Oids, why: Reason) -> Found:
    return {} if why is Reason.DEVICE else dict.fromkeys(oids, why)


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Neighbours without a value for the same reason are asked together again, where nothing else is to be learnt."""
    joined: list[Part] = []
    for part in parts:
        if joined and part.why is not Reason.NONE and joined[-1].why is part.why:
            joined[-1] = Part(joined[-1].oids + part.oids, part.why)
        else:
            joined.append(part)
    return joined
