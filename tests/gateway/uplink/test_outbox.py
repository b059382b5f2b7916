"""The outbox alone: bounds, order and counters, without a broker."""

from hypothesis import given
from hypothesis import strategies as st

from pswd_edge.gateway.uplink.outbox import Message, Outbox


def message(number: int, size: int = 10) -> Message:
    return Message("t", f"{number}".encode().ljust(size))


def take(outbox: Outbox, packet: int, now_s: float = 0.0) -> int:
    head = outbox.head()
    assert head is not None
    outbox.sent(packet, now_s)
    return int(head.payload)


def test_full_queue_gives_up_the_oldest_and_counts_it() -> None:
    """The newest tells more about a site than the oldest; a silent loss would tell nothing."""
    outbox = Outbox(messages_max=3)
    for i in range(5):
        outbox.put(message(i))
    assert [take(outbox, i) for i in range(3)] == [2, 3, 4]
    assert outbox.dropped == 2


def test_bytes_are_bounded_as_messages_are() -> None:
    """A site with thousands of points has large messages: ten thousand of them would not fit the memory."""
    outbox = Outbox(messages_max=1000, bytes_max=100)
    for i in range(20):
        outbox.put(message(i, size=10))
    assert len(outbox) == 10
    assert take(outbox, 1) == 10


def test_what_was_on_its_way_is_sent_again_first_and_in_order() -> None:
    """A lost connection leaves it open what the broker has: it must get all of it, and in the same order."""
    outbox = Outbox(messages_max=100)
    for i in range(6):
        outbox.put(message(i))
    assert [take(outbox, i) for i in range(4)] == [0, 1, 2, 3]
    outbox.answered(0, taken=True)
    outbox.rewind()
    assert [take(outbox, 10 + i) for i in range(5)] == [1, 2, 3, 4, 5]
    assert (outbox.published, outbox.resent, outbox.acknowledged) == (6, 3, 1)


def test_answer_to_an_unknown_packet_changes_nothing() -> None:
    """A late answer of an old connection must not acknowledge a message of the new one twice."""
    outbox = Outbox(messages_max=10)
    outbox.put(message(0))
    take(outbox, 1)
    outbox.answered(1, taken=True)
    outbox.answered(1, taken=True)
    outbox.answered(77, taken=True)
    assert (outbox.acknowledged, len(outbox)) == (1, 0)


def test_age_of_the_oldest_on_its_way_shows_a_broker_that_does_not_answer() -> None:
    """A connection can be open and dead; only missing acknowledgements show it early."""
    outbox = Outbox(messages_max=10)
    assert outbox.oldest_wait_s(100.0) == 0.0
    for i in range(2):
        outbox.put(message(i))
    take(outbox, 1, now_s=10.0)
    take(outbox, 2, now_s=20.0)
    assert outbox.oldest_wait_s(25.0) == 15.0


@given(st.lists(st.sampled_from(["put", "send", "answer", "rewind"]), max_size=200))
def test_every_message_is_somewhere_exactly_once(steps: list[str]) -> None:
    """Whatever happens: made = acknowledged + dropped + held, the bound holds, and first sendings rise in order."""
    outbox, made, packet, first_sent = Outbox(messages_max=5), 0, 0, []
    for step in steps:
        if step == "put":
            outbox.put(message(made))
            made += 1
        elif step == "send" and outbox.head() is not None:
            packet += 1
            fresh = outbox.head().sent_s is None
            number = take(outbox, packet)
            first_sent += [number] if fresh else []
        elif step == "answer":
            outbox.answered(packet, taken=True)
        elif step == "rewind":
            outbox.rewind()
        assert made == outbox.acknowledged + outbox.dropped + len(outbox)
        assert len(outbox) <= 5
    assert first_sent == sorted(set(first_sent))
