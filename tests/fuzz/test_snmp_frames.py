"""A small part of the fuzz harness; the whole is `python -m tests.fuzz.snmp --frames 1000000 --seed 1`."""

import pytest

from pswd_edge.field import trap_port, traps
from tests.fuzz.snmp import fuzz


async def test_hostile_messages_bring_no_wrong_value_no_event_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has gone mad, or a stranger at the trap port, must cost its own points and nothing else."""
    monkeypatch.setattr(trap_port, "PORTION_EVERY_S", 0.0)
    monkeypatch.setattr(traps, "OPEN_EVERY_S", 0.0)

    found, wrong = await fuzz(6_000, seed=7)

    assert wrong == []
    assert found["good"] > 20
    assert found["frames"] >= 3_000
