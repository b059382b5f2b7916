"""Who a DCPI client is: certificate, table, token; and every way around them that we know of."""

import asyncio
import base64
import datetime as dt
import hashlib
import hmac
import ssl
import stat

import aiohttp
import jwt
import msgspec
import pytest
from conftest import PASSWORDS
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from dcpi_house import (
    CLIENT_ID,
    CN,
    FACILITY,
    OTHER_CN,
    OTHER_ID,
    client_context,
    dcpi_house,
    dcpi_listener,
)
from gateway_campus import Control, FakeDoor, make_site

from pswd_edge.errors import ConfigError
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.peer import Peer, peer_of
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.roles import DCPI_SCOPES, Operation, allowed_by
from pswd_edge.gateway.security_log import Kind
from pswd_edge.gateway.server import Gateway
from pswd_edge.model.site import ApiLimits, IdentitySpec, RateSpec

ASKED = {"client_id": CLIENT_ID, "scope": ["workload:announce", "power:read", "thermal:read"],
         "facility_id": FACILITY}


class Asked:
    """As much of a request as authentication looks at, over a real certificate's fields."""

    def __init__(self, peer, *, headers=None, query=None, host="gateway.example"):
        self.protocol = type("Protocol", (), {"peer": peer})()
        self.transport, self.remote, self.path, self.host = None, "192.0.2.7", "/dcpi/api/v1/stream/x", host
        self.headers, self.query = headers or {}, query or {}


def peer(cn=CN, serial="ab1", ends_utc_s=2e9):
    return Peer(cn, serial, "f" * 64, ends_utc_s)


def clients_of(house):
    return house.gateway._identity.clients


def counted(house, kind):
    return house.gateway.services.security.intrusions.counts.get(kind, 0)


def refused(call, status):
    with pytest.raises(RefusalError) as error:
        call()
    assert error.value.status == status
    return error.value


async def token_of(house, **changes):
    answer = await house.post("/auth/token", {**ASKED, **changes}, token=None)
    assert answer.status == 200, answer.body
    return answer.body


# --- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_certificate_gets_a_token(dcpi):
    """The contract's answer, and a refresh token beyond it."""
    answer = await dcpi.post("/auth/token", ASKED, token=None)

    assert answer.status == 200
    assert set(answer.body) == {"access_token", "token_type", "expires_in", "scope", "facility_id", "refresh_token"}
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 3600)
    assert (answer.body["scope"], answer.body["facility_id"]) == (ASKED["scope"], FACILITY)


async def test_a_token_opens_what_its_scopes_say(dcpi):
    """And names the client for ledger, audit and limits."""
    body = await token_of(dcpi)
    principal = clients_of(dcpi).authenticate(
        Asked(peer(), headers={"Authorization": f"Bearer {body['access_token']}"}))

    assert (principal.name, principal.role, principal.origin) == (CLIENT_ID, "client", f"dcpi:{CLIENT_ID}")
    assert Operation.WORKLOAD_ANNOUNCE in principal.allowed
    assert Operation.THERMAL_CONTROL not in principal.allowed


@pytest.mark.parametrize(("changes", "status", "code"), [
    ({"client_id": OTHER_ID}, 401, "AUTHENTICATION_FAILED"), ({"client_id": "nobody"}, 401, "AUTHENTICATION_FAILED"),
    ({"facility_id": "elsewhere"}, 403, "AUTHORIZATION_DENIED"), ({"scope": []}, 400, "INVALID_REQUEST"),
    ({"scope": ["power:everything"]}, 400, "INVALID_REQUEST"), ({"scope": "power:read"}, 400, "INVALID_REQUEST")])
async def test_what_is_not_this_client_s_is_refused(dcpi, changes, status, code):
    """Another's id is worth nothing without its certificate."""
    answer = await dcpi.post("/auth/token", {**ASKED, **changes}, token=None)

    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    assert answer.body["error"]["request_id"] == answer.headers["X-Request-ID"]


