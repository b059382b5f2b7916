"""RTU without a wire: a transport that the test holds, so that every byte and its moment is the test's own."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from pswd_edge.errors import DecodeError, SilentError, UnreachableError
from pswd_edge.field.drivers.rtu_debts import Debts
from pswd_edge.field.drivers.rtu_frame import crc16, rtu_frame
from pswd_edge.field.drivers.rtu_link import Line, RtuLink

READ_2 = bytes.fromhex("0300050002")
ANSWER_2 = bytes.fromhex("030400110022")
FAST_S = 0.03
LATE_S = 0.1


class Wire:
    """A transport that keeps what is sent; `hear` is what the line brings."""

    def __init__(self, *, tcp: bool = False) -> None:
        self.sent: list[bytes] = []
        self.aborted = False
        self.debts = Debts(LATE_S)
        self.link = RtuLink(Line(self.debts, can_hang_up=tcp))
        self.link.connection_made(self)  # type: ignore[arg-type]

    def get_extra_info(self, name: str) -> Any:
        return None

    def write(self, frame: bytes) -> None:
        self.sent.append(frame)

    def abort(self) -> None:
        self.aborted = True

    def hear(self, *frames: bytes) -> None:
        self.link.data_received(b"".join(frames))

    async def until_sent(self, count: int) -> bytes:
        async with asyncio.timeout(2):
            while len(self.sent) < count:  # noqa: ASYNC110  # the link has no event for it
                await asyncio.sleep(0.002)
        return self.sent[-1]


@given(st.binary(min_size=1, max_size=300))
def test_the_crc_is_the_one_of_pymodbus(content: bytes) -> None:
    """Written anew from the standard: an independent hand must come to the same."""
    assert struct.pack("<H", crc16(content)) == FramerRTU.compute_CRC(content).to_bytes(2, "big")


async def test_a_frame_is_unit_pdu_and_crc() -> None:
    """Typed from the standard's example: 02 07, CRC 41 12."""
    assert rtu_frame(2, b"\x07").hex() == "02074112"
    wire = Wire()
    answer = wire.link.exchange(1, READ_2, 1.0)
    assert wire.sent == [bytes.fromhex("010300050002") + bytes.fromhex("d40a")]
    wire.hear(rtu_frame(1, ANSWER_2))
    assert await answer == ANSWER_2


@pytest.mark.parametrize("noise", ["00", "ff", "0103", "010304", "0301", "ffffffff", "0103040011", "018302ffff",
                                   "01030400110022ffff", "55" * 200])
async def test_noise_before_an_answer_is_skipped(noise: str) -> None:
    """A driver that switches an RS-485 line on makes a byte or two of noise: no reason to lose the answer."""
    wire = Wire()
    answer = wire.link.exchange(1, READ_2, 1.0)
    wire.hear(bytes.fromhex(noise), rtu_frame(1, ANSWER_2))
    assert await answer == ANSWER_2


async def test_an_answer_in_pieces_is_put_together() -> None:
    """Serial adapters deliver what they have."""
    wire = Wire()
    answer = wire.link.exchange(1, READ_2, 1.0)
    for byte in b"\xff" + rtu_frame(1, ANSWER_2):
        assert not answer.done()
        wire.hear(bytes([byte]))
    assert await answer == ANSWER_2


@pytest.mark.parametrize("pdu", ["0302ffff", "04040011002200", "030600110022ffff", "8402", "06000500ff"])
async def test_an_answer_of_another_shape_is_no_answer(pdu: str) -> None:
    """Other function, other length: told as what it is, since the unit is alive."""
    wire = Wire()
    answer = wire.link.exchange(1, READ_2, FAST_S)
    wire.hear(rtu_frame(1, bytes.fromhex(pdu)))
    with pytest.raises(DecodeError, match="expected an answer of unit 1 that begins with 0304"):
        await answer


async def test_an_answer_of_another_unit_is_silence_of_ours() -> None:
    """A neighbour that talks does not make our unit alive."""
    wire = Wire()
    answer = wire.link.exchange(1, READ_2, FAST_S)
    wire.hear(rtu_frame(2, ANSWER_2))
    with pytest.raises(SilentError):
        await answer
    assert wire.link.late == 1


