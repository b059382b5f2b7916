"""What was recorded, decided again: not one bit differs, and where rules or site are others, it shows where."""

import csv
import math
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pswd_edge.clock import FakeClock
from pswd_edge.control import record_format as fmt
from pswd_edge.control import recorder as module
from pswd_edge.control.record_file import prune
from pswd_edge.control.record_row import Begin, Seen
from pswd_edge.control.record_state import StateError, plain, restored
from pswd_edge.control.recorder import Recorder
from pswd_edge.control.rules import law
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.control.shadow import decided
from pswd_edge.model.command import Mode
from pswd_edge.model.site import RecordingSpec, Site
from pswd_edge.replay.recording import Comparison, RecordingError, replay
from tests.control.virtual import Loop, bad, demo_site

SPEC = RecordingSpec(file_s=60.0)


class RecordedLoop(Loop):
    """The demo campus on virtual time, with a recorder beside the law."""

    recorder: Recorder | None = None

    def step(self) -> law.Decision:
        recorder = self.recorder
        begin = None
        if recorder is not None and recorder.begins:
            begin = Begin(self.site, self.state, self.setpoints.memory())
        before, orders = self.snapshot, law.Orders(self.mode, self.spec.load_ceiling_w, self.target_w)
        seen = before()
        self.snapshot = lambda: seen
        bounds = list(self.bounds)
        decision = super().step()
        self.snapshot = before
        if recorder is not None:
            asked, bounds = self.thermal.candidates(), [*bounds, *self.thermal.bounds()]
            recorder.note(Seen(begin, seen, orders, 0.1, asked, bounds, [], decision, self.state, self.verdicts))
        return decision


def recorded(folder: Path, seconds: float = 30.0, spec: RecordingSpec = SPEC, site: Site | None = None) -> RecordedLoop:
    """A start of the demo's jobs, a lost battery in the middle, a target, OBSERVE and AUTO."""
    loop = RecordedLoop(site or demo_site(), mode=Mode.OBSERVE)
    loop.run(3.0, start=False)
    loop.recorder = Recorder(folder, spec, FakeClock(1000.0 + loop.plant.time_s))
    loop.recorder.start()
    loop.run(1.0)
    loop.mode = Mode.AUTO
    loop.run(seconds / 2, start=False)
    battery = loop.spec.batteries[0]
    loop.override = {battery.soc.point: bad()}
    loop.target_w = 5e6
    loop.run(seconds / 2, start=False)
    loop.recorder.close()
    return loop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recording")
    recorded(made)
    return made


def only(folder: Path) -> Path:
    [path] = folder.glob("*.rec")
    return path


def named(found: Comparison) -> set[str]:
    return {d.name for d in found.differences}


def test_a_recording_replays_without_a_differing_bit(folder: Path) -> None:
    """The rules are functions: the same inputs and the same memory give the same outputs (P8)."""
    found = replay(only(folder))
    assert (found.cycles, found.differing, found.differences, found.faults, found.notes) == (310, 0, (), (), ())


def test_it_begins_in_the_middle_and_goes_on_over_files(tmp_path: Path) -> None:
    """Each file of the ring stands for itself: the first ones will be deleted."""
    recorded(tmp_path, spec=RecordingSpec(file_s=5.0))
    files = sorted(tmp_path.glob("*.rec"))
    assert len(files) == 7
    assert replay(tmp_path).cycles == 310
    assert replay(tmp_path).differing == 0
    last = replay(files[-2])
    assert (last.cycles, last.differing) == (50, 0)


def test_another_parameter_shows_its_difference(folder: Path, tmp_path: Path) -> None:
    """First cycle, largest difference and a table: what a change of the site file would have said."""
    site = demo_site()
    spec = site.control
    other = replace(site, control=replace(spec, ramp_down_w_per_s=0.8 * spec.ramp_down_w_per_s))
    found = replay(only(folder), other, tmp_path / "difference.csv")
    assert "reference_w" in named(found)
    first = next(d for d in found.differences if d.name == "reference_w")
    assert first.largest > 0
    rows = list(csv.DictReader((tmp_path / "difference.csv").read_text().splitlines()))
    assert len(rows) == sum(d.cycles for d in found.differences)
    mine = [r for r in rows if r["output"] == "reference_w"]
    assert int(mine[0]["cycle"]) == first.first_cycle
    assert first.largest == max(abs(float(r["recorded"]) - float(r["replayed"])) for r in mine)
    assert any("another site" in n for n in found.notes)


