"""API keys, the key ring, the first user's token, brakes and private tables."""

import json
import multiprocessing
import re
import stat

import aiohttp
import jwt
import pytest
from conftest import PASSWORDS, House
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.clock import FakeClock
from pswd_edge.errors import ConfigError, SecretError
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.identity import Identity
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.lockout import ADDRESS_FAILURES_MAX, Lockout
from pswd_edge.gateway.private_table import PrivateTable
from pswd_edge.gateway.roles import READING, Operation, Role, allowed_of
from pswd_edge.gateway.security_log import Intrusions, Kind
from pswd_edge.gateway.server import Gateway
from pswd_edge.gateway.setup_token import LIFETIME_S, TRIES_MAX, SetupToken
from pswd_edge.gateway.signing import KeyRing, rotate_key
from pswd_edge.gateway.tokens import Bearer, RevokedTokens, TokenError, TokenIssuer
from pswd_edge.gateway.users import UserStore

PASSWORD = "correct-horse-battery"


# --- API keys ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path):
    return KeyStore(tmp_path, FakeClock())


def test_a_key_is_kept_as_a_hash_alone(keys, tmp_path):
    """The file opens nothing, and only its owner reads it."""
    key_id, text = keys.create("scada", "grid_operator", (), 30)
    content = (tmp_path / "keys.json").read_text()

    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert text.startswith(f"pswd_{key_id}_")
    assert text.rpartition("_")[2] not in content
    assert keys.look(text).state == "good"


def test_a_key_ends(tmp_path):
    """At its date, to the second, and when it is revoked."""
    clock = FakeClock()
    keys = KeyStore(tmp_path, clock)
    _, dated = keys.create("dated", "grid_operator", (), 1)
    revoked_id, revoked = keys.create("revoked", "grid_operator", (), 30)
    clock.advance(86_399)
    before = keys.look(dated).state
    clock.advance(1)

    assert keys.revoke(revoked_id)
    assert not keys.revoke("00000000")
    assert (before, keys.look(dated).state, keys.look(revoked).state) == ("good", "expired", "revoked")


@pytest.mark.parametrize("spoilt", [
    lambda t: t[:-1] + ("a" if t[-1] != "a" else "b"), lambda t: t + "a", lambda t: t.upper(), lambda t: "",
    lambda t: t[:14], lambda t: "pswd_00000000_" + t[14:], lambda t: t.replace("pswd", "Bearer"), lambda t: t + "\n"])
def test_nothing_but_the_key_is_the_key(keys, spoilt):
    """Another id with the same secret neither."""
    _, text = keys.create("scada", "grid_operator", (), 30)
    keys.create("other", "grid_operator", (), 30)

    assert keys.look(spoilt(text)).state == "unknown"


def test_a_hash_moved_under_another_id_opens_nothing(keys, tmp_path):
    """Whoever can edit the file a little must not lend a strong key to himself."""
    strong, _ = keys.create("strong", "infrastructure_manager", ("power:control",), 30)
    weak, text = keys.create("weak", "municipal_utility", (), 30)
    path = tmp_path / "keys.json"
    content = json.loads(path.read_text())
    content["keys"][strong]["hash"] = content["keys"][weak]["hash"]
    path.write_text(json.dumps(content))

    assert keys.look(text.replace(weak, strong)).state == "unknown"


@pytest.mark.parametrize(("name", "role", "scopes", "days", "parts"), [
    ("a/b", "root", ("x",), 400, ["key name", "role", "scope", "days"]), ("a", "grid_operator", (), 0, ["days"]),
    ("a", "grid_operator", ("workload:announce",), 1, ["scope"]), ("a", "", (), 1, ["role"])])
def test_every_mistake_of_a_new_key_is_listed(keys, name, role, scopes, days, parts):
    """A key that could do nothing of what it names is a mistake too."""
    with pytest.raises(ConfigError) as error:
        keys.create(name, role, scopes, days)
    assert [line.split(":")[0] for line in error.value.problems] == parts


