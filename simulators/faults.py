"""Faults that can be switched on while the campus runs: what goes wrong between a device and its client.

What goes wrong inside a device (a tripped battery, a stuck outlet) is the plant's; see `Plant.fault`.

| name | value | what the client sees |
|---|---|---|
| freeze | true | values stop changing, time stamps go on |
| nan | true | NaN in floats, the marker where a type has no NaN; set-points are spared |
| sentinel | true | the map's "not available" marker, or the usual one of the type; set-points are spared |
| delay | seconds | each answer so much later |
| drop | 0..1 | answers lost with this probability; what was asked is done |
| disconnect | true | connections closed and refused; UDP and units behind a shared gateway: silence |
| exception | code | every request refused: Modbus with this code, SNMP genErr, OPC UA Bad values |
| reboot | seconds | disconnect for so long, and set-points back at their defaults |
| garbage | word | see `GARBAGE` |
| word_order | true | the words of multi-register values swapped |

On RTU, which has no ids, `garbage` means: `frame` a wrong CRC, `transaction` another unit's answer, and both words for
late the same. `disconnect` and `reboot` also take a connection id: the gateway itself, with all that is behind it.
"""

import random
import time
from collections.abc import Callable, Iterable

GARBAGE = {
    "frame": "malformed frames",
    "transaction": "a transaction id that nobody asked with",
    "late": "each answer is kept until the next request and leaves then, with its own transaction id",
    "late_same_id": "as late, but under the id of the newer request",
}
_SWITCHES = frozenset({"freeze", "nan", "sentinel", "disconnect", "word_order"})
_NUMBERS = {"delay": 3600.0, "drop": 1.0, "exception": 255.0, "reboot": 3600.0}

FaultValue = bool | float | str | None


class DeviceFaults:
    """The faults of one device or connection; servers read the attributes at every answer.

    `disturbed` is True while an answer needs more than to be sent. `reboots` counts reboots since start.
    """

    __slots__ = (
        "delay", "disconnect", "disturbed", "drop", "exception", "freeze", "garbage", "nan", "reboot_until_s",
        "reboots", "sentinel", "word_order",
    )

    def __init__(self) -> None:
        self.freeze = False
        self.nan = False
        self.sentinel = False
        self.disconnect = False
        self.word_order = False
        self.delay = 0.0
        self.drop = 0.0
        self.exception = 0
        self.garbage = ""
        self.reboot_until_s = 0.0
        self.reboots = 0
        self.disturbed = False

    @property
    def offline(self) -> bool:
        """Nothing answers: disconnected or rebooting."""
        return self.disconnect or self.reboot_until_s > 0.0

    def judge(self) -> None:
        """Work out `disturbed` after a change."""
        self.disturbed = bool(self.offline or self.delay or self.drop or self.exception or self.garbage)


class Faults:
    """The faults of a campus. `version` grows with each change, so that servers need to look only then."""

    def __init__(self, ids: Iterable[str], seed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._of = {name: DeviceFaults() for name in ids}
        self._clock = clock
        self._random = random.Random(seed)
        self.version = 0

    def of(self, device_id: str) -> DeviceFaults:
        """The faults of a device or connection; raises ValueError where there is none of this id."""
        try:
            return self._of[device_id]
        except KeyError:
            raise ValueError(f"fault: no device or connection {device_id!r}; nothing was changed") from None

    def set(self, device_id: str, name: str, value: FaultValue) -> None:
        """Switch a fault on, or off with None, False or 0. Raises ValueError naming what was expected."""
        state = self.of(device_id)
        checked = _check(name, value)
        if name == "reboot":
            seconds = float(checked)
            state.reboot_until_s = self._clock() + seconds if seconds else 0.0
            state.reboots += bool(seconds)
        else:
            setattr(state, name, checked)
        state.judge()
        self.version += 1

    def tick(self) -> None:
        """End the reboots whose time is over."""
        now_s = self._clock()
        for state in self._of.values():
            if 0.0 < state.reboot_until_s <= now_s:
                state.reboot_until_s = 0.0
                state.judge()
                self.version += 1

    def lose(self, state: DeviceFaults) -> bool:
        """Whether this answer is to be lost."""
        return state.drop > 0.0 and self._random.random() < state.drop


def _check(name: str, value: FaultValue) -> bool | float | str:
    if name in _SWITCHES:
        return bool(value)
    if name == "garbage":
        word = value or ""
        if word != "" and word not in GARBAGE:
            raise ValueError(f"fault garbage: got {value!r}, expected one of {', '.join(GARBAGE)}; nothing was changed")
        return str(word)
    if name not in _NUMBERS:
        known = ", ".join(sorted((*_SWITCHES, *_NUMBERS, "garbage")))
        raise ValueError(f"fault: got {name!r}, expected one of {known}; nothing was changed")
    return _check_number(name, value)


def _check_number(name: str, value: FaultValue) -> float:
    number = 0.0 if value is None else value
    if isinstance(number, str) or not 0.0 <= number <= _NUMBERS[name]:
        raise ValueError(f"fault {name}: got {value!r}, expected 0 to {_NUMBERS[name]:g}; nothing was changed")
    return int(number) if name == "exception" else float(number)
