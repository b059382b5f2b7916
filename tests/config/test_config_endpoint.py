from pathlib import Path

import pytest

from pswd_edge.config.check import check_site
from pswd_edge.config.load import load_site
from pswd_edge.model.site import OutsideEndpoint

DEMO = Path(__file__).parents[2] / "config" / "demo.yaml"
SECRETS = {"PSWD_SECRETS_DIR": "/run/secrets-of-a-test"}


def _problems(tmp_path: Path, endpoint: str) -> list[str]:
    before = "http://127.0.0.1:${PSWD_OPERATOR_PORT:-15090}/grid"
    text = DEMO.read_text()
    assert before in text
    site = tmp_path / "site.yaml"
    site.write_text(text.replace(f'"{before}"', endpoint))
    return check_site(site, SECRETS).problems


def test_endpoints_are_compiled_without_the_secret_itself() -> None:
    """The compiled site lies in a file that both processes read: it names secrets and holds none."""
    site = load_site(DEMO, SECRETS)
    assert site.grid_endpoint == OutsideEndpoint("http://127.0.0.1:15090/grid",
                                                 "file:/run/secrets-of-a-test/grid-operator")
    assert site.heat_endpoint is not None
    assert site.heat_endpoint.url == "http://127.0.0.1:15090/heat"


@pytest.mark.parametrize(("endpoint", "said"), [
    ("http://operator.example/v1", "without TLS"),
    ("ftp://127.0.0.1/v1", "no address"),
    ("https:///v1", "no address"),
    ("https://host:99999/v1", "no address"),
    ('"https://host/v1?key=1"', "no address"),
    ("https://user:word@host/v1", "a user or password"),
    ('"http://127.0.0.1/v1", tls_ca: ca.pem', "an authority"),
])
def test_an_address_that_would_leak_or_fail_is_refused(tmp_path: Path, endpoint: str, said: str) -> None:
    """A token that leaves the machine in the clear is everybody's token."""
    found = _problems(tmp_path, endpoint)
    assert len(found) == 1
    assert said in found[0]
    assert "user:word" not in found[0]


def test_https_beyond_loopback_is_accepted(tmp_path: Path) -> None:
    """The form of a real site."""
    assert _problems(tmp_path, "https://operator.example:8443/api/v1") == []
