"""Login, users, lockout, tokens and their attacks."""

import asyncio
import base64
import json
import os
import stat

import jwt
import pytest
from conftest import PASSWORDS
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from pswd_contract import breaches

from pswd_edge.clock import FakeClock
from pswd_edge.errors import ConfigError, SecretError
from pswd_edge.gateway.auth import Authority
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.lockout import Lockout
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.security_log import Intrusions
from pswd_edge.gateway.setup_token import SetupToken
from pswd_edge.gateway.signing import KeyRing, key_id, open_key
from pswd_edge.gateway.tokens import CLIENTS_AUDIENCE, LIFETIME_S, Bearer, RevokedTokens, TokenIssuer
from pswd_edge.gateway.users import UserStore, add_user

LOGIN = {"username": "grid_operator", "password": PASSWORDS["grid_operator"], "role": "grid_operator"}


def issuer(folder, clock, **more):
    return TokenIssuer(KeyRing(folder, clock), RevokedTokens(folder, clock), "site", clock, **more)


async def login(house, **changes):
    return await house.post("/v1/auth/login", {**LOGIN, **changes}, role=None)


async def test_a_login_opens_the_house(house):
    """From password to first reading."""
    answer = await login(house)
    token = answer.body["access_token"]
    reading = await house.get("/v1/grid/status", role=None, headers={"Authorization": f"Bearer {token}"})

    assert answer.status == 200
    assert breaches("login", answer.body) == []
    assert answer.body["token_type"] == "Bearer"
    assert (answer.body["expires_in"], answer.body["role"]) == (3600, "grid_operator")
    assert reading.status == 200


async def test_every_failed_login_gets_the_same_words(house):
    """Nobody learns from the answer which users or roles there are."""
    answers = [await login(house, **changes) for changes in (
        {"password": "wrong-wrong-wrong"}, {"username": "nobody"}, {"role": "infrastructure_manager"})]

    for answer in answers:
        assert answer.status == 401
        assert breaches("error", answer.body) == []
        assert {k: answer.body[k] for k in ("error_code", "message")} == {
            "error_code": "AUTHENTICATION_FAILED", "message": "user name, password or role not accepted"}


async def test_five_failures_lock_the_pair_for_a_minute(house):
    """The right password must not help then, and must again later."""
    for _ in range(5):
        assert (await login(house, password="guess-guess-guess")).status == 401
    assert (await login(house)).status == 401
    other = await login(house, username="municipal_utility", password=PASSWORDS["municipal_utility"],
                        role="municipal_utility")
    house.control.clock.advance(61)

    assert other.status == 200
    assert (await login(house)).status == 200


async def test_failures_are_logged_without_what_was_typed(house, capsys):
    """Passwords typed into the name field must not stay in a log."""
    await login(house, username="my-secret-password", password="other-secret-thing")
    await login(house, password="other-secret-thing")

    log = capsys.readouterr().out
    assert "my-secret-password" not in log
    assert "other-secret-thing" not in log
    assert "user=grid_operator" in log


def test_lockout_memory_is_bounded(monkeypatch):
    """A flood of invented names must not fill the memory."""
    monkeypatch.setattr("pswd_edge.gateway.lockout._KEPT", 100)
    lockout = Lockout(FakeClock())
    for number in range(1000):
        lockout.failed(f"name-{number}", "10.0.0.1")
    for _ in range(1000):
        lockout.failed("name-999", "10.0.0.1")

    assert len(lockout._pairs._times) == 100
    assert len(lockout._pairs._times["name-999", "10.0.0.1"]) == 5


async def test_without_users_every_login_is_refused(tmp_path, capsys):
    """No default password, and the log says what to do."""
    clock = FakeClock()
    authority = Authority(UserStore(tmp_path), issuer(tmp_path, clock), KeyStore(tmp_path, clock), Lockout(clock),
                          Intrusions(clock), SetupToken(clock))
    with pytest.raises(RefusalError) as refused:
        await authority.login("admin", "admin", "infrastructure_manager", "127.0.0.1")
    authority.close()

    assert refused.value.status == 401
    assert "pswd-edge user add NAME --role ROLE" in capsys.readouterr().out


