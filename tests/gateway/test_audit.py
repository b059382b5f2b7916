"""The audit: who did what and who was refused what, on disk, in a chain, without secrets."""

import asyncio
import errno

import pytest
from raw_client import posted

from pswd_edge.chain.chain import Chain
from pswd_edge.chain.chain_check import check_chain, read_entries
from pswd_edge.cli import main
from pswd_edge.clock import FakeClock, iso_utc
from pswd_edge.gateway import audit_file
from pswd_edge.gateway.audit import CHANGE, _change, note_change
from pswd_edge.gateway.audit_file import COMMANDS, REFUSALS, AuditFile
from pswd_edge.gateway.refusal_window import Kind, RefusalWindow


def standby(house):
    return {"timestamp": iso_utc(house.control.clock.utc_s()), "command_type": "standby"}


def timed(folder):
    """Without the heads of segments."""
    return [entry for entry in read_entries(folder) if entry["kind"] != "segment"]


def entries(house, chain="commands"):
    return [entry for entry in timed(house.state_dir / "audit" / chain) if entry["kind"] != "opened"]


async def told(house, expected, chain="refusals"):
    """What need not be on disk at once is there soon."""
    for _ in range(300):
        found = entries(house, chain)
        if len(found) >= expected and timed(house.state_dir / "audit" / chain):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(entries(house, chain))


@pytest.fixture
def house(house, state_dir):
    house.state_dir = state_dir
    return house


async def test_a_command_is_on_disk_before_its_answer_leaves(house):
    """Who, from where, what, with which outcome; the request id joins it with answer and log."""
    answer = await house.post("/v1/battery/control", standby(house), headers={"Idempotency-Key": "k-1"})

    [entry] = entries(house)
    assert answer.status == 200
    assert entry["request_id"] == answer.headers["X-Request-ID"]
    assert {name: entry[name] for name in ("kind", "origin", "remote", "operation", "method", "path", "status",
                                           "idempotency_key")} == {
        "kind": "command", "origin": "api:infrastructure_manager", "remote": "127.0.0.1",
        "operation": "control batteries", "method": "POST", "path": "/v1/battery/control", "status": 200,
        "idempotency_key": "k-1"}


async def test_a_repetition_says_so(house):
    """Two entries, one command."""
    for _ in range(2):
        await house.post("/v1/battery/control", standby(house), headers={"Idempotency-Key": "k-1"})

    assert [entry.get("replayed") for entry in entries(house)] == [None, True]
    assert len(house.door.asked) == 1


async def test_a_reading_is_not_written_down(house):
    """600 a minute of each client would drown what matters."""
    await house.get("/v1/system/health")
    await house.post("/v1/battery/control", standby(house))

    assert [entry["method"] for entry in entries(house)] == ["POST"]


async def test_the_path_is_the_template_and_the_subject_what_it_was_about(house):
    """A workload's id is found by, and no path of a client's making becomes a new kind of entry."""
    await house.post("/v1/workload/wl-1/control", {"nothing": "right"})

    [entry] = await told(house, 1)
    assert (entry["path"], entry["subject"]) == ("/v1/workload/{workload_id}/control", "wl-1")


@pytest.mark.parametrize(("method", "path", "role", "json", "status"), [
    ("GET", "/v1/system/health", None, None, 401), ("GET", "/v1/battery/status", "municipal_utility", None, 403),
    ("POST", "/v1/battery/control", "infrastructure_manager", {"operation": "nonsense"}, 400),
    ("POST", "/v1/nothing", "infrastructure_manager", {}, 404),
    ("DELETE", "/v1/battery/status", "infrastructure_manager", None, 405)])
async def test_a_refusal_is_written_down_with_its_code(house, method, path, role, json, status):
    """Of readings those that concern rights and rates, of commands all."""
    answer = await house.call(method, path, json, role=role)

    [entry] = await told(house, 1)
    assert (answer.status, entry["status"], entry["code"]) == (status, status, answer.body["error_code"])
    assert entry["origin"] == (f"api:{role}" if role and status not in (404, 405) else "address:127.0.0.1")
    assert house.gateway.guard.audit.counts[entry["code"]] == 1


async def test_no_secret_is_in_it(house):
    """Neither passwords nor tokens, whatever became of them."""
    await house.post("/v1/auth/login", {"username": "grid_operator", "password": "grid_operator-long-password",
                                        "role": "grid_operator"}, role=None)
    await house.post("/v1/auth/login", {"username": "x", "password": "typed-password", "role": "grid_operator"},
                     role=None)
    await house.get("/v1/system/health?token=queried", role=None)
    await told(house, 2)
    files = b"".join(path.read_bytes() for path in (house.state_dir / "audit").rglob("*.chain"))

    assert entries(house)[0]["path"] == "/v1/auth/login"
    for secret in (b"long-password", b"typed-password", b"queried", house.token().encode()):
        assert secret not in files


