"""How often a client may ask: one token bucket for each client and category, in bounded memory and constant time.

A bucket is one number: when it is full again (the generic cell rate algorithm). A request takes one token, which comes
back after 60 / per_minute seconds; as many as `burst` may be taken at once.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import astuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.connections import owner_of
from pswd_edge.gateway.endpoint import Category
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.model.site import ApiLimits

BUCKETS_MAX = 4096
ADDRESS = "address:"          # origin of one whose name is not known: "address:10.0.4.11"


class Rate(NamedTuple):
    """`per_minute` requests for ever; `burst` at once after a pause."""

    per_minute: float
    burst: int


RATES: Mapping[Category, Rate] = {
    Category.AUTH: Rate(10, 20),
    Category.WORKLOAD: Rate(60, 100),
    Category.MONITORING: Rate(600, 1000),
    Category.CONTROL: Rate(30, 50),
    Category.GRID: Rate(20, 40),
}
"""Source: the DCPI contract, "Standard Rate Limits". PSWD's names none; the same hold there."""


def rates_of(limits: ApiLimits) -> dict[Category, Rate]:
    """The table with what the site file has in its place."""
    own = {category: getattr(limits, category.value) for category in Category}
    return {category: Rate(*astuple(spec)) if spec else RATES[category] for category, spec in own.items()}


class Verdict(NamedTuple):
    """What became of one request.

    `limit` is the rate a minute; `remaining` of it could be asked at once, never more than `limit` even where the burst
    is larger; `reset_s` is when the bucket is full again (UTC seconds); `retry_after_s` is 0 where it was allowed.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_after_s: int

    def headers(self) -> dict[str, str]:
        """The headers of every answer of a limited route."""
        found = {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(self.remaining),
                 "X-RateLimit-Reset": str(self.reset_s)}
        return found if self.allowed else {**found, "Retry-After": str(self.retry_after_s)}


class Rates:
    """All buckets of a gateway. Named clients and mere addresses lie apart: a flood of one cannot touch the other."""

    def __init__(
        self, clock: Clock, rates: Mapping[Category, Rate] = RATES, *, buckets_max: int = BUCKETS_MAX,
    ) -> None:
        self._clock = clock
        self._named = {category: _Buckets(rate, buckets_max) for category, rate in rates.items()}
        self._addresses = {category: _Buckets(rate, buckets_max) for category, rate in rates.items()}
        self.refused = dict.fromkeys(rates, 0)

    def take(self, origin: str, category: Category) -> Verdict:
        """Count one request of `origin` ("api:alice", "address:10.0.4.11"); a refused one takes nothing."""
        tables = self._addresses if origin.startswith(ADDRESS) else self._named
        buckets, now_s = tables[category], self._clock.monotonic_s()
        allowed, full_s = buckets.take(origin, now_s)
        if not allowed:
            self.refused[category] += 1
        return self._verdict(buckets, allowed=allowed, owed_s=max(0.0, full_s - now_s))

    def _verdict(self, buckets: "_Buckets", *, allowed: bool, owed_s: float) -> Verdict:
        limit = int(buckets.rate.per_minute)
        left = int((buckets.span_s - owed_s) / buckets.spacing_s + _HAIR)
        wait_s = owed_s + buckets.spacing_s - buckets.span_s
        return Verdict(allowed, limit, max(0, min(limit, left)), math.ceil(self._clock.utc_s() + owed_s),
                       0 if allowed else max(1, math.ceil(wait_s - _HAIR)))


_HAIR = 1e-6          # what sums of seconds may be off by


class _Buckets:
    """The buckets of one category: origin to the time when it is full again, the longest unused first.

    Where there are too many, one that is full again goes: forgetting it gives its owner nothing. Where the longest
    unused is not full yet, newcomers share one bucket, so that a flood of addresses cannot have anybody forgotten.
    """

    def __init__(self, rate: Rate, size_max: int) -> None:
        self.rate = rate
        self.spacing_s = 60.0 / rate.per_minute
        self.span_s = rate.burst * self.spacing_s
        self._size_max = size_max
        self._full_s: OrderedDict[str, float] = OrderedDict()

    def take(self, origin: str, now_s: float) -> tuple[bool, float]:
        """Whether there was a token, and when the bucket is full again (monotonic)."""
        if origin not in self._full_s and not self._has_room(now_s):
            origin = _THE_OTHERS
        full_s = max(self._full_s.get(origin, now_s), now_s)
        allowed = full_s + self.spacing_s - now_s <= self.span_s + _HAIR
        if allowed:
            full_s += self.spacing_s
        self._full_s[origin] = full_s
        self._full_s.move_to_end(origin)
        return allowed, full_s

    def _has_room(self, now_s: float) -> bool:
        for _ in range(2):                       # more go than come, until the table is small again
            if not self._full_s or next(iter(self._full_s.values())) > now_s:
                break
            self._full_s.popitem(last=False)
        return len(self._full_s) < self._size_max


_THE_OTHERS = "(the others)"


def address_origin(remote: str | None) -> str:
    """The origin of a client without a name: whom its address counts for."""
    return ADDRESS + owner_of(remote or "")


def over_limit(category: Category, verdict: Verdict) -> RefusalError:
    """429 for a request that found its bucket empty."""
    return RefusalError(
        429, "RATE_LIMIT_EXCEEDED",
        f"got over {verdict.limit} requests a minute of category {category}: ask again in {verdict.retry_after_s} s",
        headers=verdict.headers())
