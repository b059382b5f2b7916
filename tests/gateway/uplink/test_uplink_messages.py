"""What the three streams say, from an image and without a broker."""

from pathlib import Path
from typing import Any

import orjson
from small_image import SmallImage

from pswd_edge.clock import FakeClock
from pswd_edge.gateway.uplink.messages import Composer
from pswd_edge.image import ImageReader
from pswd_edge.model.quality import Quality, Reason


def composer(tmp_path: Path, clock: FakeClock) -> tuple[SmallImage, Composer]:
    written = SmallImage(tmp_path, clock)
    return written, Composer(ImageReader(tmp_path), "pswd/north/", clock)


def telemetry(made: Composer) -> dict[str, Any]:
    return orjson.loads(made.telemetry().payload)


def test_only_good_points_carry_a_value(tmp_path: Path) -> None:
    """A bad value must not look like 0, nor like the last good one, to anyone who reads the stream."""
    written, made = composer(tmp_path, FakeClock())
    written.publish([float("nan"), 50.01, 1.0], [Quality.BAD, Quality.GOOD, Quality.GOOD],
                    [Reason.SENTINEL, Reason.NONE, Reason.NONE])
    points = telemetry(made)["points"]
    assert "value" not in points["pcc.active_power_w"]
    assert (points["pcc.active_power_w"]["quality"], points["pcc.active_power_w"]["reason"]) == ("bad", "sentinel")
    assert (points["pcc.frequency_hz"]["value"], points["pcc.frequency_hz"]["quality"]) == (50.01, "good")
    assert set(points) == {"pcc.active_power_w", "pcc.frequency_hz"}, "trend points and no others"


def test_uncertain_points_carry_no_value_either(tmp_path: Path) -> None:
    """A stale value is the last good one: it would pass for a measurement."""
    written, made = composer(tmp_path, FakeClock())
    written.publish([70e6, 50.01, 1.0], [Quality.UNCERTAIN, Quality.GOOD, Quality.GOOD],
                    [Reason.STALE, Reason.NONE, Reason.NONE])
    assert "value" not in telemetry(made)["points"]["pcc.active_power_w"]


def test_values_of_a_stopped_control_process_are_not_shown(tmp_path: Path) -> None:
    """The image outlives its writer and still says GOOD; a dead control process must not look like a calm site."""
    clock = FakeClock()
    written, made = composer(tmp_path, clock)
    clock.advance(1.0)
    assert telemetry(made)["points"]["pcc.frequency_hz"]["value"] == 50.01
    clock.advance(5.0)
    found = telemetry(made)["points"]["pcc.frequency_hz"]
    assert (found["quality"], found["reason"], "value" in found) == ("bad", "stale", False)
    written.publish([70e6, 50.02, 1.0])
    assert telemetry(made)["points"]["pcc.frequency_hz"]["value"] == 50.02


def test_time_stamp_of_a_point_is_when_the_device_answered(tmp_path: Path) -> None:
    """A slow device's value is as old as it is, not as new as the message that carries it."""
    clock = FakeClock(utc_s=1_780_000_000.0)
    _, made = composer(tmp_path, clock)
    clock.advance(0.75)
    message = telemetry(made)
    assert message["timestamp"] == "2026-05-28T20:26:40.750Z"
    assert message["points"]["pcc.frequency_hz"]["timestamp"] == "2026-05-28T20:26:40.000Z"


def test_each_stream_counts_for_itself(tmp_path: Path) -> None:
    """A consumer of one stream sees a hole only where a message of that stream is missing."""
    _, made = composer(tmp_path, FakeClock())
    assert [telemetry(made)["seq"] for _ in range(3)] == [1, 2, 3]
    status = made.status("online", "", {"queued": 0})
    assert (orjson.loads(status.payload)["seq"], status.topic, status.retain) == (1, "pswd/north/status", True)


def test_will_says_offline_and_has_no_number(tmp_path: Path) -> None:
    """The broker sends it at a moment that nobody can number."""
    _, made = composer(tmp_path, FakeClock())
    will = made.will()
    body = orjson.loads(will.payload)
    assert (will.topic, will.retain, body["state"], "seq" in body) == ("pswd/north/status", True, "offline", False)