def test_a_secret_that_a_handler_names_is_not_shown():
    """A change is what a handler says, and a handler can be wrong."""
    request = {}
    note_change(request, before={"role": "a"}, after={"role": "b", "token": "t", "deep": [{"password": "p"}]})

    assert _change(request) == {"before": {"role": "a"}, "after": {
        "role": "b", "token": "(not shown)", "deep": [{"password": "(not shown)"}]}}
    note_change(request, after={"much": "x" * 5000})
    assert _change(request) == {"change": "(not shown: 5021 bytes)"}
    note_change(request, after={"thing": object()})
    assert "no JSON" in _change(request)["change"]
    assert CHANGE in request


async def test_the_files_are_the_gateway_s_own(house):
    """Names and habits of clients are not for everybody."""
    await house.post("/v1/battery/control", standby(house))

    assert (house.state_dir / "audit").stat().st_mode & 0o777 == 0o700


def test_a_window_counts_what_comes_again():
    """One whole entry, one count with first and last time; other kinds are their own."""
    window = RefusalWindow(0.0)
    kind, other = Kind("api:a", "FORBIDDEN", 403, "GET", "/x"), Kind("api:b", "FORBIDDEN", 403, "GET", "/x")
    firsts = [window.is_new(kind, 1000.0 + n) for n in range(5)] + [window.is_new(other, 1000.0)]
    [summary] = window.take()

    assert firsts == [True, False, False, False, False, True]
    assert (summary["count"], summary["first_utc"][-4:], summary["utc_s"]) == (4, "000Z"[-4:], 1004.0)
    assert window.take() == []
    assert (window.over(9.9), window.over(10.0)) == (False, True)


def test_a_window_has_room_for_so_many_kinds():
    """A flood from a thousand addresses is one count, and stays small."""
    window = RefusalWindow(0.0)
    whole = sum(window.is_new(Kind(f"address:10.0.0.{n}", "UNAUTHORIZED", 401), 0.0) for n in range(1000))
    [others] = window.take()

    assert (whole, others["origin"], others["count"]) == (64, "(others)", 936)


async def both_open(folder):
    """Both chains have their first entry."""
    for _ in range(300):
        if all(timed(folder / "audit" / name) for name in (COMMANDS, REFUSALS)):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(folder)


async def running(folder):
    file = AuditFile(folder, FakeClock())
    return file, asyncio.create_task(file.run())


async def test_entries_that_wait_together_share_a_sync(tmp_path, monkeypatch):
    """Ten commands at once are not ten times the wait for the disk."""
    appended = []
    append = Chain.append
    monkeypatch.setattr(Chain, "append", lambda self, bodies: (appended.append(len(bodies)), append(self, bodies)))
    file, task = await running(tmp_path)
    await both_open(tmp_path)
    appended.clear()
    await asyncio.gather(*(file.write({"kind": "command", "utc_s": 1.0}) for _ in range(10)))
    await file.close(task)

    assert appended == [10]
    assert check_chain(tmp_path / "audit" / COMMANDS).faults == []


async def test_refusals_that_the_disk_cannot_keep_up_with_are_counted(tmp_path, monkeypatch):
    """The number of what is missing is in the file itself."""
    monkeypatch.setattr(audit_file, "WAITING_MAX", 5)
    file = AuditFile(tmp_path, FakeClock())
    for number in range(12):
        file.note({"kind": "refusal", "utc_s": 1.0, "number_of": number})
    await file.close(asyncio.create_task(file.run()))
    found = list(timed(tmp_path / "audit" / REFUSALS))

    assert [entry["kind"] for entry in found] == ["opened", *["refusal"] * 5, "lost"]
    assert found[-1]["count"] == 7


async def test_a_chain_goes_on_after_a_restart_and_a_torn_end(tmp_path):
    """A power cut takes the entry that was being written, which nobody was told of."""
    file, task = await running(tmp_path)
    await file.write({"kind": "command", "utc_s": 1.0})
    await file.close(task)
    [segment] = (tmp_path / "audit" / COMMANDS).glob("*.chain")
    segment.write_bytes(segment.read_bytes() + b"0123 {half")
    file, task = await running(tmp_path)
    await file.write({"kind": "command", "utc_s": 2.0})
    await file.close(task)

    found = list(timed(tmp_path / "audit" / COMMANDS))
    assert [entry["kind"] for entry in found] == ["opened", "command", "opened", "command"]
    assert found[2]["cut_bytes"] == 10
    assert check_chain(tmp_path / "audit" / COMMANDS).faults == []


