"""The driver's own decoding of OPC UA answers, byte for byte; asyncua encodes them."""

import math
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from pswd_edge.errors import DecodeError
from pswd_edge.field.drivers.base import Value
from pswd_edge.field.drivers.opcua_answer import read_texts, read_values, write_codes
from pswd_edge.field.drivers.opcua_publication import items_made, publication, subscription_made
from pswd_edge.model.quality import Quality, Reason
from simulators.servers.cheap_opcua import head

STAMP = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
V = ua.VariantType


def answer(*values: ua.DataValue, handle: int = 9, result: int = 0) -> bytes:
    response = ua.ReadResponse()
    response.ResponseHeader.RequestHandle = handle
    response.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(result))
    response.Results = list(values)
    return struct_to_binary(response)


def decoded(value: ua.DataValue) -> Value:
    (found,) = read_values(answer(value), 9, 1)
    return found


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(V.Boolean, True), (V.SByte, -128), (V.Byte, 255), (V.Int16, -32768), (V.UInt16, 65535), (V.Int32, -(2**31)),
     (V.UInt32, 2**32 - 1), (V.Int64, -(2**63)), (V.UInt64, 2**64 - 1), (V.Float, 1.5), (V.Double, -1e300)],
)  # fmt: skip
def test_every_numeric_type_is_a_number(kind: Any, raw: float) -> None:
    """Enumerations are Int32 on the wire; a Boolean is 0 or 1."""
    assert decoded(ua.DataValue(ua.Variant(raw, kind))) == Value(float(raw))


@pytest.mark.parametrize(
    "variant",
    [ua.Variant("12.5", V.String), ua.Variant(None, V.Null), ua.Variant(b"\x01", V.ByteString),
     ua.Variant(ua.NodeId("a", 2), V.NodeId), ua.Variant(ua.LocalizedText("5", "en"), V.LocalizedText),
     ua.Variant(ua.QualifiedName("5", 1), V.QualifiedName), ua.Variant(STAMP, V.DateTime),
     ua.Variant(ua.StatusCode(ua.UInt32(0)), V.StatusCode), ua.Variant([1.0], V.Double), ua.Variant([], V.Double),
     ua.Variant(["a", None], V.String), ua.Variant([[1.0, 2.0], [3.0, 4.0]], V.Double),
     ua.Variant(ua.Argument(Name="x"), V.ExtensionObject), ua.Variant([ua.Variant(1.0, V.Double)], V.Variant),
     ua.Variant(ua.DataValue(ua.Variant(1.0, V.Double)), V.DataValue)],
)  # fmt: skip
def test_what_is_no_single_number_is_bad_and_spoils_no_neighbour(variant: ua.Variant) -> None:
    """Each must be stepped over exactly, or the next point would be read from the middle of this one."""
    neighbour = ua.DataValue(ua.Variant(7.0, V.Double))

    found, after = read_values(answer(ua.DataValue(variant), neighbour), 9, 2)

    assert (found.quality, found.reason) == (Quality.BAD, Reason.UNDECODABLE)
    assert math.isnan(found.value)
    assert after == Value(7.0)


@pytest.mark.parametrize(
    ("code", "quality"),
    [("Good", Quality.GOOD), ("GoodClamped", Quality.GOOD), ("GoodOverload", Quality.GOOD),
     ("GoodLocalOverride", Quality.GOOD), ("UncertainInitialValue", Quality.UNCERTAIN),
     ("UncertainLastUsableValue", Quality.UNCERTAIN), ("BadWaitingForInitialData", Quality.BAD),
     ("BadSensorFailure", Quality.BAD), ("BadNotReadable", Quality.BAD), ("BadNodeIdUnknown", Quality.BAD)],
)  # fmt: skip
def test_quality_is_the_severity_alone(code: str, quality: Quality) -> None:
    """A bad value stays bad though it comes with a number and a time stamp."""
    status = ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, code)))
    found = decoded(ua.DataValue(ua.Variant(5.0, V.Double), status, STAMP))

    assert found.quality is quality
    assert found.reason is (Reason.NONE if quality is Quality.GOOD else Reason.DEVICE)
    assert found.source_utc_s == pytest.approx(STAMP.timestamp(), abs=1e-6)
    assert math.isnan(found.value) if quality is Quality.BAD else found.value == 5.0


def test_the_reserved_severity_is_bad() -> None:
    """OPC 10000-4, 7.39: clients shall take it for bad."""
    status = ua.StatusCode(ua.UInt32(0xC000_0000))
    assert decoded(ua.DataValue(ua.Variant(5.0, V.Double), status)).quality is Quality.BAD


def test_info_bits_do_not_change_the_quality() -> None:
    """Limit and overflow bits say something of the queue, not of the value."""
    status = ua.StatusCode(ua.UInt32(0x0000_0480))
    assert decoded(ua.DataValue(ua.Variant(5.0, V.Double), status)).quality is Quality.GOOD


def test_good_without_a_value_is_bad() -> None:
    """A DataValue may hold a status only: that is no 0."""
    body = head(634, 9) + struct.pack("<iBIi", 1, 0x02, 0, -1)
    (found,) = read_values(body, 9, 1)

    assert (found.quality, found.reason) == (Quality.BAD, Reason.UNDECODABLE)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [V.Float, V.Double])
