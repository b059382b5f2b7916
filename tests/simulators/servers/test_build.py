"""From a site to servers."""

from pathlib import Path

import pytest

from pswd_edge.config.load import load_site
from simulators.servers.build import refresh_periods

SITE = load_site(Path("config/demo.yaml"), {})


def test_refresh_periods_are_the_devices_own_unless_told():
    """A name that does not exist is a mistake, not an option without effect."""
    periods = refresh_periods(SITE, {"pcc": 200})

    assert (periods["pcc"], periods["bess-2"], periods["feeder-a"], periods["ups-1"]) == (200, 10, 200, 1000)
    with pytest.raises(ValueError, match="no device ppc"):
        refresh_periods(SITE, {"ppc": 10})
