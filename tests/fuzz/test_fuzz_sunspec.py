"""A part of the SunSpec fuzz in every run of the tests."""

import pytest

from tests.fuzz.sunspec import fuzz


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_lying_sunspec_device_is_never_believed(seed: int) -> None:
    """Moved, cut, refused or silent: no crash, no endless walk, and no register of another model."""
    answered, failed = await fuzz(5_000, seed)
    assert answered > 100
    assert failed > 100