async def test_waiting_logins_are_bounded(house):
    """Each costs 40 ms of a core: a flood must not queue for minutes."""
    answers = await asyncio.gather(*(login(house, username=f"u{n}") for n in range(40)))

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {401, 503}
    assert statuses.count(401) >= 16


async def test_the_loop_answers_while_passwords_are_hashed(house):
    """Hashing runs in its own thread."""
    logins = [asyncio.create_task(login(house, username=f"u{n}")) for n in range(8)]
    await asyncio.sleep(0.01)
    reading = await house.get("/v1/grid/status")

    assert reading.status == 200
    assert sum(task.done() for task in logins) < 8
    await asyncio.gather(*logins)


def test_users_are_stored_hashed_and_private(tmp_path):
    """The file alone opens nothing, and only its owner reads it."""
    add_user(tmp_path, "alice", "correct-horse-battery", ["grid_operator", "grid_operator", "municipal_utility"])
    path = tmp_path / "users.json"
    content = path.read_text()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "correct-horse" not in content
    assert "$argon2id$" in content
    assert json.loads(content)["users"]["alice"]["roles"] == ["grid_operator", "municipal_utility"]


def test_a_running_store_sees_added_and_removed_users(tmp_path):
    """No restart to let somebody in, none to keep somebody out."""
    store = UserStore(tmp_path)
    assert store.empty
    add_user(tmp_path, "alice", "correct-horse-battery", ["grid_operator"])

    assert store.verify("alice", "correct-horse-battery", "grid_operator")
    assert not store.verify("alice", "correct-horse-battery", "infrastructure_manager")
    assert not store.verify("alice", "correct-horse-batterY", "grid_operator")
    assert store.granted("alice", "grid_operator", store.generation("alice"))
    add_user(tmp_path, "alice", "another-long-password", ["municipal_utility"])
    assert not store.granted("alice", "grid_operator", store.generation("alice"))
    (tmp_path / "users.json").unlink()
    assert not store.verify("alice", "another-long-password", "municipal_utility")


def test_every_mistake_of_a_new_user_is_listed(tmp_path):
    """And the password is not repeated."""
    with pytest.raises(ConfigError) as error:
        add_user(tmp_path, "a/b", "short", ["root"])

    assert [line.split(":")[0] for line in error.value.problems] == ["user name", "password", "role"]
    assert "short" not in str(error.value)
    assert not (tmp_path / "users.json").exists()


@pytest.mark.parametrize("file", ["users.json", "token-key.pem"])
def test_secrets_that_others_can_read_stop_the_start(tmp_path, file):
    """A key that leaked makes every token worthless: better not to start."""
    (tmp_path / file).write_text("{}")
    (tmp_path / file).chmod(0o640)

    with pytest.raises(SecretError, match=r"got mode 0640: expected 0600"):
        UserStore(tmp_path) if file == "users.json" else open_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"users": {"a": 1}}'])
def test_a_damaged_user_file_is_said(tmp_path, content):
    """Not taken for an empty one."""
    descriptor = os.open(tmp_path / "users.json", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)

    with pytest.raises(SecretError, match="damaged"):
        UserStore(tmp_path)


def test_the_signing_key_survives_a_restart_and_is_private(tmp_path):
    """Tokens hold across restarts; the file is the owner's alone."""
    clock = FakeClock()
    token = issuer(tmp_path, clock).issue(Bearer("alice", "grid_operator"))

    assert issuer(tmp_path, clock).check(token) == Bearer("alice", "grid_operator")
    assert stat.S_IMODE((tmp_path / "token-key.pem").stat().st_mode) == 0o600