def test_a_key_never_exceeds_its_role(keys):
    """Scopes narrow; they do not widen."""
    key_id, _ = keys.create("a", "grid_operator", ("power:read", "system:read"), 1)
    plain_id, _ = keys.create("b", "grid_operator", (), 1)

    assert keys.all()[key_id].allowed == {
        Operation.POWER_READ, Operation.POWER_FORECAST_READ, Operation.BATTERY_READ, Operation.HEALTH_READ}
    assert keys.all()[plain_id].allowed == allowed_of("grid_operator") & READING


async def test_a_key_opens_pswd_and_its_last_use_is_kept_to_the_hour(house, state_dir):
    """Keys that nobody uses any more can be found and revoked."""
    keys = KeyStore(state_dir, house.control.clock)
    key_id, text = keys.create("scada", "grid_operator", (), 1)
    answer = await house.get("/v1/grid/status", role=None, headers={"X-API-Key": text})
    authority = house.gateway._identity.users
    authority.look()
    authority._thread.submit(lambda: None).result()
    used = keys.last_used_utc_s(key_id)

    assert answer.status == 200
    assert used == house.control.clock.utc_s() // 3600 * 3600
    assert not authority._keys.unwritten


async def test_key_and_token_together_are_refused(house, state_dir):
    """Whose request would it be?"""
    _, text = KeyStore(state_dir, house.control.clock).create("scada", "grid_operator", (), 1)
    answer = await house.get("/v1/grid/status", headers={"X-API-Key": text})

    assert (answer.status, answer.body["error_code"]) == (400, "INVALID_REQUEST")


async def test_guessing_keys_is_braked_by_address(house, state_dir, capsys):
    """Twenty wrong ones, then nothing from there for a minute; what was typed is not logged."""
    _, text = KeyStore(state_dir, house.control.clock).create("scada", "grid_operator", (), 1)
    wrong = [await house.get("/v1/grid/status", role=None, headers={"X-API-Key": f"guess-{n}"}) for n in range(20)]
    braked = await house.get("/v1/grid/status", role=None, headers={"X-API-Key": text})
    house.control.clock.advance(61)
    house.control.run(1)

    assert {answer.status for answer in wrong} == {401}
    assert (braked.status, braked.headers["Retry-After"]) == (429, "60")
    assert (await house.get("/v1/grid/status", role=None, headers={"X-API-Key": text})).status == 200
    assert "guess-" not in capsys.readouterr().out


async def test_an_expired_key_brakes_nobody(house, state_dir):
    """A forgotten collector asks ten times a second, from an address that others use too."""
    _, text = KeyStore(state_dir, house.control.clock).create("scada", "grid_operator", (), 0.0001)
    house.control.clock.advance(60)
    answers = [await house.get("/v1/grid/status", role=None, headers={"X-API-Key": text}) for _ in range(25)]

    assert {answer.status for answer in answers} == {401}
    assert "expired" in answers[0].body["message"]


# --- the address brake ------------------------------------------------------------------------------------------------


def test_many_names_from_one_address_are_braked():
    """A list of names with one password each would never meet the brake of a pair."""
    clock = FakeClock()
    lockout = Lockout(clock)
    for number in range(ADDRESS_FAILURES_MAX):
        assert not lockout.locked("alice", "10.0.0.1")
        lockout.failed(f"name-{number}", "10.0.0.1")
    locked = lockout.locked("alice", "10.0.0.1"), lockout.locked("alice", "10.0.0.2")
    clock.advance(61)

    assert locked == (True, False)
    assert not lockout.locked("alice", "10.0.0.1")


def test_a_login_between_guesses_does_not_loosen_the_address_brake():
    """An attacker with one account of his own would otherwise guess the others for ever."""
    lockout = Lockout(FakeClock())
    for number in range(ADDRESS_FAILURES_MAX):
        lockout.failed(f"name-{number}", "10.0.0.1")
        lockout.succeeded("mallory", "10.0.0.1")

    assert lockout.address_locked("10.0.0.1")


