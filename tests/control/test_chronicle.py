"""What the ledger is told of cycles: changes with their reasons, not set-points; nothing that flaps fills it."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from desk_case import set_point
from msgspec.structs import replace
from test_ledger import entry
from virtual import MW, World, bad, demo_site, small_spec

from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.archive import WAITING_MAX, Archive
from pswd_edge.control.chronicle import Chronicle
from pswd_edge.control.ledger import Ledger
from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.power_record import PowerBlock, PowerRecord
from pswd_edge.model.command import Mode

SITE = replace(demo_site(), control=small_spec())
UTC_S = 1_780_000_000.0


class Ears:
    """Hears what a ledger is told; writes nothing."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.blocks: list[PowerBlock] = []
        self.note, self.keep_power = self.bodies.append, self.blocks.append

    def flush(self) -> None:
        pass

    def of(self, subject: str) -> list[dict[str, object]]:
        return [b for b in self.bodies if b["subject"] == subject]


class Watched:
    """The small site's law, watched by a chronicle."""

    def __init__(self) -> None:
        self.world, self.ears, self.keeper = World(SITE.control, 60 * MW), Ears(), ModeKeeper("auto", 5.0)
        self.keeper.mode = Mode.AUTO
        self.chronicle = Chronicle(SITE, self.ears)  # type: ignore[arg-type]
        self.verdicts = [Verdict(12, 1.0, "law", 5, "", ())]
        self.skew_s = 0.0

    def step(self, binding: str | None = None) -> None:
        snapshot = self.world.snapshot()
        decision = self.world.step()
        if binding is not None:
            decision = decision._replace(binding=binding)
        snapshot = snapshot._replace(utc_s=UTC_S + snapshot.time_s + self.skew_s)
        self.chronicle.note(snapshot, decision, self.world.state, self.verdicts, self.keeper)


def test_the_same_again_is_no_entry() -> None:
    """A set-point that moves every cycle is in the ring; the ledger has who leads it and why."""
    watched = Watched()
    for i in range(50):
        watched.verdicts = [Verdict(12, float(i), "law", 5, "", (f"api:alice={i}",))]
        watched.step("target")
    assert len(watched.ears.of("site")) == 1
    assert len(watched.ears.of(f"point:{SITE.points[12].id}")) == 1


def test_a_new_winner_is_an_entry_with_losers_and_inputs() -> None:
    """What the question at night is about."""
    watched = Watched()
    watched.step()
    for _ in range(30):
        watched.verdicts = [Verdict(12, 5.0, "api:alice", 4, "soc_min", ("law=7",))]
        watched.step()
    [_, entry] = watched.ears.of(f"point:{SITE.points[12].id}")
    assert (entry["winner"], entry["limit"], entry["losers"], entry["level"]) == ("api:alice", "soc_min", ("law=7",), 4)
    value, quality, reason, age_s = entry["inputs"][SITE.points[0].id]
    assert (quality, reason) == ("GOOD", "NONE")
    assert age_s == 0.0
    assert math.isclose(value, 60 * MW, rel_tol=0.1)


def test_a_flapping_binding_is_counted_not_written() -> None:
    """"target" and "ramp_up" in turn, each cycle for ten minutes, would be 6,000 entries."""
    watched = Watched()
    for i in range(6000):
        watched.step("target" if i % 2 else "ramp_up")
    entries = watched.ears.of("site")
    assert len(entries) < 25
    assert sum(e["folded"] for e in entries) + len(entries) > 5000


def test_a_lost_battery_is_written_at_once_however_the_binding_flaps() -> None:
    """The entry that matters must not wait for the pause of one that does not."""
    watched = Watched()
    for i in range(3000):
        watched.step("target" if i % 2 else "ramp_up")
    watched.world.lost.add("b1")
    watched.step("target")
    assert "battery_lost:b1" in watched.ears.of("site")[-1]["degraded"]


def test_the_last_state_of_a_flap_is_written() -> None:
    """A change within the pause is late, never left out."""
    watched = Watched()
    watched.step("target")
    watched.step("ramp_up")
    for _ in range(30):
        watched.step("battery")
    assert watched.ears.of("site")[-1]["binding"] == "battery"


def test_a_bad_input_stands_as_bad() -> None:
    """Neither 0 nor the last good value: null, with the reason."""
    watched = Watched()
    watched.world.override[0] = bad()
    watched.step()
    content = msgspec.json.decode(msgspec.json.encode(watched.ears.bodies[0]))
    assert content["inputs"][SITE.points[0].id][:3] == [None, "BAD", "UNREACHABLE"]


