"""The rate limits: each client has its own buckets, time gives tokens back, memory stays bounded."""

import pytest

from pswd_edge.clock import FakeClock
from pswd_edge.gateway.endpoint import Category
from pswd_edge.gateway.rates import RATES, Rate, Rates, address_origin, over_limit


@pytest.mark.parametrize(("category", "per_minute", "burst"), [
    ("authentication", 10, 20), ("workload", 60, 100), ("monitoring", 600, 1000), ("control", 30, 50),
    ("grid", 20, 40)])
def test_the_documented_table_holds(category, per_minute, burst):
    """Burst at once, then the rate: the contract's figures, to the request."""
    clock = FakeClock()
    rates = Rates(clock)

    at_once = sum(rates.take("api:alice", Category(category)).allowed for _ in range(burst + 50))
    clock.advance(60.0)
    after_a_minute = sum(rates.take("api:alice", Category(category)).allowed for _ in range(burst + 50))

    assert RATES[Category(category)] == Rate(per_minute, burst)
    assert (at_once, after_a_minute) == (burst, per_minute)


def test_clients_and_categories_do_not_use_each_other_s_tokens():
    """A scheduler that polls too fast must not lock the operator out, nor itself from commands."""
    rates = Rates(FakeClock())
    for _ in range(60):
        rates.take("api:alice", Category.CONTROL)

    assert not rates.take("api:alice", Category.CONTROL).allowed
    assert rates.take("api:bob", Category.CONTROL).allowed
    assert rates.take("api:alice", Category.MONITORING).allowed


def test_a_refused_request_takes_nothing():
    """Else a client that keeps asking would never come in again."""
    clock = FakeClock()
    rates = Rates(clock)
    for _ in range(500):
        rates.take("api:alice", Category.CONTROL)
    clock.advance(2.0)

    assert rates.take("api:alice", Category.CONTROL).allowed
    assert rates.refused[Category.CONTROL] == 450


def test_the_verdict_says_what_is_left_and_when_to_ask_again():
    """A client can pace itself by it; Remaining is never over Limit, whatever the burst."""
    clock = FakeClock()
    rates = Rates(clock)
    verdicts = [rates.take("api:alice", Category.WORKLOAD) for _ in range(101)]

    assert [verdict.remaining for verdict in verdicts[:2]] == [60, 60]
    assert [verdict.remaining for verdict in verdicts[40:42]] == [59, 58]
    assert verdicts[99].remaining == 0
    assert verdicts[0].headers().keys() == {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert verdicts[-1].headers()["Retry-After"] == "1"
    assert abs(verdicts[-1].reset_s - clock.utc_s() - 100) <= 1
    refusal = over_limit(Category.WORKLOAD, verdicts[-1])
    assert (refusal.status, refusal.code) == (429, "RATE_LIMIT_EXCEEDED")


def test_after_retry_after_the_next_one_passes():
    """The promise in the header is kept for every category."""
    clock = FakeClock()
    rates = Rates(clock)
    for category in Category:
        while (verdict := rates.take("key:1", category)).allowed:
            pass
        clock.advance(verdict.retry_after_s)
        assert rates.take("key:1", category).allowed


def test_a_flood_of_addresses_cannot_have_anybody_s_debt_forgotten():
    """Filling the table and coming again must not give a new burst; memory stays bounded meanwhile."""
    rates = Rates(FakeClock(), buckets_max=100)
    for _ in range(20):
        assert rates.take("address:192.0.2.1", Category.AUTH).allowed
    passed = sum(rates.take(f"address:10.0.{n // 256}.{n % 256}", Category.AUTH).allowed for n in range(10_000))

    assert not rates.take("address:192.0.2.1", Category.AUTH).allowed
    assert passed == 99 + 20
    assert len(rates._addresses[Category.AUTH]._full_s) <= 101


def test_a_flood_of_addresses_does_not_touch_those_who_are_known():
    """Identities lie in a table of their own."""
    rates = Rates(FakeClock(), buckets_max=10)
    for n in range(1000):
        rates.take(f"address:10.0.{n // 256}.{n % 256}", Category.AUTH)

    assert rates.take("api:alice", Category.AUTH).remaining == 10


def test_what_is_full_again_is_forgotten():
    """A quiet table is an empty one."""
    clock = FakeClock()
    rates = Rates(clock, buckets_max=50)
    for n in range(200):
        rates.take(f"api:{n}", Category.MONITORING)
        clock.advance(1.0)

    assert len(rates._named[Category.MONITORING]._full_s) <= 3


@pytest.mark.parametrize(("remote", "origin"), [
    ("10.0.4.11", "address:10.0.4.11"), ("::ffff:10.0.4.11", "address:10.0.4.11"),
    ("2001:db8:1:2:3::4", "address:2001:db8:1:2::/64"), ("2001:db8:1:2:ffff::9", "address:2001:db8:1:2::/64"),
    ("fe80::1%eth0", "address:fe80::/64"), (None, "address:unknown"), ("nonsense", "address:unknown")])
def test_an_address_counts_as_its_owner(remote, origin):
    """One IPv6 host has 2^64 addresses: they share a bucket."""
    assert address_origin(remote) == origin