# --- the first user ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def fresh(tmp_path, capsys):
    """A gateway without users; `shown` is the token of its log."""
    control = Control(tmp_path / "run", make_site(("pswd", "edge")))
    control.run()
    live, door = LiveImage(tmp_path / "run", control.clock), FakeDoor()
    async with Gateway(live, door, tmp_path / "new", control.clock) as gateway, aiohttp.ClientSession() as client:
        await gateway.open(tmp_path / "run" / "rows")
        found = House(control, door, gateway, live, client)
        found.shown = re.search(r"setup_token=(\S+)", capsys.readouterr().out)[1]
        yield found


async def test_the_one_time_token_makes_the_first_user_once(fresh, capsys):
    """Shown in the log and nowhere else; then it is gone."""
    token = fresh.shown
    made = await fresh.post("/edge/setup", {"token": token, "username": "alice", "password": PASSWORD}, role=None)
    again = await fresh.post("/edge/setup", {"token": token, "username": "bob", "password": PASSWORD}, role=None)
    login = await fresh.post("/v1/auth/login", {
        "username": "alice", "password": PASSWORD, "role": "infrastructure_manager"}, role=None)

    assert (made.status, made.body) == (200, {"username": "alice", "role": "infrastructure_manager"})
    assert (again.status, login.status) == (401, 200)
    assert token not in capsys.readouterr().out


async def test_the_token_is_not_used_up_by_a_weak_password_and_is_no_login(fresh):
    """A mistake in the first minute must not need a restart; the token is neither password nor bearer."""
    token = fresh.shown
    weak = await fresh.post("/edge/setup", {"token": token, "username": "alice", "password": "short"}, role=None)
    login = await fresh.post("/v1/auth/login", {
        "username": "alice", "password": token, "role": "infrastructure_manager"}, role=None)
    bearer = await fresh.get("/edge/alarms", role=None, headers={"Authorization": f"Bearer {token}"})
    made = await fresh.post("/edge/setup", {"token": token, "username": "alice", "password": PASSWORD}, role=None)

    assert [weak.status, login.status, bearer.status, made.status] == [400, 401, 401, 200]


async def test_wrong_setup_tokens_are_braked_and_counted(fresh):
    """Guessing is hopeless, and is seen."""
    body = {"token": "guess", "username": "mallory", "password": PASSWORD}
    statuses = {(await fresh.post("/edge/setup", body, role=None)).status for _ in range(5)}

    assert statuses == {401}
    assert fresh.gateway.services.security.intrusions.counts[Kind.SETUP] == 5
    assert fresh.gateway._identity.users._users.empty


async def test_a_used_setup_token_does_not_come_back(fresh, tmp_path):
    """Not when its user is removed again, and not beside a user who was added on the machine."""
    users = UserStore(tmp_path / "new")
    users.add("alice", PASSWORD, [Role.GRID_OPERATOR])
    body = {"token": fresh.shown, "username": "mallory", "password": PASSWORD}
    beside = await fresh.post("/edge/setup", body, role=None)
    counted = fresh.gateway.services.security.intrusions.counts[Kind.SETUP]
    users.remove("alice")
    made = await fresh.post("/edge/setup", {**body, "username": "bob"}, role=None)
    users.remove("bob")
    after = await fresh.post("/edge/setup", body, role=None)

    assert [beside.status, made.status, after.status] == [401, 200, 401]
    assert counted == 1
    assert users.empty


async def test_a_gateway_with_a_user_has_no_setup_token(house):
    """The door closes with the first user, however it was made."""
    assert house.gateway._identity.users.offer_setup() is None


def test_a_setup_token_ends_by_time_and_by_tries():
    """And an earlier one by a later one."""
    clock = FakeClock()
    setup = SetupToken(clock)
    first, second = setup.make(), setup.make()
    assert (setup.good(first), setup.good(second)) == (False, True)
    clock.advance(LIFETIME_S)
    assert not setup.good(second)
    third = setup.make()
    for _ in range(TRIES_MAX):
        setup.good("x")
    assert not setup.good(third)