async def test_more_scopes_than_the_table_grants_are_refused_by_name(dcpi):
    """A client must notice, instead of failing at the first command."""
    answer = await dcpi.post("/auth/token", {
        "client_id": OTHER_ID, "scope": ["power:read", "power:control", "grid:respond"], "facility_id": FACILITY},
        token=None, client_id=OTHER_ID)

    assert (answer.status, answer.body["error"]["code"]) == (403, "AUTHORIZATION_DENIED")
    assert answer.body["error"]["details"]["not_granted"] == ["power:control", "grid:respond"]
    assert counted(dcpi, Kind.SCOPE) == 1


async def test_the_certificate_name_header_is_never_believed(dcpi, capsys):
    """A forged one changes nothing, in neither direction, and is reported."""
    forged = {"X-Client-Certificate-CN": OTHER_CN}
    own = await dcpi.post("/auth/token", ASKED, token=None, headers=forged)
    others = await dcpi.post("/auth/token", {**ASKED, "client_id": OTHER_ID, "scope": ["power:read"]}, token=None,
                             headers=forged)
    right = await dcpi.post("/auth/token", ASKED, token=None, headers={"X-Client-Certificate-CN": CN})

    assert (own.status, others.status, right.status) == (200, 401, 200)
    assert counted(dcpi, Kind.CN_HEADER) == 2
    assert f"claimed={OTHER_CN}" in capsys.readouterr().out


async def test_a_token_of_another_certificate_is_worthless(dcpi):
    """Stolen tokens open nothing: each is bound to the name in its client's certificate."""
    body = await token_of(dcpi)
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    error = refused(lambda: clients_of(dcpi).authenticate(Asked(peer(OTHER_CN), headers=headers)), 401)

    assert "not of this certificate" in error.message
    assert counted(dcpi, Kind.TOKEN) == 1


async def test_tokens_of_pswd_and_dcpi_are_worth_nothing_at_each_other(dcpi):
    """Audiences differ: a scheduler is no user, and a user has no certificate."""
    pswd = f"http://127.0.0.1:{dcpi.gateway.listening[1].port}"
    login = {"username": "infrastructure_manager", "password": PASSWORDS["infrastructure_manager"],
             "role": "infrastructure_manager"}
    async with dcpi.client.post(f"{pswd}/v1/auth/login", json=login) as answer:
        user = (await answer.json())["access_token"]
    headers = {"Authorization": f"Bearer {dcpi.token()}"}
    async with dcpi.client.get(f"{pswd}/v1/system/health", headers=headers) as answer:
        there = answer.status

    assert there == 401
    refused(lambda: clients_of(dcpi).authenticate(Asked(peer(), headers={"Authorization": f"Bearer {user}"})), 401)


def status_of(house, token):
    try:
        clients_of(house).authenticate(Asked(peer(), headers={"Authorization": f"Bearer {token}"}))
    except RefusalError as error:
        return error.status
    return 200


def forgeries(house):
    """Name to token: every forgery that we know of."""
    issuer = clients_of(house)._tokens
    kid, key = issuer._ring.signing()
    good = house.token("power:read")
    claims = jwt.decode(good, options={"verify_signature": False})
    other = ed25519.Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, payload, mark = good.split(".")

    def signed(**changes):
        return jwt.encode({k: v for k, v in {**claims, **changes}.items() if v is not None}, key, "EdDSA",
                          {"kid": kid})

    start = base64.urlsafe_b64encode(f'{{"alg":"HS256","kid":"{kid}"}}'.encode()).rstrip(b"=") + b"." + payload.encode()
    mac = base64.urlsafe_b64encode(hmac.new(pem, start, hashlib.sha256).digest()).rstrip(b"=")
    none = base64.urlsafe_b64encode(f'{{"alg":"none","kid":"{kid}"}}'.encode()).rstrip(b"=").decode()
    return {
        "good": good, "alg none": f"{none}.{payload}.", "alg none signed": f"{none}.{payload}.{mark}",
        "HS256 with the public key": (start + b"." + mac).decode(),
        "foreign key": jwt.encode(claims, other, "EdDSA", {"kid": kid}),
        "foreign kid": jwt.encode(claims, other, "EdDSA", {"kid": "0" * 16}),
        "expired": signed(exp=claims["iat"] - 1), "not yet valid": signed(nbf=claims["nbf"] + 3600),
        "wrong audience": signed(aud="pswd-edge"), "wrong issuer": signed(iss="pswd-edge/elsewhere"),
        "no cn": signed(cn=None), "another cn": signed(cn=OTHER_CN), "another client": signed(sub=OTHER_ID),
        "no family": signed(fam=None), "foreign family": signed(fam="0" * 16), "role": signed(role="grid_operator"),
        "scope as text": signed(scope="power:control"), "payload swapped": f"{head}.{payload[:-4]}AAAA.{mark}",
    }


