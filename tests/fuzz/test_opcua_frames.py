"""A small share of the OPC UA fuzzing in every run; the whole is `python -m tests.fuzz.opcua --frames 1000000`."""

import asyncio

import pytest

from pswd_edge.field.drivers import opcua_answer
from tests.fuzz.opcua import run


async def test_ten_thousand_broken_frames_do_no_harm() -> None:
    """No crash, no hang, nobody else's answer, and no value that asyncua reads otherwise from the same bytes."""
    async with asyncio.timeout(120):
        found = await run(10_000, seed=20261125)

    assert found["frames"] == 10_000
    assert min(found["taken"], found["refused"], found["compared"], found["cut"]) > 100


async def test_fuzzing_finds_a_decoder_that_takes_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the harness proves nothing: here the check of the request handle is taken out."""
    opened = opcua_answer.opened

    def careless(data: bytes, kind: int, handle: int) -> int:
        del handle
        return opened(data, kind, int.from_bytes(data[12:16], "little"))

    monkeypatch.setattr(opcua_answer, "opened", careless)
    with pytest.raises(AssertionError):
        await run(10_000, seed=1)
