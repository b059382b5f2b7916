"""What a site file says of client certificates and of tokens."""

from pathlib import Path

import pytest

from pswd_edge.config import check_site, load_site
from pswd_edge.model.site import IdentitySpec

SMALL = (Path(__file__).parent / "small.yaml").read_text()
OLD = "  - {host: 127.0.0.1, port: 8080, profiles: [pswd]}\n"
TLS = "tls_certificate: /c.pem, tls_key: /k.pem"


def site(folder: Path, line: str, block: str = "") -> Path:
    path = folder / "site.yaml"
    path.write_text(SMALL.replace(OLD, OLD + f"  - {{port: 8443, {line}}}\n") + block)
    return path


@pytest.mark.parametrize(("line", "expected"), [
    ("profiles: [dcpi]", "'dcpi' without client certificates: expected tls_certificate, tls_key and client_ca"),
    (f"profiles: [dcpi], {TLS}", "'dcpi' without client certificates"),
    (f"profiles: [dcpi, pswd], {TLS}, client_ca: /a.pem", "'dcpi' beside another: expected 'dcpi' alone"),
    ("profiles: [pswd], client_ca: /a.pem", "client_ca without TLS: expected tls_certificate and tls_key")])
def test_half_a_lock_is_a_mistake(tmp_path: Path, line: str, expected: str) -> None:
    """DCPI knows its clients by certificate alone."""
    (found,) = check_site(site(tmp_path, line), {}).problems

    assert expected in found
    assert "listeners[1]" in found


def test_a_dcpi_listener_keeps_its_authority(tmp_path: Path) -> None:
    """It reaches the gateway by the compiled site."""
    listener = load_site(site(tmp_path, f"profiles: [dcpi], {TLS}, client_ca: /a.pem"), {}).listeners[1]

    assert (listener.profiles, listener.client_ca) == (("dcpi",), "/a.pem")


def test_lifetimes_and_origins_reach_the_site(tmp_path: Path) -> None:
    """And an hour and a day are what they are without."""
    block = "identity: {access_lifetime_s: 900, refresh_lifetime_s: 7200, origins: ['https://console.example:8444']}\n"

    assert load_site(site(tmp_path, "profiles: [edge]"), {}).identity == IdentitySpec(3600, 86_400, ())
    assert load_site(site(tmp_path, "profiles: [edge]", block), {}).identity == IdentitySpec(
        900, 7200, ("https://console.example:8444",))


@pytest.mark.parametrize("block", [
    "access_lifetime_s: 7200", "access_lifetime_s: 10", "refresh_lifetime_s: 60", "origins: ['http://a.example']",
    "origins: ['*']", "origins: ['https://a.example/path']", "origins: ['null']"])
def test_what_would_weaken_it_is_a_mistake(tmp_path: Path, block: str) -> None:
    """No token lives over an hour; no origin is everybody."""
    assert len(check_site(site(tmp_path, "profiles: [edge]", f"identity: {{{block}}}\n"), {}).problems) == 1