async def test_only_the_good_token_is_taken(dcpi):
    """Each forgery is refused and counted."""
    found = forgeries(dcpi)
    statuses = {name: status_of(dcpi, token) for name, token in found.items()}

    assert statuses == dict.fromkeys(found, 401) | {"good": 200}
    assert counted(dcpi, Kind.TOKEN) + counted(dcpi, Kind.EXPIRED) == len(found) - 1


async def test_a_scope_in_a_token_is_worth_no_more_than_in_the_table(dcpi):
    """A scope that was taken from the client is gone from its tokens at once."""
    token = dcpi.token("power:read", "grid:respond")
    ClientTable(dcpi.state_dir).bind(CLIENT_ID, CN, ["power:read"])
    principal = clients_of(dcpi).authenticate(Asked(peer(), headers={"Authorization": f"Bearer {token}"}))

    assert principal.allowed == DCPI_SCOPES["power:read"]


async def test_a_scope_that_was_taken_does_not_come_back_by_refreshing(dcpi):
    """The answer says what the new token really has."""
    body = await token_of(dcpi, scope=["power:read", "grid:respond"])
    ClientTable(dcpi.state_dir).bind(CLIENT_ID, CN, ["power:read"])
    answer = await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)

    assert (answer.status, answer.body["scope"]) == (200, ["power:read"])


# --- refresh ----------------------------------------------------------------------------------------------------------


async def test_refresh_tokens_rotate(dcpi):
    """Each is good once, and the next one comes with the answer."""
    first = await token_of(dcpi)
    second = await dcpi.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    third = await dcpi.post("/auth/refresh", {"refresh_token": second.body["refresh_token"]}, token=None)

    assert (second.status, third.status) == (200, 200)
    assert second.body["scope"] == ASKED["scope"]
    assert len({body["refresh_token"] for body in (first, second.body, third.body)}) == 3


async def test_a_replayed_refresh_token_ends_its_whole_family(dcpi, capsys):
    """Somebody has stolen one of the two: neither the thief nor the client may go on with it."""
    first = await token_of(dcpi)
    second = (await dcpi.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, token=None)).body
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    before = clients_of(dcpi).authenticate(Asked(peer(), headers=bearer))
    replayed = await dcpi.post("/auth/refresh", {"refresh_token": first["refresh_token"]}, token=None)
    newest = await dcpi.post("/auth/refresh", {"refresh_token": second["refresh_token"]}, token=None)

    assert before.name == CLIENT_ID
    assert (replayed.status, newest.status) == (401, 401)
    refused(lambda: clients_of(dcpi).authenticate(Asked(peer(), headers=bearer)), 401)
    assert counted(dcpi, Kind.REPLAY) == 1
    assert "refresh token replayed" in capsys.readouterr().out


async def test_another_s_refresh_token_ends_the_family_too(dcpi):
    """It has leaked, whoever shows it."""
    body = await token_of(dcpi)
    stolen = await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None, client_id=OTHER_ID)
    own = await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)

    assert (stolen.status, own.status) == (401, 401)


async def test_an_invented_refresh_token_ends_no_family(dcpi):
    """The family's id stands in every access token: it must not be enough to throw a client out."""
    body = await token_of(dcpi)
    word, family, secret, seal = body["refresh_token"].split(".")
    for invented in (f"{word}.{family}.{'A' * 43}.{seal}", f"{word}.{family}.{secret}.{'0' * 32}", "dcpi.a.b.c", "x",
                     f"{word}.{family}.{secret}", "dcpi.é.b.c"):
        answer = await dcpi.post("/auth/refresh", {"refresh_token": invented}, token=None)
        assert (invented, answer.status) == (invented, 401)

    assert (await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)).status == 200


async def test_two_uses_at_once_are_one_use_and_a_replay(dcpi):
    """A race must not give two families."""
    body = await token_of(dcpi)
    answers = await asyncio.gather(*(
        dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None) for _ in range(2)))

    assert sorted(answer.status for answer in answers) == [200, 401]