# --- users ------------------------------------------------------------------------------------------------------------


def test_a_changed_password_ends_the_tokens_of_the_old_one(tmp_path):
    """So does a user that was removed and made again."""
    store = UserStore(tmp_path)
    store.add("alice", PASSWORD, [Role.GRID_OPERATOR])
    before = store.generation("alice")
    store.set_password("alice", PASSWORD + "2")

    assert not store.granted("alice", "grid_operator", before)
    assert store.granted("alice", "grid_operator", store.generation("alice"))
    assert store.verify("alice", PASSWORD + "2", "grid_operator")
    assert not store.verify("alice", PASSWORD, "grid_operator")


def test_a_disabled_user_is_out_and_comes_back(tmp_path):
    """With the same password and the same tokens."""
    store = UserStore(tmp_path)
    store.add("alice", PASSWORD, [Role.GRID_OPERATOR])
    generation = store.generation("alice")
    store.set_disabled("alice", disabled=True)
    out = store.granted("alice", "grid_operator", generation), store.verify("alice", PASSWORD, "grid_operator")
    store.set_disabled("alice", disabled=False)

    assert out == (False, False)
    assert store.granted("alice", "grid_operator", generation)


def test_a_role_that_was_taken_is_gone(tmp_path):
    """And the others stay."""
    store = UserStore(tmp_path)
    store.add("alice", PASSWORD, [Role.GRID_OPERATOR, Role.MUNICIPAL_UTILITY])
    store.set_roles("alice", [Role.MUNICIPAL_UTILITY])
    generation = store.generation("alice")

    assert not store.granted("alice", "grid_operator", generation)
    assert store.granted("alice", "municipal_utility", generation)


@pytest.mark.parametrize("change", [
    lambda s: s.remove("bob"), lambda s: s.set_roles("bob", ["grid_operator"]), lambda s: s.set_password("bob", "x"),
    lambda s: s.set_disabled("bob", disabled=True)])
def test_a_user_that_is_not_there_is_named(tmp_path, change):
    """A typing mistake in a name must not pass for success."""
    store = UserStore(tmp_path)
    store.add("alice", PASSWORD, [Role.GRID_OPERATOR])
    with pytest.raises(ConfigError, match="got 'bob': expected one of alice"):
        change(store)


# --- the key ring -----------------------------------------------------------------------------------------------------


def issuer(folder, clock):
    return TokenIssuer(KeyRing(folder, clock), RevokedTokens(folder, clock), "site", clock)


def test_a_rotated_key_s_tokens_hold_until_they_end(tmp_path):
    """Nobody has to log in again, and a gateway that runs notices."""
    clock = FakeClock()
    running = issuer(tmp_path, clock)
    old = running.issue(Bearer("alice", "grid_operator"))
    rotate_key(tmp_path, clock)
    new = running.issue(Bearer("bob", "grid_operator"))
    names = running.check(old).name, running.check(new).name
    clock.advance(3600)
    running.issue(Bearer("x", "y"))

    assert names == ("alice", "bob")
    with pytest.raises(TokenError):
        running.check(old)
    ring = KeyRing(tmp_path, clock)
    assert [ring.public(kid) for kid in json.loads((tmp_path / "token-keys-old.json").read_text())] == [None]


def test_a_compromised_key_s_tokens_end_at_once(tmp_path):
    """Whoever has the key could make any of them."""
    clock = FakeClock()
    running = issuer(tmp_path, clock)
    old = running.issue(Bearer("alice", "grid_operator"))
    rotate_key(tmp_path, clock)
    rotate_key(tmp_path, clock, compromised=True)

    with pytest.raises(TokenError):
        running.check(old)
    assert running.check(running.issue(Bearer("bob", "grid_operator"))).name == "bob"


def test_the_old_private_key_is_not_kept(tmp_path):
    """Believing needs the public half alone."""
    rotate_key(tmp_path, FakeClock())
    assert "PRIVATE" not in (tmp_path / "token-keys-old.json").read_text()