async def test_a_full_disk_refuses_commands_and_lets_readings_go_on(house, monkeypatch):
    """What cannot be written down is not done; health says so, and all is well once there is room."""
    monkeypatch.setattr(audit_file, "_RETRY_S", 0.05)
    append, full = Chain.append, True

    def fail(self, bodies):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, bodies)

    await both_open(house.state_dir)
    monkeypatch.setattr(Chain, "append", fail)
    first = await house.post("/v1/battery/control", standby(house))
    second = await house.post("/v1/battery/control", standby(house))
    reading, health = await house.get("/v1/battery/status"), await house.get("/v1/system/health")
    asked = len(house.door.asked)
    full = False
    for _ in range(200):
        if not house.gateway.guard.audit.trouble:
            break
        await asyncio.sleep(0.01)
    third = await house.post("/v1/battery/control", standby(house))

    assert (first.status, second.status, second.body["error_code"]) == (200, 503, "AUDIT_UNAVAILABLE")
    assert second.headers["Retry-After"] == "5"
    assert (reading.status, asked, third.status) == (200, 1, 200)
    assert any("audit: cannot be written" in reason for reason in health.body["reasons"])
    assert [entry["request_id"] for entry in entries(house)] \
        == [first.headers["X-Request-ID"], third.headers["X-Request-ID"]]


async def test_a_disk_that_hangs_does_not_hold_an_answer_for_ever(house, monkeypatch):
    """A command that was carried out is answered after five seconds at the latest."""
    monkeypatch.setattr(audit_file, "PATIENCE_S", 0.05)
    writing = asyncio.Event()
    monkeypatch.setattr(AuditFile, "_write_all", lambda *_: writing.wait())
    await asyncio.sleep(0.01)
    house.gateway.guard.audit._file._wake.set()
    answer = await house.post("/v1/battery/control", standby(house))
    writing.set()

    assert answer.status == 200
    assert "no answer of the disk" in house.gateway.guard.audit.trouble


async def test_the_command_lists_and_verifies(house, capsys):
    """For the auditor, beside the running gateway; what came from outside cannot move the cursor."""
    await house.post("/v1/battery/control", standby(house))
    await house.get("/v1/system/health", role=None)
    await house.call("POST", "/v1/workload/%E2%80%AE/control", {"operation": "resume"})
    await told(house, 2)
    capsys.readouterr()
    folder = ["--state-dir", str(house.state_dir)]
    since = ["--since", "2020-01-01T00:00:00Z"]
    assert main(["audit", "list", *folder, *since]) == 0
    shown = capsys.readouterr().out
    ours = ["--only", "refusals", "--origin", "address:127.0.0.1", "--json"]
    assert main(["audit", "list", *ours, *folder, *since]) == 0
    json = capsys.readouterr().out
    assert main(["audit", "verify", *folder]) == 0
    whole = capsys.readouterr().out

    assert "command   api:infrastructure_manager  POST /v1/battery/control 200" in shown
    assert "\\u202e" in shown
    assert json.count("\n") == 1
    assert '"UNAUTHORIZED"' in json
    assert "commands: 3 entries in 1 segments: whole" in whole


async def test_a_changed_entry_is_found(house, capsys):
    """That is what the chain is for."""
    await house.post("/v1/battery/control", standby(house))
    await house.post("/v1/battery/control", standby(house))
    await told(house, 0)
    [segment] = (house.state_dir / "audit" / "commands").glob("*.chain")
    segment.write_bytes(segment.read_bytes().replace(b"infrastructure_manager", b"somebody_else_entirely", 1))
    capsys.readouterr()

    assert main(["audit", "verify", "--state-dir", str(house.state_dir)]) == 1
    assert "BROKEN commands: " in capsys.readouterr().out


def test_where_there_is_no_audit_it_is_said(tmp_path, capsys):
    """A wrong folder must not look like an empty audit."""
    assert main(["audit", "verify", "--state-dir", str(tmp_path)]) == 1
    assert "there is no audit" in capsys.readouterr().err


async def test_malformed_http_is_in_it(house):
    """By address, since nobody knows more."""
    port = house.gateway.listening[0].port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(posted("/v1/x", {}, "Broken header"))
    [entry] = await told(house, 1)
    writer.close()

    assert (entry["origin"], entry["code"], entry["status"]) == ("address:127.0.0.1", "MALFORMED_HTTP", 400)
