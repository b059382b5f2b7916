"""One actuated point: what is wanted of it, what its device holds, and when it is to be written."""

import math
from dataclasses import dataclass, field

from pswd_edge.field.poller import Poller
from pswd_edge.model.point import ModbusAddress, Point, WriteRule

REFRESH_SHARE = 0.4           # of the device's revert or watchdog time: under half, with room for one lost write
OFFER_AGAIN_S = 5.0           # what a device refused, or shows differently though it has no revert time
PACED_MAX_S = 1.0             # a longer pause of the cycle is no licence for a larger step
KNOWN = ("verified", "mismatch", "effective", "ineffective")
"""States that a refresh of the same value does not undo."""
STEADY = ("acknowledged", "verified", "effective", "ineffective")
"""States in which an unchanged value needs no more than its refresh."""


@dataclass(slots=True)
class Operation:
    """How far a select-before-operate is.

    `step`: "" (nothing to do yet), "selecting", "selected", "operating", "confirming", "done", "resting" (failed, to be
    tried again at `until_s`) or "latched". `value` is what it is about; `until_s` ends the present step; `attempts`
    counts failures; `told` the last one. `rehearsal`: a dry run, which ends with the selection.
    """

    step: str = ""
    value: float = math.nan
    until_s: float = -math.inf
    attempts: int = 0
    rehearsal: bool = False