def test_a_revoked_token_ends_and_is_forgotten_in_time(tmp_path):
    """The list cannot grow for ever."""
    clock = FakeClock()
    tokens, revoked = issuer(tmp_path, clock), RevokedTokens(tmp_path, clock)
    token = tokens.issue(Bearer("alice", "grid_operator"))
    revoked.add(jwt.decode(token, options={"verify_signature": False})["jti"])
    with pytest.raises(TokenError, match="revoked"):
        tokens.check(token)
    clock.advance(3700)
    revoked.add("other")

    assert list(json.loads((tmp_path / "revoked-tokens.json").read_text())) == ["other"]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["keys.json", "clients.json", "refresh-families.json", "revoked-tokens.json",
                                  "token-keys-old.json", "users.json", "key-uses.json"])
@pytest.mark.parametrize("spoil", ["open to others", "damaged"])
def test_a_spoilt_file_stops_the_start(tmp_path, control, file, spoil):
    """Not taken for an empty one: that would let revoked ones in again."""
    path = tmp_path / file
    path.write_text("{}" if spoil == "open to others" else "{nonsense")
    path.chmod(0o644 if spoil == "open to others" else 0o600)
    with pytest.raises(SecretError):
        Identity.open(tmp_path, control.site, control.clock, Intrusions(control.clock))


def add_clients(folder, start):
    for number in range(start, start + 5):
        ClientTable(folder).bind(f"client-{number}", f"cn-{number}", ["power:read"])


def test_two_processes_do_not_lose_each_other_s_changes(tmp_path):
    """The gateway writes while an administrator does."""
    start = multiprocessing.get_context("fork")
    workers = [start.Process(target=add_clients, args=(tmp_path, 5 * n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert len(ClientTable(tmp_path).all()) == 15


def test_a_change_that_fails_writes_nothing(tmp_path):
    """Half a table is worse than the old one."""
    table = PrivateTable(tmp_path / "t.json", dict[str, int], {})
    table.change(lambda t: {**t, "a": 1})
    with pytest.raises(KeyError):
        table.change(lambda t: {"b": t["nothing"]})

    assert table.read() == {"a": 1}
    assert not list(tmp_path.glob("*.new"))


def test_a_name_can_be_bound_once_only(tmp_path):
    """Two clients behind one certificate would be one client with two ids."""
    table = ClientTable(tmp_path)
    table.bind("a", "cn-a", ["power:read"])
    with pytest.raises(ConfigError, match="not bound to a already"):
        table.bind("b", "cn-a", ["power:read"])
    table.bind("a", "cn-a2", ["power:read"])
    table.bind("b", "cn-a", ["power:read"])


# --- the security log -------------------------------------------------------------------------------------------------


def test_a_flood_is_counted_and_not_written_down(capsys):
    """A log that is full helps the attacker."""
    clock = FakeClock()
    intrusions = Intrusions(clock)
    for _ in range(1000):
        intrusions.count(Kind.LOGIN, remote="10.0.0.1")
    flooded = capsys.readouterr().out
    clock.advance(11)
    intrusions.count(Kind.LOGIN, remote="10.0.0.1")

    assert intrusions.counts == {Kind.LOGIN: 1001}
    assert flooded.count("login refused") == 20
    assert "more_since_last_line=980" in capsys.readouterr().out


async def test_a_brute_force_is_locked_counted_and_logged(house, capsys):
    """The right password does not open while the pair is locked."""
    login = {"username": "grid_operator", "password": "wrong-wrong-wrong", "role": "grid_operator"}
    for _ in range(5):
        await house.post("/v1/auth/login", login, role=None)
    right = await house.post("/v1/auth/login", {**login, "password": PASSWORDS["grid_operator"]}, role=None)
    counts = house.gateway.services.security.intrusions.counts

    assert right.status == 401
    assert (counts[Kind.LOGIN], counts[Kind.LOCKED]) == (5, 1)
    assert "login while locked" in capsys.readouterr().out