@pytest.mark.parametrize(("request_pdu", "answers"), [
    ("0600050007", ["0600050008", "0600060007"]), ("050005ff00", ["0500050000", "050006ff00"]),
    ("100005000204aaaabbbb", ["1000050001", "1000060002"]), ("0f0005000101", ["0f00050002"]),
])
async def test_a_write_is_confirmed_by_its_own_echo_only(request_pdu: str, answers: Sequence[str]) -> None:
    """The late echo of the last set-point must not confirm this one."""
    request = bytes.fromhex(request_pdu)
    for other in answers:
        wire = Wire()
        answer = wire.link.exchange(1, request, FAST_S)
        wire.hear(rtu_frame(1, bytes.fromhex(other)))
        with pytest.raises(DecodeError):
            await answer
        wire = Wire()
        answer = wire.link.exchange(1, request, 1.0)
        wire.hear(rtu_frame(1, bytes.fromhex(other)), rtu_frame(1, request[:5]))
        assert await answer == request[:5]


async def test_a_function_whose_answers_tell_no_length_ends_where_its_crc_fits() -> None:
    """43, read device identification: tools ask for it."""
    wire = Wire()
    answer = wire.link.exchange(1, bytes.fromhex("2b0e0100"), 1.0)
    whole = rtu_frame(1, bytes.fromhex("2b0e01010000010003") + b"Abc")
    wire.hear(whole[:6])
    wire.hear(whole[6:])
    assert await answer == whole[1:-2]


async def test_a_late_answer_pays_its_debt_and_the_unit_may_be_asked_again() -> None:
    """A slow device is heard; what it says then is nobody's."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    wire.hear(rtu_frame(1, ANSWER_2))
    answer = wire.link.exchange(1, READ_2, 1.0)
    assert len(wire.sent) == 2                      # at once, and without a fence
    wire.hear(rtu_frame(1, bytes.fromhex("030400330044")))
    assert await answer == bytes.fromhex("030400330044")
    assert wire.link.late == 1


async def test_a_unit_in_debt_waits_where_it_is_alone_and_goes_on_when_its_answer_comes() -> None:
    """Nobody else needs the line; the late answer ends the wait."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    answer = wire.link.exchange(1, READ_2, 1.0)
    assert len(wire.sent) == 1
    wire.hear(rtu_frame(1, bytes.fromhex("0304deaddead")))
    await wire.until_sent(2)
    assert not answer.done()
    wire.hear(rtu_frame(1, ANSWER_2))
    assert await answer == ANSWER_2


async def test_a_debt_that_is_never_paid_is_settled_by_a_fence() -> None:
    """An answer may be later than any wait; but a device answers in order, and the fence was asked after it."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    await asyncio.sleep(LATE_S + 0.02)
    answer = wire.link.exchange(1, READ_2, 1.0)
    fence = await wire.until_sent(2)
    assert fence == rtu_frame(1, bytes.fromhex("0300050001"))
    wire.hear(rtu_frame(1, bytes.fromhex("0304deaddead")))      # the old answer, at last
    assert not answer.done()
    wire.hear(rtu_frame(1, bytes.fromhex("03020011")))          # the fence's
    assert await wire.until_sent(3) == rtu_frame(1, READ_2)
    wire.hear(rtu_frame(1, ANSWER_2))
    assert await answer == ANSWER_2
    answer = wire.link.exchange(1, READ_2, 1.0)
    assert wire.sent[3:] == [rtu_frame(1, READ_2)]              # proven: no fence any more
    wire.link.close()


@pytest.mark.parametrize(("request_pdu", "fence"), [
    ("0300050001", "0300050002"), ("040005007d", "040005007c"), ("0100050001", "0100050009"),
    ("0200050014", "0200050010"), ("17000500020005000204aaaabbbb", "0300050001"), ("0600050007", None),
])
async def test_a_fence_asks_for_nothing_that_could_be_mistaken(request_pdu: str, fence: str | None) -> None:
    """Its answer has another length, or another function. An echo needs none: it holds address and value."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    await asyncio.sleep(LATE_S + 0.02)
    wire.link.exchange(1, bytes.fromhex(request_pdu), 1.0).add_done_callback(lambda done: done.exception())
    assert await wire.until_sent(2) == rtu_frame(1, bytes.fromhex(fence or request_pdu))
    wire.link.close()


