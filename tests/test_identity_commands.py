"""`pswd-edge user`, `token` and `cert`: what an administrator types, and what is never printed."""

import io
import json
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pswd_edge.cli import main
from pswd_edge.clock import SystemClock
from pswd_edge.gateway.clients import ClientTable
from pswd_edge.gateway.families import Families
from pswd_edge.gateway.keys import KeyStore
from pswd_edge.gateway.signing import KeyRing
from pswd_edge.gateway.users import UserStore

PASSWORD = "correct-horse-battery"


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Runs a command on a state folder and an authority of its own; gives exit status, output and errors."""

    def run(*words, password=PASSWORD):
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        more = ["--state-dir", str(tmp_path / "state")]
        if words[0] == "cert":
            more += ["--folder", str(tmp_path / "tls")]
        if words[:2] in (("user", "add"), ("user", "passwd")):
            more.append("--password-stdin")
        status = main([*words, *more])
        out, err = capsys.readouterr()
        return status, out, err

    run.state, run.tls = tmp_path / "state", tmp_path / "tls"
    return run


# --- users ------------------------------------------------------------------------------------------------------------


def test_a_user_s_life(typed):
    """From add to remove, each seen by a store that is open already."""
    store = UserStore(typed.state)
    assert typed("user", "add", "alice", "--role", "grid_operator")[0] == 0
    assert store.verify("alice", PASSWORD, "grid_operator")
    assert typed("user", "passwd", "alice", password="another-long-password")[0] == 0
    assert store.verify("alice", "another-long-password", "grid_operator")
    typed("user", "role", "alice", "--role", "municipal_utility")
    typed("user", "disable", "alice")
    listed = json.loads(typed("user", "list", "--json")[1])
    assert listed == {"users": [{"name": "alice", "roles": ["municipal_utility"], "disabled": True}]}
    typed("user", "enable", "alice")
    assert "enabled" in typed("user", "list")[1]
    typed("user", "remove", "alice")
    assert store.empty


@pytest.mark.parametrize(("words", "said"), [
    (("user", "list", "alice"), "expected no name"), (("user", "remove"), "expected the name of a user"),
    (("user", "remove", "bob"), "got 'bob': expected one of none"), (("user", "add", "bob"), "roles: got none"),
    (("user", "disable", "bob", "--role", "grid_operator"), "got --role"),
    (("token", "create"), "expected a name for the key"), (("token", "list", "x"), "expected no name"),
    (("token", "create", "a"), "role: got ''"), (("cert", "server"), "expected at least one"),
    (("cert", "client", "a", "b"), "got 2 names: expected one"), (("cert", "init", "a"), "expected none"),
    (("cert", "revoke", "xyz"), "serial: got 'xyz'"),
    (("cert", "disable", "a"), "client: got 'a': expected one of none"),
    (("cert", "bind", "a"), "scopes: got none"), (("cert", "list", "--scope", "power:read"), "got --scope")])
def test_a_mistake_is_said_and_nothing_is_done(typed, words, said):
    """Exit status 2, and the place, what was found and what was expected."""
    status, out, err = typed(*words)

    assert (status, out) == (2, "")
    assert said in err


def test_a_password_is_never_printed(typed):
    """Not when it is good, and not when it is too short."""
    texts = [*typed("user", "add", "alice", "--role", "grid_operator"),
             *typed("user", "add", "alice", "--role", "grid_operator", password="shorty")]

    assert not [text for text in texts if PASSWORD in str(text) or "shorty" in str(text)]


# --- keys and tokens --------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_revoked_by_its_id(typed):
    """The list has everything but the secret."""
    made = json.loads(typed("token", "create", "scada", "--role", "grid_operator", "--scope", "power:read",
                            "--days", "30", "--json")[1])
    keys = KeyStore(typed.state, SystemClock())
    state = keys.look(made["key"]).state
    listed, plain = typed("token", "list", "--json")[1], typed("token", "list")[1]
    revoked = typed("token", "revoke", made["id"])

    assert state == "good"
    assert made["key"].rpartition("_")[2] not in listed + plain
    assert json.loads(listed)["keys"][0]["scopes"] == ["power:read"]
    assert (revoked[0], keys.look(made["key"]).state) == (0, "revoked")


def test_families_are_listed_and_ended(typed):
    """A scheduler that was broken into loses its tokens without losing its certificate."""
    families = Families(typed.state, SystemClock())
    family = families.begin("scheduler-01", ("power:read",))
    listed = json.loads(typed("token", "list", "--json")[1])["families"]
    status, out, _ = typed("token", "revoke", family.id)

    assert [(f["id"], f["client_id"]) for f in listed] == [(family.id, "scheduler-01")]
    assert (status, families.all()) == (0, {})
    assert "family" in out


def test_a_token_is_revoked_by_its_id_and_nothing_else_is(typed):
    """A typing mistake must not pass for success."""
    assert typed("token", "revoke", "ab" * 16)[0] == 0
    assert typed("token", "revoke", "nonsense")[0] == 1


def test_the_signing_key_is_rotated_under_a_running_gateway(typed):
    """It notices by itself, and its new tokens name the new key."""
    ring = KeyRing(typed.state, SystemClock())
    before = ring.signing()[0]
    said = json.loads(typed("token", "rotate-key", "--json")[1])["kid"]
    kept = ring.public(before)
    typed("token", "rotate-key", "--compromised")

    assert ring.signing()[0] not in (before, said)
    assert kept is not None
    assert (ring.public(before), ring.public(said)) == (None, None)


# --- certificates -----------------------------------------------------------------------------------------------------


def made(path):
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def test_an_authority_and_its_certificates_are_good_and_private(typed):
    """Purposes, lifetimes, modes; and no key in any output."""
    outputs = [typed("cert", "init"), typed("cert", "server", "gateway.example", "127.0.0.1"),
               typed("cert", "client", "scheduler-01", "--cn", "sched.example.com", "--scope", "power:read")]
    server, client = made(typed.tls / "server.pem"), made(typed.tls / "clients/scheduler-01.pem")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    purposes = [list(c.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for c in (server, client)]
    keys = [typed.tls / "ca-key.pem", typed.tls / "server-key.pem", typed.tls / "clients/scheduler-01-key.pem"]

    assert [status for status, _, _ in outputs] == [0, 0, 0]
    assert names.get_values_for_type(x509.DNSName) == ["gateway.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert purposes == [[ExtendedKeyUsageOID.SERVER_AUTH], [ExtendedKeyUsageOID.CLIENT_AUTH]]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600] * 3
    assert all("PRIVATE" not in text for _, out, err in outputs for text in (out, err))
    assert ClientTable(typed.state).all()["scheduler-01"].cn == "sched.example.com"
    authority = made(typed.tls / "ca.pem").extensions.get_extension_for_class(x509.BasicConstraints)
    assert (authority.value.ca, authority.value.path_length, authority.critical) == (True, 0, True)


def test_an_authority_is_not_made_twice_and_days_are_bounded(typed):
    """The first one's certificates would become worthless."""
    typed("cert", "init")
    again = typed("cert", "init")
    long = typed("cert", "server", "a.example", "--days", "826")

    assert (again[0], long[0]) == (2, 2)
    assert "is there already" in again[2]
    assert "at most 825" in long[2]


