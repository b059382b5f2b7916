"""JSON that eats memory or time, or that two readers would understand in two ways."""

import asyncio

import orjson
import pytest
from raw_client import posted

PATH = "/v1/battery/control"


@pytest.fixture
def send(target):
    """Posts as somebody who may."""
    line = f"Authorization: Bearer {target.token()}"
    return lambda body, *lines: target.send(posted(PATH, body, line, *lines))


async def test_an_oversized_body(target, send):
    """Over 64 KiB: refused by its length alone, or as soon as its chunks are more, and the connection ends."""
    said = await target.send(posted(PATH, b"{}", f"Authorization: Bearer {target.token()}").replace(
        b"Content-Length: 2", b"Content-Length: 99999999"))
    sent = await send(b'{"a": "' + b"x" * 70_000 + b'"}')
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    chunked = await target.send(target.head("POST", PATH, Content_Type="application/json",
                                            Transfer_Encoding="chunked") + 3 * chunk + b"0\r\n\r\n")

    assert [raw.code for raw in (said, sent, chunked)] == ["BODY_TOO_LARGE"] * 3
    assert [raw.statuses for raw in (said, sent, chunked)] == [(413,)] * 3
    assert target.counts["BODY_TOO_LARGE"] == 3


async def test_a_compressed_body(send):
    """A bomb of zeros is small on the wire: no body is ever unpacked."""
    raw = await send(b"\x1f\x8b\x08\x00", "Content-Encoding: gzip")

    assert (raw.statuses, raw.code) == ((415,), "UNSUPPORTED_MEDIA_TYPE")


async def test_a_deep_body(send):
    """Over 16 levels, up to the 32,000 that fit: no reader recurses into it."""
    found = [await send(b"[" * deep + b"]" * deep) for deep in (17, 1000, 32_000)]
    objects = await send(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)

    assert [raw.code for raw in (*found, objects)] == ["MALFORMED_JSON"] * 4


async def test_a_key_that_is_there_twice(send):
    """Audit and effect must read the same one."""
    raw = await send(b'{"operation": "standby", "operation": "discharge", "target_power_mw": 1}')
    deep = await send(b'{"a": [{"b": 1, "b": 1}]}')

    assert [answer.code for answer in (raw, deep)] == ["MALFORMED_JSON"] * 2
    assert b"twice" in raw.text


@pytest.mark.parametrize("number", [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x10", b"1_000", b"01", b"+1", b".5", b"9" * 5000,
    b"1" + b"0" * 400])
async def test_numbers_that_are_none(target, send, number):
    """NaN passes every comparison with a bound; endless integers eat time."""
    raw = await send(b'{"operation": "discharge", "duration_sec": 60, "target_power_mw": ' + number + b"}")

    assert raw.statuses == (400,)
    assert raw.code in ("MALFORMED_JSON", "INVALID_REQUEST")
    assert target.door.asked == []


@pytest.mark.parametrize("body", [
    b"", b"\xff\xfe{}", b'{"operation": "\xff"}', b'{"operation": "\\ud800"}', b"{}{}", b"{} x", b"{'a': 1}",
    b"[1,]", b'{"a": 1,}', b"// x\n{}", b"\xef\xbb\xbf{}", b'"text"', b"[]", b"null", b"1"])
async def test_what_is_no_json_object(send, body):
    """Half of UTF-8, half of a surrogate, comments, two values: one kind of answer."""
    raw = await send(body)

    assert raw.statuses == (400,)


async def test_a_body_of_another_kind(target, send):
    """A form that a browser sends without asking is no command."""
    found = await asyncio.gather(*(
        target.send(posted(PATH, b"{}", f"Authorization: Bearer {target.token()}").replace(b"application/json", kind))
        for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/xml",
                     b"application/json; charset=utf-16")))

    assert {raw.statuses for raw in found} == {(415,)}


def test_a_schedule_of_256_steps_fits_into_a_body():
    """The longest body of the contracts, with long numbers and times, is well below the bound."""
    step = {"timestamp": "2026-11-26T17:56:15.123456Z", "power_kw": 123456.789012, "thermal_load_kw": 123456.789012,
            "duration_minutes": 123456, "confidence_percent": 99.999999, "phase": "x" * 64}

    assert len(orjson.dumps({"steps": [step] * 256})) < 64 * 1024