def test_a_clock_that_was_set_is_an_entry_and_ends_a_block() -> None:
    """The times before and behind it are not of one scale."""
    watched = Watched()
    for i in range(150):
        watched.skew_s = 30.0 if i >= 75 else 0.0
        watched.step()
    [step] = [b for b in watched.ears.bodies if b["kind"] == "clock"]
    assert math.isclose(step["step_s"], 30.0)
    assert len(watched.ears.blocks) >= 1


def test_the_grid_power_is_handed_over_with_its_gaps() -> None:
    """A bad measurement and a missed cycle are NaN in their own slots."""
    watched = Watched()
    for i in range(110):
        watched.world.override = {0: bad()} if i == 10 else {}
        if i == 20:
            watched.world.cycles += 2
            watched.world.time_s += 0.2
        watched.step()
    block = watched.ears.blocks[0]
    assert len(block.power_w) == 100
    assert np.flatnonzero(np.isnan(block.power_w)).tolist() == [10, 20, 21]


def test_too_many_entries_are_counted_and_the_count_is_written(tmp_path: Path) -> None:
    """The loop does not wait, and a loss is no secret."""
    archive = Archive(tmp_path)
    archive.open(UTC_S)
    for i in range(WAITING_MAX + 7):
        archive.note({"kind": "change", "subject": "site", "utc_s": UTC_S, "utc": "", "i": i})
    archive.flush()
    archive.close()
    [lost] = [e for e in read_entries(tmp_path / "ledger") if e["kind"] == "lost"]
    assert lost["count"] == 7


def test_trouble_with_the_disk_is_an_alarm_and_ends_with_it(tmp_path: Path) -> None:
    """What waits is written when there is room again."""
    archive = Archive(tmp_path)
    archive.open(UTC_S)
    real = archive._chain.append

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    archive._chain.append = full  # type: ignore[method-assign]
    archive.note({"kind": "change", "subject": "site", "utc_s": UTC_S, "utc": ""})
    archive.flush()
    assert "No space" in archive.trouble
    archive._chain.append = real  # type: ignore[method-assign]
    archive.flush()
    archive.close()
    assert archive.trouble == ""
    assert [e["kind"] for e in read_entries(tmp_path / "ledger")][-1] == "change"


async def test_an_answered_request_is_in_the_chain(tmp_path: Path) -> None:
    """Before the answer: `append` has returned, and nothing was closed."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.open(UTC_S)
    written = entry(set_point(5.0))
    await ledger.append(written)
    [found] = [e for e in read_entries(tmp_path / "ledger") if e["kind"] == "request"]
    assert found["subject"] == f"request:{written.request.id}"
    assert found["answer"] == "Accepted"
    assert check_chain(tmp_path / "ledger").faults == []
    await ledger.close()


async def test_a_chain_that_cannot_be_written_fails_the_request(tmp_path: Path) -> None:
    """And it is not in SQLite either: after a restart nothing comes back that was refused."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await ledger.open(UTC_S)

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    ledger._archive._chain.append = full  # type: ignore[method-assign]
    refused = entry(set_point(5.0), utc_s=UTC_S)
    with pytest.raises(OSError, match="No space"):
        await ledger.append(refused)
    assert await ledger.find(refused.request.id) is None
    await ledger.close()


def test_a_power_record_comes_back_without_its_torn_end(tmp_path: Path) -> None:
    """And what follows a damaged block is still read."""
    record = PowerRecord(tmp_path)
    for i in range(3):
        record.append(PowerBlock(100, i * 100, UTC_S + 10 * i, 10.0 * i, np.full(100, i, np.float32)))
    [file] = tmp_path.glob("*.power")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content[:-3] + b"")
    assert [b.cycle for b in record.read(UTC_S - 60, UTC_S + 60)] == [0]
    record.append(PowerBlock(100, 300, UTC_S + 30, 30.0, np.full(100, 3, np.float32)))
    assert [b.cycle for b in record.read(UTC_S - 60, UTC_S + 60)] == [0, 300]


def test_the_power_record_keeps_its_budget(tmp_path: Path) -> None:
    """The oldest hours go first."""
    record = PowerRecord(tmp_path, keep_bytes=2000)
    for hour in range(20):
        record.append(PowerBlock(100, 0, UTC_S + hour * 3600, 0.0, np.zeros(100, np.float32)))
    assert sum(p.stat().st_size for p in tmp_path.glob("*.power")) <= 2500
    assert record.read(UTC_S + 19 * 3600, UTC_S + 20 * 3600)