async def test_a_family_ends_after_a_day(dcpi):
    """Then the certificate has to be shown again."""
    body = await token_of(dcpi)
    dcpi.control.clock.advance(86_401)
    dcpi.control.run()

    assert (await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)).status == 401


async def test_families_are_kept_hashed_and_bounded(dcpi, monkeypatch):
    """The file opens nothing, and a client that never refreshes does not fill it."""
    monkeypatch.setattr("pswd_edge.gateway.families.FAMILIES_MAX", 3)
    bodies = [await token_of(dcpi) for _ in range(5)]
    path = dcpi.state_dir / "refresh-families.json"
    newest = bodies[-1]["refresh_token"]
    first = await dcpi.post("/auth/refresh", {"refresh_token": bodies[0]["refresh_token"]}, token=None)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert newest.split(".")[2] not in path.read_text()
    assert len(clients_of(dcpi)._families.all()) == 3
    assert first.status == 401


async def test_a_family_survives_a_restart(dcpi, tmp_path, state_dir, tls):
    """What was answered is on disk."""
    body = await token_of(dcpi)
    async with dcpi_house(tmp_path / "again", state_dir, tls) as again:
        assert (await again.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)).status == 200


# --- certificates -----------------------------------------------------------------------------------------------------


def self_signed(folder, cn=CN, *, issuer=None, purpose=x509.ExtendedKeyUsageOID.CLIENT_AUTH, ends_in_s=3600):
    """A certificate with the right name and the wrong signature, or of an authority (`issuer`: its folder)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, part) for part in ([cn] if cn else [])])
    signer, signer_name = key, name
    if issuer:
        signer = serialization.load_pem_private_key((issuer / "ca-key.pem").read_bytes(), None)
        signer_name = x509.load_pem_x509_certificate((issuer / "ca.pem").read_bytes()).subject
    now = dt.datetime.now(dt.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(signer_name).public_key(key.public_key())
            .serial_number(4711).not_valid_before(now - dt.timedelta(hours=2))
            .not_valid_after(now + dt.timedelta(seconds=ends_in_s))
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False).sign(signer, hashes.SHA256()))
    (folder / "own.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "own.pem")


def shown(tls, folder, **how):
    context = client_context(tls, None)
    context.load_cert_chain(self_signed(folder, **how))
    return context


def old_tls(tls):
    context = client_context(tls)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


HANDSHAKES = {
    "no certificate": lambda tls, _: client_context(tls, None),
    "self-signed with the right name": shown,
    "a server's certificate": lambda tls, folder: shown(tls, folder, issuer=tls,
                                                        purpose=x509.ExtendedKeyUsageOID.SERVER_AUTH),
    "expired": lambda tls, folder: shown(tls, folder, issuer=tls, ends_in_s=-60),
    "TLS 1.2": lambda tls, _: old_tls(tls),
}


@pytest.mark.parametrize("how", HANDSHAKES)
async def test_a_handshake_without_a_good_certificate_fails(dcpi, tls, tmp_path, how, capsys):
    """No request is read; it is counted and logged."""
    with pytest.raises((aiohttp.ClientError, OSError)):
        await dcpi.post("/auth/token", ASKED, token=None, ssl=HANDSHAKES[how](tls, tmp_path))

    assert counted(dcpi, Kind.HANDSHAKE) == 1
    assert "tls handshake refused" in capsys.readouterr().out
    assert (await dcpi.post("/auth/token", ASKED, token=None)).status == 200


async def test_plain_text_on_the_port_is_counted_too(dcpi):
    """A scanner's usual first try."""
    with pytest.raises(aiohttp.ClientError):
        await dcpi.client.get(f"http://127.0.0.1:{dcpi.port}/")

    assert counted(dcpi, Kind.HANDSHAKE) >= 1      # the client tries twice


async def test_tls_1_3_is_spoken_and_no_session_is_resumed(dcpi):
    """A resumed session would carry a certificate that has expired since."""
    reader, writer = await asyncio.open_connection("127.0.0.1", dcpi.port, ssl=dcpi.contexts[CLIENT_ID])
    writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await reader.read()
    tls_object = writer.get_extra_info("ssl_object")
    writer.close()

    assert tls_object.version() == "TLSv1.3"
    assert not tls_object.session or not tls_object.session.has_ticket