def test_a_key_of_another_kind_is_refused(tmp_path):
    """An RSA key there would change the algorithm behind our back."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    descriptor = os.open(tmp_path / "token-key.pem", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, pem)
    os.close(descriptor)

    with pytest.raises(SecretError, match="expected an Ed25519 private key"):
        open_key(tmp_path)


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forgeries(house):
    """Name to token: every way in that we know of."""
    issuer = house.gateway._identity.users._tokens
    good = house.token()
    header, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    kid, key = issuer._ring.signing()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    other = ed25519.Ed25519PrivateKey.generate()

    def signed(**changes):
        return jwt.encode({k: v for k, v in {**claims, **changes}.items() if v is not None}, key, "EdDSA", {"kid": kid})

    none = {"alg": "none", "typ": "JWT", "kid": kid}
    hs256 = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{payload}"
    import hashlib
    import hmac
    mac = base64.urlsafe_b64encode(hmac.new(public, hs256.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    return {
        "good": good,
        "alg none": f"{encoded(none)}.{payload}.",
        "alg none signed": f"{encoded(none)}.{payload}.{signature}",
        "alg None": f"{encoded({'alg': 'None', 'kid': kid})}.{payload}.",
        "HS256 keyed with our public key": f"{hs256}.{mac}",
        "RS256": jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", {"kid": kid}),
        "another key": jwt.encode(claims, other, "EdDSA", {"kid": kid}),
        "foreign key id": jwt.encode(claims, other, "EdDSA", {"kid": key_id(other.public_key())}),
        "no key id": jwt.encode(claims, key, "EdDSA"),
        "key id as a path": jwt.encode(claims, key, "EdDSA", {"kid": "../token-key.pem"}),
        "key in the header": jwt.encode(claims, other, "EdDSA", {"kid": kid, "jwk": {"kty": "OKP"}}),
        "payload changed": f"{header}.{encoded({**claims, 'sub': 'root'})}.{signature}",
        "no signature": f"{header}.{payload}.",
        "wrong audience": signed(aud="other"), "no audience": signed(aud=None),
        "audience of DCPI": signed(aud=CLIENTS_AUDIENCE),
        "wrong issuer": signed(iss="pswd-edge/other"), "no expiry": signed(exp=None), "no id": signed(jti=None),
        "expiry as text": signed(exp="9999999999"), "expiry as truth": signed(exp=True),
        "not yet valid": signed(nbf=claims["nbf"] + 60), "expired": signed(exp=claims["iat"] - 1),
        "another role": signed(role="root"), "role as list": signed(role=["infrastructure_manager"]),
        "unknown user": signed(sub="mallory"), "role not granted": signed(sub="grid_operator"),
        "rubbish": "a.b.c", "long": "x" * 5000, "empty": "",
    }


async def test_only_the_good_token_opens(house):
    """Each forgery gets 401, the challenge, and no explanation that would help."""
    for name, token in forgeries(house).items():
        answer = await house.get("/v1/system/health", role=None, headers={"Authorization": f"Bearer {token}"})
        assert (name, answer.status) == (name, 200 if name == "good" else 401)
        if name != "good":
            assert breaches("error", answer.body) == []
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "bearer ", "Token x"])
async def test_no_token_is_401(house, header):
    """On every route but login, before anything else is looked at."""
    headers = {} if header is None else {"Authorization": header}
    for method, path in (("GET", "/v1/power/realtime?duration_seconds=x"), ("POST", "/v1/battery/control")):
        answer = await house.call(method, path, role=None, headers=headers)
        assert (answer.status, answer.body["error_code"]) == (401, "UNAUTHORIZED")


async def test_a_token_ends(house):
    """After an hour, to the second."""
    house.token()
    house.control.clock.advance(LIFETIME_S - 5)
    house.control.run(1)
    before = await house.get("/v1/system/health")
    house.control.clock.advance(5)

    assert before.status == 200
    assert (await house.get("/v1/system/health")).status == 401


async def test_a_removed_user_s_token_ends_at_once(house, state_dir):
    """Not an hour later."""
    token = house.token("grid_operator")
    headers = {"Authorization": f"Bearer {token}"}
    before = await house.get("/v1/grid/status", role=None, headers=headers)
    add_user(state_dir, "grid_operator", "another-long-password", ["municipal_utility"])

    assert before.status == 200
    assert (await house.get("/v1/grid/status", role=None, headers=headers)).status == 401


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_user_added_by_root_is_readable_by_the_gateway(tmp_path):
    """The file belongs to whom the state folder belongs."""
    os.chown(tmp_path, 12345, 12345)
    add_user(tmp_path, "alice", "correct-horse-battery", ["grid_operator"])

    assert (tmp_path / "users.json").stat().st_uid == 12345