def test_a_float_that_is_no_number_is_bad(kind: Any, number: float) -> None:
    """It would poison every sum."""
    found = decoded(ua.DataValue(ua.Variant(number, kind)))
    assert (found.quality, found.reason) == (Quality.BAD, Reason.NOT_A_NUMBER)


@pytest.mark.parametrize("ticks", [0, -1, 1, 2**63 - 1, 2_650_467_743_990_000_000])
def test_the_ends_of_the_time_range_are_no_time(ticks: int) -> None:
    """OPC 10000-6, 5.2.2.5: servers without a clock send them."""
    body = head(634, 9) + struct.pack("<iBBdqi", 1, 0x05, 11, 1.0, ticks, -1)
    assert read_values(body, 9, 1) == [Value(1.0)]


def test_picoseconds_stand_behind_their_time_stamp() -> None:
    """In the standard's order, which asyncua gets wrong: the next value would begin two bytes too late."""
    first = struct.pack("<BBdIqHqH", 0x3F, 11, 1.0, 0, 1, 7, 1, 7)
    second = struct.pack("<BBd", 0x01, 11, 2.0)
    body = head(634, 9) + struct.pack("<i", 2) + first + second + struct.pack("<i", -1)

    assert [v.value for v in read_values(body, 9, 2)] == [1.0, 2.0]


def test_an_answer_cut_anywhere_makes_no_sense() -> None:
    """Not one byte may be missing without being missed."""
    first = ua.DataValue(ua.Variant(1.0, V.Double), SourceTimestamp=STAMP)
    whole = answer(first, ua.DataValue(ua.Variant("a", V.String)))
    assert len(read_values(whole, 9, 2)) == 2
    for end in range(len(whole)):
        with pytest.raises(DecodeError):
            read_values(whole[:end], 9, 2)


def test_another_request_s_answer_is_none() -> None:
    """The handle inside the answer is checked beside the request number of its chunk."""
    with pytest.raises(DecodeError, match="an answer to request 8, expected 9"):
        read_values(answer(handle=8), 9, 0)


def test_a_failure_carries_its_code() -> None:
    """Both of the service as a whole, and of a ServiceFault."""
    for body in (answer(result=0x80100000), head(397, 9, 0x80100000)):
        with pytest.raises(UaStatusCodeError) as caught:
            read_values(body, 9, 1)
        assert caught.value.code == 0x80100000


def test_texts_are_read() -> None:
    """The namespaces of the server; null is an empty text."""
    assert read_texts(answer(ua.DataValue(ua.Variant(["urn:a", "ü", None], V.String))), 9) == ["urn:a", "ü", ""]
    with pytest.raises(DecodeError, match="no array of texts"):
        read_texts(answer(ua.DataValue(ua.Variant(1.0, V.Double))), 9)


def test_write_codes_are_read() -> None:
    """One for each node."""
    response = ua.WriteResponse(Results=[ua.StatusCode(), ua.StatusCode(ua.UInt32(0x803B0000))])
    response.ResponseHeader.RequestHandle = 9
    body = struct_to_binary(response)

    assert write_codes(body, 9, 2) == [0, 0x803B0000]
    with pytest.raises(DecodeError, match="2 results, expected 1"):
        write_codes(body, 9, 1)


def test_what_was_made_is_read() -> None:
    """With the values as the server revised them."""
    made = ua.CreateSubscriptionResponse()
    made.Parameters = ua.CreateSubscriptionResult(77, 500.0, 100, 2)
    items = ua.CreateMonitoredItemsResponse()
    items.Results = [ua.MonitoredItemCreateResult(ua.StatusCode(), 1, 1000.0, 1),
                     ua.MonitoredItemCreateResult(ua.StatusCode(ua.UInt32(0x80340000)), 0, 0.0, 0)]

    assert subscription_made(struct_to_binary(made), 0) == (77, 500.0, 100, 2)
    assert items_made(struct_to_binary(items), 0, 2) == [(0, 1000.0), (0x80340000, 0.0)]


def test_a_publication_is_read() -> None:
    """Changes in order, events stepped over, the last status kept."""
    response = ua.PublishResponse()
    response.ResponseHeader.RequestHandle = 9
    response.Parameters.SubscriptionId = 77
    response.Parameters.AvailableSequenceNumbers = [4, 5]
    response.Parameters.Results = [ua.StatusCode()]
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = 5
    changes = [ua.MonitoredItemNotification(3, ua.DataValue(ua.Variant(1.5, V.Double))),
               ua.MonitoredItemNotification(4, ua.DataValue(ua.Variant("x", V.String)))]
    message.NotificationData = [ua.EventNotificationList(), ua.DataChangeNotification(MonitoredItems=changes),
                                ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(0x800A0000)))]

    told = publication(struct_to_binary(response), 9)

    assert (told.subscription, told.sequence, told.keep_alive, told.status) == (77, 5, False, 0x800A0000)
    assert [(handle, value.reason) for handle, value in told.changes] == [(3, Reason.NONE), (4, Reason.UNDECODABLE)]
    for end in range(len(struct_to_binary(response))):
        with pytest.raises(DecodeError):
            publication(struct_to_binary(response)[:end], 9)
