"""What somebody outside tells when asked: polled every ten seconds, and unknown when it is too old."""

import asyncio
from typing import Generic, TypeVar

import msgspec
import structlog

from pswd_edge.clock import Clock
from pswd_edge.gateway.services.outside import NAMES, Outside, OutsideError, Reply, Target

EVERY_S = 10.0
OLDEST_S = 300.0      # older than that nothing is known
_TIMEOUT_S = 5.0
_LOG = structlog.get_logger("pswd_edge.gateway")
_T = TypeVar("_T")


class Polled(Generic[_T]):
    """One document of one target, as the struct `form`; what does not fit it is not believed."""

    def __init__(self, outside: Outside, clock: Clock, target: Target, path: str, form: type[_T]) -> None:
        self._outside, self._clock, self._target, self._path, self._form = outside, clock, target, path, form
        self._found: tuple[float, _T] | None = None
        self.trouble = ""

    def read(self) -> _T | None:
        """The newest document; None where there is none, or none that is young enough."""
        age_s = self.age_s
        return self._found[1] if self._found is not None and age_s is not None and age_s <= OLDEST_S else None

    @property
    def age_s(self) -> float | None:
        """How old the newest document is; None before the first."""
        return None if self._found is None else self._clock.monotonic_s() - self._found[0]

    async def look(self) -> None:
        """Ask once. What goes wrong is logged when it begins and when it ends, and the last document grows older."""
        if self._outside.endpoint(self._target) is None:
            self._found, self.trouble = None, ""
            return
        try:
            found = self._judged(await self._outside.ask(self._target, "GET", self._path, timeout_s=_TIMEOUT_S))
        except (OutsideError, msgspec.ValidationError) as error:
            self._tell(str(error))
            return
        self._found = self._clock.monotonic_s(), found
        self._tell("")

    def _judged(self, reply: Reply) -> _T:
        if reply.status != 200:
            raise OutsideError(f"status {reply.status}")
        return msgspec.convert(reply.content, self._form)

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            _LOG.warning(f"{NAMES[self._target]}: not known; the last word grows old", path=self._path, reason=trouble)
        elif self.trouble and not trouble:
            _LOG.info(f"{NAMES[self._target]}: known again", path=self._path)
        self.trouble = trouble

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)
