"""The image as the services see it, and the resampling of its ring."""

import asyncio
import shutil

import numpy as np
import pytest
from gateway_campus import Control, make_site

from pswd_edge.errors import ImageError
from pswd_edge.gateway.live import LiveImage, PerSite
from pswd_edge.gateway.services.resampling import interval_means
from pswd_edge.image.notify import RowBell


@pytest.fixture
def live(tmp_path, control):
    return LiveImage(tmp_path / "run", control.clock)


def test_no_image_is_said(tmp_path):
    """The gateway then waits for control."""
    with pytest.raises(ImageError, match="is the control process running"):
        LiveImage(tmp_path)


def test_the_report_is_decoded_once_a_cycle(live, control):
    """Twenty requests a cycle must not decode it twenty times."""
    first = live.report()
    assert live.report() is first
    control.run()
    assert live.report() is not first
    assert live.report().cycle == control.cycle


def test_a_beat_in_the_moment_of_looking_is_no_beat_to_come(tmp_path, control):
    """Control runs beside the gateway: one answer in thousands was refused for a beat that was a microsecond new."""

    class Beating:
        def monotonic_s(self):
            now_s = control.clock.monotonic_s()
            control.writer.beat(now_s + 1e-6)
            return now_s

    assert LiveImage(tmp_path / "run", Beating()).alive


def test_before_the_first_cycle_nothing_is_alive(tmp_path):
    """A fresh image holds zeros, not values."""
    control = Control(tmp_path / "run")
    live = LiveImage(tmp_path / "run", control.clock)

    assert not live.alive
    assert live.report() is None
    assert live.value(0) is None


@pytest.mark.parametrize(("age_s", "alive"), [(0.0, True), (0.99, True), (1.01, False)])
def test_control_is_alive_for_a_second_after_its_beat(live, control, age_s, alive):
    """Ten missed cycles are no hiccup."""
    control.clock.advance(age_s)

    assert live.alive is alive
    assert (live.value(0) is not None) is alive
    assert (live.report() is not None) is alive


def test_a_bad_value_is_none_even_where_a_number_lies(live, control):
    """Quality decides, whatever the number."""
    control.quality[0] = 2
    control.run()

    assert live.value(0) is None
    assert live.value(1) == 49.98


def test_a_new_generation_is_followed(tmp_path, live, control):
    """Control restarts with another site: values, indices and anything made from the site follow."""
    names = PerSite(live, lambda site: site.name)
    assert names.get() == (live.reader, "Test campus")
    old = live.reader
    again = Control(tmp_path / "run", make_site(name="Changed"), control.clock)
    again.run()

    assert live.follow()
    assert not live.follow()
    assert live.site.name == "Changed"
    assert names.get() == (live.reader, "Changed")
    assert live.alive
    assert old.site.name == "Test campus"


def test_a_runtime_folder_made_anew_is_followed(tmp_path, live, control):
    """systemd empties it between two runs: the new image has the old one's generation number."""
    shutil.rmtree(tmp_path / "run")
    assert not live.follow()
    control.clock.advance(5)
    assert not live.alive
    again = Control(tmp_path / "run", clock=control.clock)
    again.run()

    assert live.follow()
    assert live.alive


def test_a_generation_that_cannot_be_opened_leaves_the_old_one(tmp_path, live, control):
    """Half a reload must not kill the gateway; the old beat ends by itself."""
    again = Control(tmp_path / "run", make_site(name="Changed"), control.clock)
    site_file = tmp_path / "run" / f"site-{again.writer.site_hash}.bin"
    content = site_file.read_bytes()
    site_file.unlink()

    assert not live.follow()
    assert live.site.name == "Test campus"
    site_file.write_bytes(content)
    assert live.follow()


async def test_rows_wake_those_who_wait(tmp_path, live):
    """Long before their time is over."""
    live.listen(tmp_path / "rows")
    bell = RowBell(tmp_path / "rows")
    bell.look()
    waiting = asyncio.create_task(live.next_row(30))
    await asyncio.sleep(0)
    bell.ring(7)

    await asyncio.wait_for(waiting, 2)
    bell.close()
    live.close()
    assert list((tmp_path / "rows").iterdir()) == []


async def test_without_a_bell_waiting_ends_by_time(tmp_path, live):
    """A read-only folder must not keep the gateway from working."""
    (tmp_path / "rows").write_text("a file in the way")
    live.listen(tmp_path / "rows")

    await asyncio.wait_for(live.next_row(0.01), 2)


def test_means_equal_numpy_s_own():
    """Columns apart, NaN left out, rows outside the intervals left out."""
    rng = np.random.default_rng(2)
    times = np.arange(1000, 7000, 100)
    value = rng.normal(size=(60, 3))
    value[rng.random((60, 3)) < 0.2] = np.nan

    means, _ = interval_means(times, value, 2000, 4, 1000)

    for interval in range(4):
        inside = (times >= 2000 + 1000 * interval) & (times < 3000 + 1000 * interval)
        np.testing.assert_allclose(means[interval], np.nanmean(value[inside], axis=0))
