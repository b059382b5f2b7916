"""The ledger on a real file: on disk before the answer, bounded, and no reason not to start."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from desk_case import CLOCK_UTC_S, announce, facts, order, set_mode, set_point, target

from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.control import ledger as ledger_module
from pswd_edge.control.ledger import ENDED_KEPT, KEEP_S, Entry, Ledger
from pswd_edge.control.requests import decide
from pswd_edge.model.command import Accepted, Level, Rejected, Request
from pswd_edge.model.workload import Workload, WorkloadState

DAY_S = 86_400.0


def workload_of(name: str, state: WorkloadState = WorkloadState.APPROVED) -> Workload:
    from desk_case import SITE
    made = decide(announce(name), SITE, facts(), {}, Level.API).workload
    assert made is not None
    return msgspec.structs.replace(made, state=state)


def entry(request: Request, utc_s: float = CLOCK_UTC_S, workload: Workload | None = None, **changes: object) -> Entry:
    settings = {"request": request, "outcome": Accepted(id=request.id, workload=workload), "level": Level.API,
                "received_utc_s": utc_s, "expires_utc_s": None if workload else utc_s + request.ttl_s}
    return Entry(**{**settings, **changes})


def ended(name: str, utc_s: float) -> Entry:
    return entry(order("terminate", name), utc_s, workload_of(name, WorkloadState.TERMINATED))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = Ledger(tmp_path / "state" / "ledger.sqlite")
    yield made
    await made.close()


async def reopened(path: Path, utc_s: float) -> list[Entry]:
    again = Ledger(path / "state" / "ledger.sqlite")
    try:
        return await again.open(utc_s)
    finally:
        await again.close()


def rows(path: Path) -> int:
    connection = sqlite3.connect(path / "state" / "ledger.sqlite")
    try:
        return int(connection.execute("SELECT count(*) FROM command").fetchone()[0])
    finally:
        connection.close()


async def test_an_entry_comes_back_as_it_was_written(ledger: Ledger, tmp_path: Path) -> None:
    """With its authority: an operator's request is still the operator's after a restart."""
    assert await ledger.open(CLOCK_UTC_S) == []
    written = [entry(set_point(5.0), level=Level.OPERATOR), entry(target(5e6)),
               entry(announce(), workload=workload_of("a"))]
    for one in written:
        await ledger.append(one)
    assert await ledger.find(written[1].request.id) == written[1].outcome
    assert await ledger.find("nobody") is None
    await ledger.close()
    assert await reopened(tmp_path, CLOCK_UTC_S + 1) == written


async def test_the_file_is_for_owner_and_group(ledger: Ledger, tmp_path: Path) -> None:
    """Who asked for what is nobody else's business."""
    await ledger.open(CLOCK_UTC_S)
    assert stat.S_IMODE((tmp_path / "state" / "ledger.sqlite").stat().st_mode) == 0o640


async def test_every_entry_waits_for_the_disk_itself(ledger: Ledger) -> None:
    """A kill loses nothing that the kernel has; a power cut does, unless each commit is synced (FULL is 2)."""
    await ledger.open(CLOCK_UTC_S)

    def settings() -> tuple[object, ...]:
        names = ("synchronous", "journal_mode")
        return tuple(ledger._opened().execute(f"PRAGMA {name}").fetchone()[0] for name in names)

    assert await asyncio.wrap_future(ledger._thread.submit(settings)) == (2, "wal")


_CHILD = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from desk_case import set_point
from test_ledger import entry
from pswd_edge.control.ledger import Ledger

async def main():
    ledger = Ledger(Path({file!r}))
    await ledger.open(0.0)
    for i in range(1000000):
        await ledger.append(entry(set_point(float(i), id=f"r-{{i}}")))
        print(i, flush=True)