async def test_a_refused_fence_settles_the_debt_as_well() -> None:
    """One register more may not exist: the device has answered all the same."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    await asyncio.sleep(LATE_S + 0.02)
    answer = wire.link.exchange(1, READ_2, 1.0)
    await wire.until_sent(2)
    wire.hear(rtu_frame(1, bytes.fromhex("8302")))
    await wire.until_sent(3)
    wire.hear(rtu_frame(1, ANSWER_2))
    assert await answer == ANSWER_2


async def test_a_cancelled_request_leaves_a_debt() -> None:
    """Its answer comes later, and is nobody's."""
    wire = Wire()
    first = wire.link.exchange(1, READ_2, 1.0)
    first.cancel()
    second = wire.link.exchange(1, READ_2, 1.0)
    assert len(wire.sent) == 1
    wire.hear(rtu_frame(1, bytes.fromhex("0304deaddead")))
    await wire.until_sent(2)
    wire.hear(rtu_frame(1, ANSWER_2))
    assert await second == ANSWER_2


async def test_an_answer_that_nobody_asked_for_puts_its_unit_into_debt() -> None:
    """Where one comes, another may: the unit is out of step."""
    wire = Wire()
    wire.hear(rtu_frame(1, ANSWER_2))
    answer = wire.link.exchange(1, READ_2, FAST_S)
    assert wire.sent == []
    wire.link.close()
    with pytest.raises(UnreachableError):
        await answer


async def test_an_older_answer_in_the_same_bytes_as_the_fences_is_not_the_requests() -> None:
    """The request is not sent while there are bytes left that came before it."""
    wire = Wire()
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    await asyncio.sleep(LATE_S + 0.02)
    answer = wire.link.exchange(1, READ_2, FAST_S)
    await wire.until_sent(2)
    wire.hear(rtu_frame(1, bytes.fromhex("03020011")), rtu_frame(1, bytes.fromhex("0304deaddead")))
    with pytest.raises(SilentError):
        await answer


async def test_over_tcp_a_silent_line_is_hung_up() -> None:
    """A new socket has no old answers in it; a neighbour's answer proves that the converter lives."""
    wire = Wire(tcp=True)
    with pytest.raises(SilentError):
        await wire.link.exchange(1, READ_2, FAST_S)
    other = wire.link.exchange(2, READ_2, 1.0)
    wire.hear(rtu_frame(2, ANSWER_2))
    await other
    with pytest.raises(SilentError, match="unit 1 has not answered the request before; asked again in"):
        await wire.link.exchange(1, READ_2, FAST_S)
    assert not wire.aborted
    with pytest.raises(SilentError):
        await wire.link.exchange(2, READ_2, FAST_S)
    with pytest.raises(UnreachableError, match="unit 2 has not answered, and no other since; the connection is made"):
        await wire.link.exchange(2, READ_2, FAST_S)
    assert wire.aborted
    assert not wire.link.connected
    with pytest.raises(UnreachableError, match="not connected"):
        wire.link.exchange(2, READ_2, FAST_S)


async def test_a_flood_of_bytes_is_hung_up_and_costs_no_time() -> None:
    """A converter that repeats itself must not keep the control loop busy looking for a frame."""
    wire = Wire(tcp=True)
    answer = wire.link.exchange(1, READ_2, 1.0)
    wire.hear(b"\x01\x03\xf0" * 100_000)
    with pytest.raises(UnreachableError, match="got 300000 bytes: expected one answer"):
        await answer
    assert wire.aborted
    serial = Wire()
    answer = serial.link.exchange(1, READ_2, FAST_S)
    for _ in range(20):
        serial.hear(b"\x01\x03\xf0" * 100)
    with pytest.raises(DecodeError):
        await answer
    assert len(serial.link._received) <= 300


async def test_a_line_that_is_never_quiet_is_told_as_that() -> None:
    """A jabbering device, or the wrong speed: silence between frames never comes."""
    wire = Wire()
    wire.link._line = wire.link._line._replace(silence_s=4.0)     # so that no pause of a busy machine is one
    answer = wire.link.exchange(1, READ_2, 0.1)
    async with asyncio.timeout(5):
        while not answer.done():
            wire.hear(b"\x55")
            await asyncio.sleep(0.005)
    with pytest.raises(DecodeError, match="the line is never quiet"):
        await answer
    assert wire.sent == []