@pytest.mark.parametrize("how", [{"cn": "stranger"}, {"cn": ""}])
async def test_a_certificate_that_is_bound_to_nobody_opens_nothing(dcpi, tls, tmp_path, how):
    """The authority says who it is; only the table says that it may come in."""
    context = shown(tls, tmp_path, issuer=tls, **how)
    answer = await dcpi.post("/auth/token", ASKED, token=None, ssl=context)

    assert (answer.status, answer.body["error"]["code"]) == (401, "AUTHENTICATION_FAILED")
    assert counted(dcpi, Kind.CLIENT) == 1


@pytest.mark.parametrize("how", ["disable", "revoke", "pin"])
async def test_taking_a_certificate_back_works_from_the_next_request_on(dcpi, tls, how):
    """On connections that are open, and without a restart."""
    body = await token_of(dcpi)
    made = x509.load_pem_x509_certificate((tls / f"clients/{CLIENT_ID}.pem").read_bytes())
    table = ClientTable(dcpi.state_dir)
    if how == "disable":
        table.set_disabled(CLIENT_ID, disabled=True)
    elif how == "revoke":
        table.revoke_serials([f"{made.serial_number:040X}"])
    else:
        table.bind(CLIENT_ID, CN, ASKED["scope"], ["AA:" * 31 + "AA"])
    token = await dcpi.post("/auth/token", ASKED, token=None)
    refresh = await dcpi.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)

    assert (token.status, refresh.status) == (401, 401)


async def test_a_pinned_certificate_is_taken(dcpi, tls):
    """Fingerprints narrow a name to certificates."""
    made = x509.load_pem_x509_certificate((tls / f"clients/{CLIENT_ID}.pem").read_bytes())
    ClientTable(dcpi.state_dir).bind(CLIENT_ID, CN, ASKED["scope"], [made.fingerprint(hashes.SHA256()).hex()])

    assert (await dcpi.post("/auth/token", ASKED, token=None)).status == 200


async def test_a_certificate_that_ends_during_a_connection_is_refused(dcpi):
    """TLS looks at the date once, at the handshake."""
    ends = dcpi.control.clock.utc_s() + 1
    token = {"Authorization": f"Bearer {dcpi.token()}"}
    asked = Asked(peer(ends_utc_s=ends), headers=token)
    clients_of(dcpi).authenticate(asked)
    dcpi.control.clock.advance(2)

    refused(lambda: clients_of(dcpi).authenticate(asked), 401)


def test_without_tls_nobody_has_a_certificate():
    """Whatever headers say."""
    class Plain:
        protocol, headers = type("P", (), {})(), {"X-Client-Certificate-CN": CN}
        transport = type("T", (), {"get_extra_info": lambda self, name: None})()

    assert peer_of(Plain()) is None


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_on_a_stream_the_certificate_is_the_identity(dcpi):
    """A browser cannot send a bearer with a WebSocket; all that the table grants is allowed."""
    principal = clients_of(dcpi).authenticate_stream(Asked(peer(OTHER_CN)))

    assert (principal.name, principal.allowed) == (OTHER_ID, allowed_by(["power:read", "system:read"]))


async def test_a_bearer_on_a_stream_must_match(dcpi):
    """One that is sent narrows; one of another client, or a bad one, refuses."""
    headers = {"Authorization": f"Bearer {dcpi.token('power:read')}"}
    principal = clients_of(dcpi).authenticate_stream(Asked(peer(), headers=headers))

    assert principal.allowed == DCPI_SCOPES["power:read"]
    for bad in (Asked(peer(OTHER_CN), headers=headers), Asked(peer(), headers={"Authorization": "Bearer x"}),
                Asked(peer(), headers={"Authorization": "Basic eDp5"}), Asked(peer(), headers={"Authorization": ""})):
        refused(lambda bad=bad: clients_of(dcpi).authenticate_stream(bad), 401)