asyncio.run(main())
"""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """SIGKILL right after an answer, with the next entry under way."""
    file = tmp_path / "state" / "ledger.sqlite"
    here = Path(__file__).parent
    code = _CHILD.format(paths=[str(here), str(here.parents[1])], file=str(file))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    answered = -1
    while answered < 20:
        answered = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    last = [int(line) for line in child.stdout.read().split()]
    child.stdout.close()
    child.wait()
    found = {e.request.id for e in asyncio.run(reopened(tmp_path, CLOCK_UTC_S))}
    wanted = {f"r-{i}" for i in range(max([answered, *last]) + 1)}
    assert wanted <= found
    chained = {str(e.get("subject")) for e in read_entries(tmp_path / "state" / "ledger")}
    assert {f"request:{name}" for name in wanted} <= chained
    assert check_chain(tmp_path / "state" / "ledger").faults == []


async def test_the_same_id_is_not_written_twice(ledger: Ledger) -> None:
    """The first outcome stands, whatever goes wrong above."""
    await ledger.open(CLOCK_UTC_S)
    first = entry(set_point(1.0))
    await ledger.append(first)
    with pytest.raises(sqlite3.IntegrityError):
        await ledger.append(first._replace(outcome=Rejected(id=first.request.id, code="other")))
    assert await ledger.find(first.request.id) == first.outcome


async def test_holds_of_the_last_day_come_back_with_those_that_ended_them(ledger: Ledger, tmp_path: Path) -> None:
    """A release, or a shorter hold that ran out since, is what ends an older one that would run on."""
    await ledger.open(CLOCK_UTC_S)
    long, release = entry(set_point(5.0, ttl_s=DAY_S)), entry(set_point(None, ttl_s=0.0), CLOCK_UTC_S + 10)
    refused = entry(set_point(9e9), outcome=Rejected(id="x", code="forbidden"))
    mode = entry(set_mode(ttl_s=DAY_S))
    for one in (long, release, refused, mode):
        await ledger.append(one)
    await ledger.close()
    assert await reopened(tmp_path, CLOCK_UTC_S + 20) == [long, release]
    assert await reopened(tmp_path, CLOCK_UTC_S + DAY_S + 11) == []


async def test_of_a_workload_the_last_word_comes_back(ledger: Ledger, tmp_path: Path) -> None:
    """However long ago it was said."""
    await ledger.open(CLOCK_UTC_S)
    paused = entry(order("pause", "a"), CLOCK_UTC_S + 1, workload_of("a", WorkloadState.PAUSED))
    for one in (entry(announce("a"), workload=workload_of("a")), paused,
                entry(order("pause", "a"), CLOCK_UTC_S + 2, outcome=Rejected(id="x", code="conflict"))):
        await ledger.append(one)
    await ledger.close()
    assert await reopened(tmp_path, CLOCK_UTC_S + 400 * DAY_S) == [paused]


async def test_a_thousand_workloads_come_back_in_no_time(ledger: Ledger, tmp_path: Path) -> None:
    """Control is not ready before they have; every one of them was changed ten times."""
    await ledger.open(CLOCK_UTC_S)
    await asyncio.wrap_future(ledger._thread.submit(write_many, ledger))
    await ledger.close()
    begun = time.monotonic()
    found = await reopened(tmp_path, CLOCK_UTC_S + 20_000)
    took_s = time.monotonic() - begun
    assert len(found) == 1000
    assert {e.outcome.workload.state for e in found} == {WorkloadState.THROTTLED}
    assert took_s < 0.5


def write_many(ledger: Ledger) -> None:
    """10,000 rows in one transaction: their writing is not what is measured."""
    made = workload_of("x", WorkloadState.THROTTLED)
    connection = ledger._opened()
    connection.execute("BEGIN")
    for i in range(10_000):
        name = f"wl-{i % 1000}"
        own = msgspec.structs.replace(made, announcement=msgspec.structs.replace(made.announcement, workload_id=name))
        request = order("throttle", name, target_w=1.0)
        connection.execute(
            "INSERT INTO command (id, received_utc_s, level, origin, kind, workload, live, request, outcome) "
            "VALUES (?, ?, 4, 'api:x', 'ControlWorkload', ?, 1, ?, ?)",
            (f"w-{i}", CLOCK_UTC_S + i, name, ledger._encode(request),
             ledger._encode(Accepted(id=f"w-{i}", workload=own))))
    connection.commit()


async def test_of_the_workloads_that_ended_the_last_hundred_come_back(ledger: Ledger, tmp_path: Path) -> None:
    """A client that announces and terminates all day must not fill the memory after a restart."""
    await ledger.open(CLOCK_UTC_S)
    await ledger.append(entry(announce("alive"), workload=workload_of("alive")))
    for i in range(ENDED_KEPT + 5):
        await ledger.append(ended(f"wl-{i}", CLOCK_UTC_S))
    await ledger.close()
    found = [e.outcome.workload.announcement.workload_id for e in await reopened(tmp_path, CLOCK_UTC_S + 1)]
    assert found == ["alive", *(f"wl-{i}" for i in range(5, ENDED_KEPT + 5))]


async def test_after_a_week_only_living_workloads_are_left(ledger: Ledger, tmp_path: Path) -> None:
    """Of those the last word; of an ended one nothing; the ledger's size is that of a week."""
    await ledger.open(CLOCK_UTC_S)
    last = entry(order("pause", "alive"), CLOCK_UTC_S, workload_of("alive", WorkloadState.PAUSED))
    for one in (entry(announce("alive"), workload=workload_of("alive")), last,
                entry(announce("done"), workload=workload_of("done")), ended("done", CLOCK_UTC_S),
                entry(set_point(1.0)), entry(set_mode()),
                entry(set_point(2.0), outcome=Rejected(id="x", code="expired"), expires_utc_s=CLOCK_UTC_S)):
        await ledger.append(one)
    await ledger.close()
    await reopened(tmp_path, CLOCK_UTC_S + KEEP_S - 1)
    assert rows(tmp_path) == 7
    assert await reopened(tmp_path, CLOCK_UTC_S + KEEP_S + 1) == [last]
    assert rows(tmp_path) == 1


