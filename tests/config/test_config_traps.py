"""The block `snmp_traps` of a site file."""

from pathlib import Path

from pswd_edge.config import check_site, load_site
from pswd_edge.model.site import TrapSpec

SMALL = (Path(__file__).parent / "small.yaml").read_text()


def site(folder: Path, block: str, old: str = "", new: str = "") -> Path:
    path = folder / "site.yaml"
    path.write_text((SMALL.replace(old, new) if old else SMALL) + block)
    return path


def test_port_and_community_have_careful_defaults(tmp_path: Path) -> None:
    """10162 needs no privilege, and a community in clear is not taken unless somebody asks for it."""
    assert load_site(site(tmp_path, ""), {}).snmp_traps is None
    assert load_site(site(tmp_path, "snmp_traps: {host: 10.20.0.2}\n"), {}).snmp_traps == TrapSpec("10.20.0.2", 10162)
    block = "snmp_traps: {host: 127.0.0.1, port: 162, v2c: true}\n"
    assert load_site(site(tmp_path, block), {}).snmp_traps == TrapSpec("127.0.0.1", 162, v2c=True)


def test_traps_that_nobody_can_send_are_a_mistake(tmp_path: Path) -> None:
    """A port that is open for nothing is open for strangers only."""
    v3 = 'version: "3", username: pswd'
    old = 'version: "2c", community_secret: "file:/run/secret"'

    (found,) = check_site(site(tmp_path, "snmp_traps: {host: 127.0.0.1, v2c: true}\n", old, v3), {}).problems

    assert found.endswith("snmp_traps.v2c: got true: expected a connection with version 2c, or false")
