"""What the four streams say, from an image and without a broker."""

from pathlib import Path
from typing import Any

import msgspec
import orjson
from small_image import SmallImage

from pswd_edge.clock import FakeClock
from pswd_edge.gateway.uplink.messages import Composer, alarm_standing
from pswd_edge.image import ImageReader
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import AlarmReport


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


def test_the_list_of_alarms_is_retained_and_whole(tmp_path: Path) -> None:
    """Who subscribes in the middle of the night must know what is on, without having heard it begin."""
    clock = FakeClock(utc_s=1_780_000_000.0)
    written, made = composer(tmp_path, clock)
    on = AlarmReport("blind", "no meter", clock.utc_s(), "critical", last_utc_s=clock.utc_s(), count=3)
    seen = AlarmReport("safe_state", "SAFE", clock.utc_s(), latched=True, active=False, ended_utc_s=clock.utc_s(),
                       acknowledged_utc_s=clock.utc_s(), acknowledged_by="console", last_utc_s=clock.utc_s())
    written.report(alarms=(on, seen))
    message = made.alarms()
    first, second = orjson.loads(message.payload)["alarms"]
    assert (message.topic, message.retain) == ("pswd/north/alarms", True)
    assert (first["code"], first["severity"], first["count"], first["first"]) == (
        "blind", "critical", 3, "2026-05-28T20:26:40.000Z")
    assert {"ended", "acknowledged", "shelved_until"} & set(first) == set(), "what has no time has no field"
    assert (second["active"], second["acknowledged_by"], second["ended"]) == (
        False, "console", "2026-05-28T20:26:40.000Z")


def test_neither_a_text_nor_a_flap_makes_the_list_due(tmp_path: Path) -> None:
    """Ten times a second a text may count; the broker hears of what an operator would act on."""
    written, _ = composer(tmp_path, FakeClock())
    alarm = AlarmReport("blind", "for 1 s", 0.0)

    def standing(**changes: object) -> object:
        written.report(alarms=(msgspec.structs.replace(alarm, **changes),))
        return alarm_standing(ImageReader(tmp_path).report())

    before = standing()
    assert standing(message="for 2 s", count=9) == before
    assert standing(acknowledged_utc_s=1.0) != before
    assert standing(active=False) != before
    assert standing(shelved_until_utc_s=9.0) != before
