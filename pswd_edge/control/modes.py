"""Which mode control is in, and why."""

from pswd_edge.control.rules.degraded import Facts, policy
from pswd_edge.model.command import Mode


class ModeKeeper:
    """Starts in OBSERVE, always.

    AUTO comes by itself only where the site says so and every input was good for long enough; otherwise the operator
    decides. SAFE is left by the operator alone.
    """

    def __init__(self, start_mode: str, auto_after_s: float) -> None:
        self.mode = Mode.OBSERVE
        self.reason = "started: measuring, keeping the set-points that were found"
        self.since_s: float | None = None
        self._automatic = start_mode == "auto"
        self._auto_after_s = auto_after_s
        self._good_since_s: float | None = None
        self._overruns = 0

    def order(self, mode: Mode, origin: str, now_s: float) -> None:
        """The operator's word; from now on the mode changes by order or by failure only."""
        self._automatic = False
        self._change(mode, f"ordered by {origin}", now_s)

    def update(self, bad_inputs: str, now_s: float) -> None:
        """One cycle has been; `bad_inputs` names what is not good, or is empty."""
        if self.since_s is None:
            self.since_s = now_s
        if bad_inputs:
            self._good_since_s = None
        elif self._good_since_s is None:
            self._good_since_s = now_s
        if self.mode is not Mode.OBSERVE or not self._automatic:
            return
        if bad_inputs:
            self.reason = f"waiting for {bad_inputs}"
        elif self._good_since_s is not None and now_s - self._good_since_s >= self._auto_after_s:
            self._change(Mode.AUTO, f"every control input was good for {self._auto_after_s:g} s", now_s)

    def overrun(self, missed: int, now_s: float) -> None:
        """A cycle ended after `missed` slots of others (0: in time).

        One long pause is one overrun: the next cycle takes over from what it measures. Overruns that follow each
        other mean that the loop cannot keep its time.
        """
        self._overruns = self._overruns + 1 if missed else 0
        if policy(Facts(overruns=self._overruns)).safe:
            self.fail(f"{self._overruns} cycles in a row took longer than a period", now_s)

    def fail(self, reason: str, now_s: float) -> None:
        """Something that the site cannot be led without has failed: SAFE, unless nothing is led."""
        if self.mode is not Mode.OBSERVE:
            self._change(Mode.SAFE, reason, now_s)

    def _change(self, mode: Mode, reason: str, now_s: float) -> None:
        if mode is not self.mode:
            self.since_s = now_s
        self.mode, self.reason = mode, reason