def test_without_an_authority_nothing_is_signed(typed):
    """And the next step is said."""
    status, _, err = typed("cert", "server", "a.example")

    assert status == 1
    assert "make one with: pswd-edge cert init" in err


def handshake(tls, context, name):
    """A client's certificate, or an error, between two ends in memory."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(tls / "server.pem", tls / "server-key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


def test_an_authority_can_be_limited_to_a_domain(typed):
    """A key that leaked can then speak for nobody else."""
    typed("cert", "init", "--permit", "site.example")
    context = ssl.create_default_context(cafile=str(typed.tls / "ca.pem"))
    typed("cert", "server", "gateway.site.example")
    good = handshake(typed.tls, context, "gateway.site.example")
    typed("cert", "server", "gateway.elsewhere.example")

    assert good == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(typed.tls, context, "gateway.elsewhere.example")


def test_certificates_of_elsewhere_are_bound_revoked_and_listed(typed):
    """A site with an authority of its own needs the table alone."""
    typed("cert", "bind", "scheduler-02", "--cn", "sched02.example.com", "--scope", "power:read",
          "--fingerprint", "AB:" * 31 + "AB")
    typed("cert", "revoke", "00AB12")
    typed("cert", "disable", "scheduler-02")
    listed = json.loads(typed("cert", "list", "--json")[1])
    table = typed("cert", "list")[1]
    typed("cert", "enable", "scheduler-02")

    assert listed == {"certificates": [], "revoked_serials": ["ab12"], "clients": [
        {"client_id": "scheduler-02", "cn": "sched02.example.com", "scopes": ["power:read"],
         "fingerprints": ["ab" * 32], "disabled": True}]}
    assert "disabled" in table
    assert not ClientTable(typed.state).all()["scheduler-02"].disabled


def test_a_revoked_certificate_of_our_own_is_listed_as_such(typed):
    """By the serial number that the list shows."""
    typed("cert", "init")
    serial = json.loads(typed("cert", "client", "a", "--scope", "power:read", "--json")[1])["serial"]
    typed("cert", "revoke", serial)

    assert [c["revoked"] for c in json.loads(typed("cert", "list", "--json")[1])["certificates"]] == [True]