@dataclass(slots=True)
class Slot:
    """One actuated point.

    `state`: "idle", "pending" (on its way), "selected", "acknowledged", "verified" (read back), "effective" (seen on
    its meter), "mismatch", "ineffective", "refused", "silent". `written` is what its device holds, as far as is known;
    `session` the connection's when it was written. `changed_cycle` is the cycle that first wanted a value which is not
    acknowledged yet, or None; `newer_cycle` the first that wanted another value than the one in flight. `paced` is the
    last value that `rate_per_s` let through. `failing` is "", "refused", "silent" or "held" (`gates` are shut): what
    was told last. `gates` are the slots of `rule.after`, `followers` those that wait for this one. `awaits_s` is since
    when its effect has been awaited, or None; `effect` what was told of it last. `took_s` is from sending to
    acknowledgement, NaN before the first. `steady` is a value for which nothing is to be done before `steady_until_s`,
    or NaN: most slots of most cycles.
    """

    point: Point
    rule: WriteRule
    poller: Poller
    step: float = field(init=False)
    keep_s: float = field(init=False)
    operation: Operation | None = field(init=False)
    wanted: float | None = None
    sent: float = math.nan
    written: float | None = None
    refused: float | None = None
    in_flight: bool = False
    session: int = 0
    sent_s: float = -math.inf
    acknowledged_s: float = -math.inf
    refused_s: float = -math.inf
    compared_s: float = -math.inf
    took_s: float = math.nan
    changed_cycle: int | None = None
    newer_cycle: int | None = None
    state: str = "idle"
    mismatches: int = 0
    failing: str = ""
    paced: float = math.nan
    paced_s: float = -math.inf
    gates: tuple["Slot", ...] = ()
    followers: tuple["Slot", ...] = ()
    awaits_s: float | None = None
    effect: str = ""
    steady: float = math.nan
    steady_until_s: float = -math.inf

    def __post_init__(self) -> None:
        self.step = step_of(self.point)
        self.keep_s = self.rule.keep_alive_s
        self.operation = Operation() if self.rule.sbo else None

    def adapt(self, point: Point, rule: WriteRule) -> None:
        """The same point of the same device under another site file: what is known of it stays."""
        self.point, self.rule = point, rule
        self.step, self.keep_s, self.steady = step_of(point), rule.keep_alive_s, math.nan
        if rule.sbo != (self.operation is not None):
            self.operation = Operation() if rule.sbo else None

    def differs(self, a: float, b: float) -> bool:
        """Whether two values are more than half a step of the device apart; NaN differs from everything."""
        return not abs(a - b) <= max(0.5 * self.step, 1e-9 * max(abs(a), abs(b)))

    def holds(self, value: float) -> bool:
        """Whether the device has acknowledged this value and nothing else is on its way."""
        return not self.in_flight and self.written is not None and not self.differs(value, self.written)

    @property
    def open(self) -> bool:
        """Whether what waits for this point may go: it is not wanted, or acknowledged in this session and well."""
        if self.wanted is None:
            return True
        return (self.written is not None and not self.failing and self.session == self.poller.sessions
                and not self.differs(self.wanted, self.written))

    @property
    def refresh_s(self) -> float:
        """Time after which an unchanged value is written again; 0: never."""
        keep_s = self.written if self.rule.keep_alive and self.written is not None else self.keep_s
        times = [t for t in (self.rule.revert_s, keep_s) if t > 0]
        return REFRESH_SHARE * min(times) if times else 0.0

    def expected(self, written: float) -> float:
        """What the read-back shows of a written value."""
        return float(self.rule.read_back_values.get(round(written), written))

    def note_steady(self, value: float) -> None:
        """Remember that this value needs nothing until its next refresh, where that is so."""
        if (self.in_flight or self.changed_cycle is not None or self.state not in STEADY or not self.holds(value)
                or (self.operation is not None and self.operation.step != "done")):
            return
        refresh_s = 0.0 if self.rule.eeprom or self.operation is not None else self.refresh_s
        self.steady, self.steady_until_s = value, self.acknowledged_s + refresh_s if refresh_s else math.inf

    def let_go(self) -> None:
        """From now on the device's value is somebody else's: what we wrote says nothing. EEPROM is spared a rewrite."""
        self.wanted, self.changed_cycle, self.state, self.steady = None, None, "idle", math.nan
        self.awaits_s, self.effect = None, ""
        if not self.rule.eeprom:
            self.written = None

    def note_change(self, value: float, cycle: int) -> None:
        """Keep account of the first cycle whose value the device does not have."""
        if self.holds(value):
            self.changed_cycle = None
            if self.state in ("idle", "refused"):  # it came back to what the device has
                self.state = "acknowledged"
        elif self.changed_cycle is None and (self.written is None or self.differs(value, self.written)):
            self.changed_cycle = cycle
        if self.in_flight:
            if not self.differs(value, self.sent):
                self.newer_cycle = None
            elif self.newer_cycle is None:
                self.newer_cycle = cycle

    def due(self, value: float, now_s: float) -> bool:
        """Whether the value is to be written now: it is new, the device may have lost it, or a refresh is due."""
        if now_s - self.sent_s < self.rule.min_interval_s:
            return False
        rests = self.refused is not None and now_s - self.refused_s < OFFER_AGAIN_S
        if rests and self.refused is not None and not self.differs(value, self.refused):
            return False
        if not self.holds(value):
            return True
        if self.rule.eeprom:
            return False
        if self.session != self.poller.sessions:  # the device may have started anew, with a value of its own
            return True
        refresh_s = self.refresh_s
        if self.state == "mismatch" and not refresh_s:
            refresh_s = OFFER_AGAIN_S
        return refresh_s > 0 and now_s - self.acknowledged_s >= refresh_s

    def remedy(self) -> str:
        """What is done about a read-back that differs."""
        if self.operation is not None:
            return "not operated again before the wanted value changes or somebody clears it"
        if self.rule.eeprom:
            return "not written again before it changes"
        return f"written again every {self.refresh_s or OFFER_AGAIN_S:g} s"


def step_of(point: Point) -> float:
    """The smallest change that the device can tell apart; 0 for floats and where a scale register decides."""
    kind = point.address.type.lower()
    if kind.startswith(("float", "double")):
        return 0.0
    if isinstance(point.address, ModbusAddress) and point.address.scale_register is not None:
        return 0.0
    return abs(point.scale)
