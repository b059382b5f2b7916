"""The block `api_limits` and the origins of a listener."""

from pathlib import Path

import pytest

from pswd_edge.config import check_site, load_site
from pswd_edge.model.site import ApiLimits, RateSpec

SMALL = (Path(__file__).parent / "small.yaml").read_text()


def site(folder: Path, block: str, old: str = "", new: str = "") -> Path:
    path = folder / "site.yaml"
    path.write_text((SMALL.replace(old, new) if old else SMALL) + block)
    return path


def test_what_is_left_out_is_the_documented_rate(tmp_path: Path) -> None:
    """A site names what it wants otherwise, and no more."""
    assert load_site(site(tmp_path, ""), {}).api_limits == ApiLimits()
    block = "api_limits: {connections_per_address: 64, monitoring: {per_minute: 1200, burst: 2000}}\n"

    assert load_site(site(tmp_path, block), {}).api_limits == ApiLimits(
        connections_per_address=64, monitoring=RateSpec(1200, 2000))


@pytest.mark.parametrize(("block", "end"), [
    ("{connections: 0}", "connections: got 0: expected 1 or more"),
    ("{grid: {per_minute: 0, burst: 4}}", "grid.per_minute: got 0: expected more than 0"),
    ("{grid: {per_minute: 20}}", "grid.burst: got nothing: expected a value"),
    ("{logins: {per_minute: 20, burst: 4}}", "logins")])
def test_limits_that_let_nobody_in_are_a_mistake(tmp_path: Path, block: str, end: str) -> None:
    """Found by `check`, not by the first client."""
    (found,) = check_site(site(tmp_path, f"api_limits: {block}\n"), {}).problems

    assert end in found


@pytest.mark.parametrize(("origin", "good"), [
    ("https://desk.example", True), ("http://127.0.0.1:8080", True), ("https://[2001:db8::1]:8443", True),
    ("*", False), ("null", False), ("https://desk.example/", False), ("https://*.example", False),
    ("desk.example", False), ("https://Desk.example", False), ("file://x", False)])
def test_an_origin_is_one_that_a_browser_would_send(tmp_path: Path, origin: str, good: bool) -> None:
    """Exact: a pattern or a slash would never match, or match too much."""
    path = site(tmp_path, "", "profiles: [pswd]", f'profiles: [pswd], cors_origins: ["{origin}"]')
    problems = check_site(path, {}).problems

    assert (problems == []) is good, problems
    if good:
        assert load_site(path, {}).listeners[0].cors_origins == (origin,)