def test_points_of_another_site_are_found_by_their_ids(folder: Path) -> None:
    """A site with one more device in front has every index moved; what is decided is the same."""
    site = demo_site()
    turned = replace(site, points=tuple(replace(p, jump=p.jump + 1.0) for p in site.points))
    found = replay(only(folder), turned)
    assert found.differing == 0


def test_another_rule_shows_where_it_decides_otherwise(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an edit of a rule."""
    true = law.step

    def slower(reference, filtered_w, followed_w, fleet, limits, aim, dt_s):
        return true(reference, filtered_w, followed_w, fleet, limits._replace(down_w_per_s=limits.down_w_per_s / 2),
                    aim, dt_s)

    monkeypatch.setattr(law, "step", slower)
    found = replay(only(folder))
    assert found.differing > 0
    assert named(found) & {"battery_w", "reference_w", "target_w"}


def test_a_single_bit_is_a_difference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal to nine digits is not equal."""
    true = law.cycle

    def nudged(*args):
        state, decision = true(*args)
        return state, decision._replace(battery_w=math.nextafter(decision.battery_w, math.inf))

    monkeypatch.setattr(law, "cycle", nudged)
    found = replay(only(folder))
    assert found.differing == found.cycles
    assert named(found) == {"battery_w"}


def test_a_damaged_file_is_told_with_its_place_and_replayed_up_to_it(folder: Path, tmp_path: Path) -> None:
    """One byte in the second block; the cycles before it are worth having."""
    data = bytearray(only(folder).read_bytes())
    blocks = [f.offset for f in fmt.frames(bytes(data))]
    data[blocks[2] + 40] ^= 1
    path = tmp_path / "damaged.rec"
    path.write_bytes(data)
    found = replay(path)
    assert (found.cycles, found.differing) == (100, 0)
    [fault] = found.faults
    assert fault.startswith(f"{path}: byte {blocks[2]}: the frame of {_length(data, blocks[2])} bytes has another")
    assert fault.endswith("100 cycles before it were replayed")


def _length(data: bytes, at: int) -> int:
    return int(fmt.FRAME.unpack_from(data, at)[1])


def test_a_file_that_ends_in_the_middle_of_a_block_is_replayed_up_to_there(folder: Path, tmp_path: Path) -> None:
    """The power went: that is no damage, and it is said."""
    data = only(folder).read_bytes()
    last = [f.offset for f in fmt.frames(data)][-1]
    path = tmp_path / "short.rec"
    path.write_bytes(data[: last + 100])
    found = replay(path)
    assert (found.cycles, found.differing, found.faults) == (300, 0, ())
    assert "100 bytes" in found.notes[0]


@pytest.mark.parametrize("content", [b"", b"PSWDREC", b"time_s,load_w\n0,1\n"])
def test_what_is_no_recording_is_told(tmp_path: Path, content: bytes) -> None:
    """A CSV by another name."""
    path = tmp_path / "x.rec"
    path.write_bytes(content)
    assert "byte 0: got" in replay(path).faults[0]
    with pytest.raises(RecordingError, match="No such file"):
        replay(tmp_path / "gone.rec")
    with pytest.raises(RecordingError, match=r"no \.rec file"):
        replay(_made(tmp_path / "empty"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_shadow_is_replayed_as_a_shadow(tmp_path: Path) -> None:
    """Its memory is another than AUTO's."""
    site = demo_site()
    shadow = replace(site, control=replace(site.control, shadow=True))
    loop = Loop(shadow)
    loop.run(2.0)
    recorder = Recorder(tmp_path, SPEC, FakeClock())
    recorder.start()
    state, orders = loop.state, law.Orders(Mode.AUTO, loop.spec.load_ceiling_w)
    setpoints = Setpoints(shadow)  # the loop's own are led by the loop
    for _ in range(50):
        begin = Begin(shadow, state, setpoints.memory()) if recorder.begins else None
        snapshot = loop.snapshot()
        state, shown, decision = decided(loop.spec, state, snapshot, orders, 0.1)
        verdicts = setpoints.compose(decision, shown, snapshot, orders.mode, [], [])
        recorder.note(Seen(begin, snapshot, orders, 0.1, [], [], [], decision, shown, verdicts))
        loop.step()
    recorder.close()
    assert (replay(tmp_path).cycles, replay(tmp_path).differing) == (50, 0)


# --- bounded --------------------------------------------------------------------------------------------------------


def test_the_ring_keeps_to_its_budget(tmp_path: Path) -> None:
    """A forgotten recording must not fill the disk; what is left can be replayed."""
    loop = recorded(tmp_path, 12.0, RecordingSpec(max_mb=0.15, file_s=2.0))
    size = sum(p.stat().st_size for p in tmp_path.glob("*.rec"))
    assert size <= 0.15e6
    assert loop.recorder.report().bytes > size
    assert replay(tmp_path).differing == 0


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """By the time at which it was written."""
    for name in ("a.rec", "b.rec", "new.rec"):
        (tmp_path / name).write_bytes(b"x")
    prune(tmp_path, 1e9, time.time() + 1e4, tmp_path / "new.rec")
    assert [p.name for p in tmp_path.glob("*")] == ["new.rec"]


def test_a_disk_that_does_not_keep_up_costs_cycles_of_the_recording_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted, and behind the hole a file begins that can be replayed."""
    monkeypatch.setattr(Recorder, "_look_after_thread", lambda _: None)
    monkeypatch.setattr(module, "BACKLOG_CYCLES", 50)
    loop = RecordedLoop(demo_site())
    loop.recorder = Recorder(tmp_path, SPEC, FakeClock())
    loop.recorder.start()
    loop.run(8.0)
    assert loop.recorder.dropped == 30
    assert len(loop.recorder._backlog) == 50
    loop.recorder._backlog.popleft()
    loop.run(0.1, start=False)
    assert loop.recorder._backlog[-1].begin is not None


def test_a_full_disk_ends_the_recording_with_its_reason(tmp_path: Path) -> None:
    """Control goes on; the alarm has the text."""
    (tmp_path / "file").write_text("no folder")
    loop = RecordedLoop(demo_site())
    loop.recorder = Recorder(tmp_path / "file", SPEC, FakeClock())
    loop.recorder.start()
    loop.run(0.5)
    loop.recorder._wake.set()
    loop.recorder._thread.join(5.0)
    assert not loop.recorder.on
    assert loop.recorder.trouble.startswith("the recording has ended: [Errno")
    assert loop.recorder.report().trouble == loop.recorder.trouble


def test_a_time_limit_ends_it(tmp_path: Path) -> None:
    """`record start --for 60`."""
    loop = RecordedLoop(demo_site())
    loop.recorder = Recorder(tmp_path, SPEC, FakeClock(1000.0 + loop.plant.time_s))
    loop.recorder.start(2.0)
    loop.run(4.0)
    loop.recorder.close()
    assert replay(tmp_path).cycles in (20, 21)


# --- packing --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(width=64), min_size=3, max_size=3), min_size=1, max_size=9), st.booleans())
def test_every_bit_survives(rows: list[list[float]], across: bool) -> None:
    """NaN with its payload, -0 and infinity too."""
    patterns = fmt.bits(rows)
    assert (fmt.unpacked(fmt.packed(patterns, across=across), len(rows), 3, across=across) == patterns).all()


def test_a_state_survives(tmp_path: Path) -> None:
    """With its arrays, infinities and numpy's numbers; what is no state is refused by name."""
    loop = Loop(demo_site())
    loop.run(5.0)
    state = loop.state
    again = restored(fmt.decode(fmt.encode(plain(state))))
    assert _flat(again) == _flat(state)
    assert restored(plain(np.float64(0.1))).tobytes() == struct.pack("<d", 0.1)
    with pytest.raises(StateError, match="Path"):
        plain(tmp_path)
    with pytest.raises(StateError, match="'Elsewhere'"):
        restored({"type": "Elsewhere"})
    with pytest.raises(StateError, match="Reference"):
        restored({"type": "Reference", "followed_w": 1.0})


def _flat(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, tuple):
        return type(value).__name__, [_flat(v) for v in value]
    return struct.pack("<d", value) if isinstance(value, float) else value