@pytest.mark.parametrize("word", ["token", "access_token", "refresh_token"])
async def test_a_credential_in_the_url_is_refused(dcpi, word):
    """URLs are logged everywhere: on streams and on all else."""
    for authenticate in (clients_of(dcpi).authenticate_stream, clients_of(dcpi).authenticate):
        refused(lambda ask=authenticate: ask(Asked(peer(), query={word: "x"})), 400)

    assert counted(dcpi, Kind.URL) == 2


@pytest.mark.parametrize(("origin", "good"), [
    ("https://gateway.example", True), ("https://console.example:8444", True), ("http://gateway.example", False),
    ("https://gateway.example.evil.example", False), ("https://evil.example", False), ("null", False), ("", False),
    ("https://gateway.example:444", False), ("https://gateway.example/path", False)])
async def test_only_pages_of_the_gateway_open_streams(tmp_path, state_dir, tls, origin, good):
    """Else any page that a scheduler's browser visits could read along with its certificate."""
    spec = IdentitySpec(origins=("https://console.example:8444",))
    async with dcpi_house(tmp_path, state_dir, tls, identity=spec) as house:
        asked = Asked(peer(), headers={"Origin": origin})
        if good:
            assert clients_of(house).authenticate_stream(asked).name == CLIENT_ID
        else:
            refused(lambda: clients_of(house).authenticate_stream(asked), 403)
            assert counted(house, Kind.ORIGIN) == 1


# --- the listener -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [
    {"client_ca": None}, {"profiles": ("dcpi", "pswd")}, {"tls_certificate": None}, {"client_ca": "/nowhere/ca.pem"}])
async def test_dcpi_without_client_certificates_does_not_start(tmp_path, state_dir, tls, changes):
    """Half a lock is none, whatever the compiled site says."""
    listener = msgspec.structs.replace(dcpi_listener(tls), **changes)
    control = Control(tmp_path / "run", make_site(listeners=(listener,)))
    gateway = Gateway(LiveImage(tmp_path / "run", control.clock), FakeDoor(), state_dir, control.clock)

    with pytest.raises(ConfigError):
        await gateway.open(tmp_path / "rows")


async def test_the_lifetimes_are_the_site_s(tmp_path, state_dir, tls):
    """An hour is the contract's example, not a law."""
    spec = IdentitySpec(access_lifetime_s=600, refresh_lifetime_s=3600)
    async with dcpi_house(tmp_path, state_dir, tls, identity=spec) as house:
        body = await token_of(house)
        house.control.clock.advance(3601)
        late = await house.post("/auth/refresh", {"refresh_token": body["refresh_token"]}, token=None)

    assert body["expires_in"] == 600
    assert late.status == 401


async def test_health_can_tell_what_was_refused_and_when_the_certificate_ends(dcpi, tls):
    """DCPI's system/health shows both."""
    await dcpi.post("/auth/token", {**ASKED, "client_id": OTHER_ID}, token=None)
    security = dcpi.gateway.services.security
    made = x509.load_pem_x509_certificate((tls / "server.pem").read_bytes())

    assert security.intrusions.attempts == 1
    assert security.certificate_ends_utc_s() == made.not_valid_after_utc.timestamp()


async def test_an_expired_token_is_no_attack(dcpi):
    """Every client meets one once an hour: the figure would mean nothing."""
    token = dcpi.token()
    dcpi.control.clock.advance(3601)
    refused(lambda: clients_of(dcpi).authenticate(Asked(peer(), headers={"Authorization": f"Bearer {token}"})), 401)

    assert counted(dcpi, Kind.EXPIRED) == 1
    assert dcpi.gateway.services.security.intrusions.attempts == 0


async def test_a_certificate_has_rates_of_its_own_before_it_has_a_token(tmp_path, state_dir, tls):
    """The contract limits each client certificate: one scheduler behind a proxy must not shut the others out."""
    async with dcpi_house(tmp_path, state_dir, tls, api_limits=ApiLimits(authentication=RateSpec(10.0, 3))) as house:
        wrong = {**ASKED, "client_id": "nobody"}
        tries = [(await house.post("/auth/token", wrong, token=None)).status for _ in range(4)]
        other = await house.post("/auth/token", {**ASKED, "client_id": OTHER_ID, "scope": ["power:read"]}, token=None,
                                 client_id=OTHER_ID)

    assert tries == [401, 401, 401, 429]
    assert other.status == 200
