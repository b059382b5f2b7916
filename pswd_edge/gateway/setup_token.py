"""The one-time token of a gateway without users: it makes the first one, and nothing else."""

import hmac
import secrets
from hashlib import sha256

from pswd_edge.clock import Clock

LIFETIME_S = 3600.0
TRIES_MAX = 20


class SetupToken:
    """Lives in this process alone, as a hash; it ends by use, after an hour, or after 20 wrong tries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._digest: bytes | None = None
        self._until_s = 0.0
        self._tries = 0

    def make(self) -> str:
        """A new token, to be shown once; an earlier one ends."""
        token = secrets.token_urlsafe(32)
        self._digest, self._tries = _digest(token), 0
        self._until_s = self._clock.monotonic_s() + LIFETIME_S
        return token

    def good(self, token: str) -> bool:
        """True for the token while it lives; a wrong one is a try. It is not used up: `end` does that."""
        if self._digest is None or self._clock.monotonic_s() >= self._until_s:
            return False
        if hmac.compare_digest(_digest(token), self._digest):
            return True
        self._tries += 1
        if self._tries >= TRIES_MAX:
            self.end()
        return False

    def end(self) -> None:
        """From now on nothing is good."""
        self._digest = None


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
