"""Time-outs, back-offs and what is said of a unit: pure, so without a clock."""

import random

import pytest

from pswd_edge.field.health import BACKOFF_MAX_S, TIMEOUT_FLOOR_S, Breaker, Latency
from pswd_edge.field.unit import Unit


def test_the_time_out_follows_the_slowest_answers_up_at_once_and_down_slowly() -> None:
    """A device that pauses every tenth answer must not be called silent at each."""
    latency = Latency(1.0)
    assert latency.timeout_s == 1.0                       # nothing is known yet
    latency.add(0.001)
    assert latency.timeout_s == TIMEOUT_FLOOR_S
    latency.add(0.1)
    assert latency.timeout_s == pytest.approx(0.4)
    latency.add(0.001)                                    # told of one in eight
    assert latency.timeout_s > 0.3
    for _ in range(500):
        latency.add(0.001)
    assert latency.timeout_s == TIMEOUT_FLOOR_S
    latency.add(5.0)
    assert latency.timeout_s == 1.0                       # never over the connection's maximum


def test_a_dead_unit_takes_little_of_a_line_that_others_wait_for() -> None:
    """Eight units behind one gateway: at the pace of a lonely one, its retries took a quarter of the others' time."""
    latency = Latency(1.0)
    latency.add(0.0125)
    waits_s = [latency.shared_retry_timeout_s(n) for n in range(1, 65)]
    assert waits_s[:8] == pytest.approx([0.05] * 7 + [0.2])
    assert waits_s[63] == 1.0                             # now and then as long as it may ever take
    assert sum(waits_s) / 64 < 0.085


def test_a_retry_waits_mostly_as_usual_and_now_and_then_much_longer() -> None:
    """One that became ten times slower is heard at the fourth attempt; a dead one costs little on average."""
    latency = Latency(1.0)
    latency.add(0.0125)
    waits_s = [latency.retry_timeout_s(n) for n in range(1, 9)]
    assert waits_s == pytest.approx([0.05, 0.2, 0.05, 0.8, 0.05, 0.2, 0.05, 1.0])
    assert sum(waits_s) / 8 < 0.31


def test_a_unit_that_never_answered_is_not_waited_for_at_length() -> None:
    """Its neighbours behind the same gateway wait as long."""
    unit = Unit(1, 1.0)
    assert unit.timeout_s == 1.0
    unit.breaker.fail(0.0)
    assert unit.timeout_s == 0.2


def test_a_single_lost_answer_costs_nothing_more_and_an_outage_never_more_than_its_back_off() -> None:
    """Polled again within 2 s of its return, whatever the jitter."""
    for seed in range(50):
        breaker, now_s = Breaker(seed), 100.0
        breaker.fail(now_s)
        assert breaker.ready(now_s)
        for _ in range(12):
            breaker.fail(now_s)
            assert not breaker.ready(now_s)
            assert 0.02 <= breaker.retry_s - now_s <= BACKOFF_MAX_S
            now_s = breaker.retry_s
            assert breaker.ready(now_s)
        breaker.succeed()
        assert breaker.closed
        assert breaker.ready(now_s)


def test_many_devices_do_not_come_back_in_step() -> None:
    """After a switch was restarted, a hundred attempts in the same instant restart it again."""
    waits_s = []
    for seed in range(100):
        breaker = Breaker(seed)
        for _ in range(8):
            breaker.fail(0.0)
        waits_s.append(breaker.retry_s)
    assert max(waits_s) - min(waits_s) > 1.0
    assert len({round(w, 2) for w in waits_s}) > 50


def test_a_silent_unit_is_asked_once_in_a_scan() -> None:
    """Even where its back-off is over before the scan is."""
    unit = Unit(1, 1.0)
    unit.breaker.fail(0.0)
    unit.scan = 7
    assert not unit.may_ask(7, 1e9)
    assert unit.may_ask(8, 1e9)
    unit.breaker.fail(1e9)
    assert not unit.may_ask(9, 1e9)


def test_a_unit_is_wrong_from_the_first_failure_until_each_request_was_right_for_a_while() -> None:
    """A device that garbles every other answer is one event, not ten a second."""
    unit, said = Unit(1, 1.0), []
    rng = random.Random(1)
    for _ in range(1000):
        wrong = rng.random() < 0.3
        said += ["wrong"] if wrong and unit.found_wrong(5) else []
        said += ["well"] if not wrong and unit.found_right(5) else []
    assert len(said) < 60
    unit.found_wrong(5)
    assert not unit.found_wrong(6)
    for _ in range(100):
        assert not unit.found_right(5)    # request 6 still fails
    said = [unit.found_right(6) for _ in range(10)]
    assert said == [False] * 9 + [True]
    assert not unit.wrong
