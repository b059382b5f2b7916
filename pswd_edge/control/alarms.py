"""The life of an alarm: raised, acknowledged, shelved, over (after ISA-18.2). No I/O; times are handed in.

An alarm is raised when its condition has held for its kind's on-delay, and is over when the condition was gone for the
off-delay. The off-delay doubles with each return within ten minutes, up to a minute: a flapping condition is one alarm
with a count. What latches stays listed until it is over and acknowledged; what is shelved, until the shelf ends.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from pswd_edge.control.alarm_table import OFF_DELAY_S, SEVERITIES, Severity, kind_of
from pswd_edge.model.command import SHELVE_MAX_S
from pswd_edge.model.report import AlarmReport

ALARMS_MAX = 100
LEFT_OUT = "alarms_left_out"
OFF_DELAY_MAX_S = 60.0
RECENT_S = 600.0              # a return within this time lengthens the off-delay
RESTORED_S = 30.0             # a start takes so long at most until devices answer and conditions can be judged
_RECENT_MAX = 200


class Condition(NamedTuple):
    """Something that holds in this cycle and that somebody should act on.

    A code of `alarm_table` brings its own severity and latch; these can make it critical or latching, never milder.
    """

    code: str
    message: str
    severity: Severity = "warning"
    latch: bool = False


class Change(NamedTuple):
    """What became of an alarm. `what`: "raised", "cleared", "acknowledged", "shelved", "unshelved"."""

    what: str
    code: str
    text: str


@dataclass(slots=True)
class _Alarm:
    """`since_s`: since when the condition has held, or has been gone (monotonic). `shelved_s`: the shelf's end, or 0.

    `restored`: not seen since a start.
    """

    report: AlarmReport
    since_s: float
    off_delay_s: float
    held: bool = True
    restored: bool = False
    shelved_s: float = 0.0


class AlarmList:
    """The alarms of a site, gravest first. Bounded: where there is no place, the milder ones are counted instead."""

    def __init__(self) -> None:
        self._alarms: dict[str, _Alarm] = {}
        self._waiting: dict[str, float] = {}                 # code: since when, until the on-delay is over
        self._recent: dict[str, tuple[float, float]] = {}    # code: when it was over, its off-delay
        self._changes: list[Change] = []
        self._full_to = -1        # rank up to which there was no place in this update
        self._stale = False
        self.listed: tuple[AlarmReport, ...] = ()
        self.revision = 0         # rises with what a restart must not forget

    def update(self, conditions: Iterable[tuple[str, str] | Condition], now_s: float, utc_s: float) -> list[Change]:
        """Bring the list up to date with the conditions that hold now; returns each change once."""
        now = {c[0]: c if isinstance(c, Condition) else Condition(*c) for c in conditions}
        self._full_to = -1
        if now or self._alarms:
            left_out = sum([not self._hold(c, now_s, utc_s) for c in now.values()])
            if left_out:
                now[LEFT_OUT] = Condition(LEFT_OUT, f"{left_out} more alarms than the list of {ALARMS_MAX} holds")
                self._hold(now[LEFT_OUT], now_s, utc_s)
            for code, alarm in list(self._alarms.items()):
                if code not in now:
                    self._gone(alarm, now_s, utc_s)
                if 0 < alarm.shelved_s <= now_s:
                    self._unshelve(alarm, now_s)
        self._waiting = {c: s for c, s in self._waiting.items() if c in now}
        return self._told()

    def acknowledge(self, code: str, who: str, now_s: float, utc_s: float) -> list[Change]:
        """Somebody has seen it; nothing where it is not listed, or was acknowledged before."""
        alarm = self._alarms.get(code)
        if alarm is not None and alarm.report.acknowledged_utc_s is None:
            self._set(alarm, replace(alarm.report, acknowledged_utc_s=utc_s, acknowledged_by=who))
            self._tell("acknowledged", alarm, f"{code}: acknowledged by {who}", always=True)
            self._leave(alarm, now_s)
        return self._told()

    def shelve(self, code: str, for_s: float, who: str, now_s: float, utc_s: float) -> list[Change]:
        """Tell nothing of it for so long; 0 ends that. Nothing where it is not listed."""
        alarm = self._alarms.get(code)
        if alarm is not None and for_s > 0:
            alarm.shelved_s = now_s + for_s
            self._set(alarm, replace(alarm.report, shelved_until_utc_s=utc_s + for_s, shelved_by=who))
            self._tell("shelved", alarm, f"{code}: not told for {for_s:g} s, by {who}", always=True)
        elif alarm is not None and alarm.shelved_s > 0:
            self._unshelve(alarm, now_s)
        return self._told()

    def restore(self, kept: Iterable[AlarmReport], now_s: float, utc_s: float) -> None:
        """Take up what a former process listed; what was on is on until its condition could be judged again."""
        for report in list(kept)[:ALARMS_MAX + 1]:
            left_s = min((report.shelved_until_utc_s or 0.0) - utc_s, SHELVE_MAX_S)
            alarm = _Alarm(report, now_s, RESTORED_S, held=False, restored=True,
                           shelved_s=0.0 if report.shelved_until_utc_s is None else now_s + max(0.0, left_s))
            self._alarms[report.code] = alarm
        self._list()

    # --- one condition ------------------------------------------------------------------------------------------

    def _hold(self, condition: Condition, now_s: float, utc_s: float) -> bool:
        """The condition holds in this cycle. False where there is no place for it."""
        alarm = self._alarms.get(condition.code)
        if alarm is None:
            return self._begin(condition, now_s, utc_s)
        if alarm.report.message != condition.message:
            self._set(alarm, replace(alarm.report, message=condition.message), keep=False)
        if not alarm.held:
            self._return(alarm, now_s, utc_s)
        elif now_s - alarm.since_s > RECENT_S:
            alarm.off_delay_s = OFF_DELAY_S
        return True

    def _begin(self, condition: Condition, now_s: float, utc_s: float) -> bool:
        code, kind = condition.code, kind_of(condition.code)
        if kind is not None and now_s - self._waiting.setdefault(code, now_s) < kind.on_delay_s:
            return True
        severity = condition.severity if kind is None or condition.severity == "critical" else kind.severity
        if code != LEFT_OUT and not self._has_place(severity):
            return False
        latched = condition.latch or (kind is not None and kind.latch)
        report = AlarmReport(code, condition.message, utc_s, severity, latched, last_utc_s=utc_s)
        self._alarms[code] = alarm = _Alarm(report, now_s, self._off_delay_s(code, now_s))
        self._set(alarm, report)
        self._tell("raised", alarm, condition.message)
        return True

    def _off_delay_s(self, code: str, now_s: float) -> float:
        over_s, before_s = self._recent.pop(code, (-RECENT_S, OFF_DELAY_S))
        return min(OFF_DELAY_MAX_S, 2 * before_s) if now_s - over_s < RECENT_S else OFF_DELAY_S

    def _has_place(self, severity: Severity) -> bool:
        """Whether one more may be listed; a milder one that nothing holds in the list makes place for a graver one."""
        if len(self._alarms) - (LEFT_OUT in self._alarms) < ALARMS_MAX:
            return True
        if _rank(severity) <= self._full_to:
            return False          # of a thousand new ones only the first looks for a place
        milder = [a for c, a in self._alarms.items() if c != LEFT_OUT and not a.report.latched and not a.shelved_s
                  and _rank(a.report.severity) < _rank(severity)]
        if not milder:
            self._full_to = _rank(severity)
            return False
        del self._alarms[min(milder, key=lambda a: (_rank(a.report.severity), -a.report.since_utc_s)).report.code]
        return True

    def _return(self, alarm: _Alarm, now_s: float, utc_s: float) -> None:
        """It holds again: the same alarm, and told again only where it was told that it is over."""
        before, restored = alarm.report, alarm.restored
        alarm.held, alarm.restored, alarm.since_s = True, False, now_s
        if restored and before.active:
            alarm.off_delay_s = OFF_DELAY_S
            return
        alarm.off_delay_s = min(OFF_DELAY_MAX_S, 2 * alarm.off_delay_s)
        self._set(alarm, replace(before, active=True, count=before.count + 1, last_utc_s=utc_s, ended_utc_s=None),
                  keep=not before.active)
        if not before.active:
            self._set(alarm, replace(alarm.report, acknowledged_utc_s=None, acknowledged_by=""))  # this was not seen
            self._tell("raised", alarm, before.message)

    def _gone(self, alarm: _Alarm, now_s: float, utc_s: float) -> None:
        """The condition does not hold in this cycle."""
        if alarm.held:
            alarm.held, alarm.since_s = False, now_s
        if alarm.report.active and now_s - alarm.since_s >= alarm.off_delay_s:
            self._set(alarm, replace(alarm.report, active=False, ended_utc_s=utc_s))
            waits = "; it waits to be acknowledged" if _waits(alarm.report) else ""
            self._tell("cleared", alarm, f"{alarm.report.code} is over{waits}")
            self._leave(alarm, now_s)

    def _leave(self, alarm: _Alarm, now_s: float) -> None:
        """Off the list, where nothing holds it there."""
        code = alarm.report.code
        if alarm.report.active or alarm.shelved_s or _waits(alarm.report):
            return
        del self._alarms[code]
        self._recent[code] = (now_s, alarm.off_delay_s)
        while len(self._recent) > _RECENT_MAX:
            del self._recent[next(iter(self._recent))]

    def _unshelve(self, alarm: _Alarm, now_s: float) -> None:
        """An alarm that is on when its shelf ends is told then."""
        alarm.shelved_s = 0.0
        self._set(alarm, replace(alarm.report, shelved_until_utc_s=None, shelved_by=""))
        self._tell("unshelved", alarm, f"{alarm.report.code} is told again")
        if alarm.report.active:
            self._tell("raised", alarm, alarm.report.message)
        self._leave(alarm, now_s)

    # --- what is told -------------------------------------------------------------------------------------------

    def _set(self, alarm: _Alarm, report: AlarmReport, *, keep: bool = True) -> None:
        alarm.report, self._stale = report, True
        self.revision += keep

    def _tell(self, what: str, alarm: _Alarm, text: str, *, always: bool = False) -> None:
        if always or not alarm.shelved_s:
            self._changes.append(Change(what, alarm.report.code, text))

    def _told(self) -> list[Change]:
        if self._stale:
            self._list()
        told, self._changes = self._changes, []
        return told

    def _list(self) -> None:
        self.listed, self._stale = tuple(sorted((a.report for a in self._alarms.values()), key=_order)), False


def _waits(alarm: AlarmReport) -> bool:
    return alarm.latched and alarm.acknowledged_utc_s is None


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def _order(alarm: AlarmReport) -> tuple[int, bool, float, str]:
    return -_rank(alarm.severity), alarm.acknowledged_utc_s is not None, alarm.since_utc_s, alarm.code