async def test_an_ended_workload_is_not_brought_back_by_a_clock_that_was_set(ledger: Ledger, tmp_path: Path) -> None:
    """It was announced with the clock two weeks ahead: its end looks older than its beginning."""
    await ledger.open(CLOCK_UTC_S)
    await ledger.append(entry(announce("done"), CLOCK_UTC_S + 14 * DAY_S, workload_of("done")))
    await ledger.append(ended("done", CLOCK_UTC_S))
    await ledger.close()
    for days in (1, 8, 13):
        [found] = await reopened(tmp_path, CLOCK_UTC_S + days * DAY_S)
        assert found.outcome.workload.state is WorkloadState.TERMINATED
    assert await reopened(tmp_path, CLOCK_UTC_S + 22 * DAY_S) == []


async def test_a_process_that_runs_for_months_prunes_too(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at a start, of which there may be one a year."""
    monkeypatch.setattr(ledger_module, "_PRUNE_EVERY", 10)
    await ledger.open(CLOCK_UTC_S)
    for i in range(30):
        await ledger.append(entry(set_point(1.0), CLOCK_UTC_S + i * DAY_S))
    await ledger.close()
    assert rows(tmp_path) == 8


async def test_a_row_that_cannot_be_read_is_passed_over(ledger: Ledger, tmp_path: Path) -> None:
    """Of another release, or damaged: the others count, and control starts."""
    await ledger.open(CLOCK_UTC_S)
    for i in range(3):
        await ledger.append(entry(set_point(float(i), id=f"r-{i}", ttl_s=DAY_S)))
    await ledger.close()
    connection = sqlite3.connect(tmp_path / "state" / "ledger.sqlite")
    connection.execute("UPDATE command SET request = x'c1' WHERE id = 'r-1'")
    connection.commit()
    connection.close()
    assert [e.request.id for e in await reopened(tmp_path, CLOCK_UTC_S + 1)] == ["r-0", "r-2"]


async def test_a_file_that_is_no_ledger_is_an_error_that_can_be_caught(ledger: Ledger, tmp_path: Path) -> None:
    """And everything after it too: nothing asserts in the thread."""
    (tmp_path / "state" / "ledger.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(sqlite3.DatabaseError):
        await ledger.open(CLOCK_UTC_S)
    with pytest.raises(sqlite3.Error, match="could not be opened"):
        await ledger.append(entry(set_point(1.0)))
    with pytest.raises(sqlite3.Error, match="could not be opened"):
        await ledger.find("r-1")


async def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    """A request that comes while control stops fails; it does not kill its connection."""
    await ledger.open(CLOCK_UTC_S)
    await ledger.close()
    await ledger.close()
    with pytest.raises(sqlite3.Error, match="closed"):
        await ledger.append(entry(set_point(1.0)))
