"""The chain on real files: what was written follows from what was before, and damage is found where it is."""

import os
from pathlib import Path

import pytest

from pswd_edge.chain import chain as module
from pswd_edge.chain.chain import Chain, segments
from pswd_edge.chain.chain_check import check_chain, read_entries


def body(number: int) -> dict[str, object]:
    return {"kind": "change", "subject": "site", "utc_s": float(number), "text": f"entry {number}"}


def written(folder: Path, count: int = 10, **settings: int) -> Chain:
    chain = Chain(folder, **settings)
    chain.open()
    for i in range(count):
        chain.append([body(i)])
    return chain


def last_segment(folder: Path) -> Path:
    return segments(folder)[-1][1]


def texts(folder: Path) -> list[object]:
    return [e["text"] for e in read_entries(folder) if "text" in e]


def test_a_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Two lives of a process are one chain."""
    written(tmp_path).close()
    written(tmp_path, 5).close()
    found = check_chain(tmp_path)
    assert (found.entries, found.faults, found.tail) == (16, [], "")


def test_segments_carry_the_hash_over(tmp_path: Path) -> None:
    """A file of bounded size, and still one chain."""
    written(tmp_path, 40, segment_bytes=1000).close()
    assert len(segments(tmp_path)) > 5
    assert check_chain(tmp_path).faults == []


def test_what_is_pruned_is_an_entry_and_the_rest_verifies(tmp_path: Path) -> None:
    """The disk is bounded, and nobody can say that a missing begin was pruned when it was not."""
    written(tmp_path, 400, segment_bytes=1000, keep_bytes=5000).close()
    found = check_chain(tmp_path)
    assert found.faults == []
    assert found.pruned_through > 10
    assert sum(p.stat().st_size for _, p in segments(tmp_path)) < 8000
    segments(tmp_path)[0][1].unlink()
    assert check_chain(tmp_path).faults != []


@pytest.mark.parametrize("cut", [1, 5, 70])
def test_a_torn_end_is_cut_off_and_told(tmp_path: Path, cut: int) -> None:
    """A power cut in the middle of a write: that entry was never answered."""
    written(tmp_path).close()
    file = last_segment(tmp_path)
    os.truncate(file, file.stat().st_size - cut)
    assert check_chain(tmp_path).faults == []
    assert check_chain(tmp_path).tail != ""
    again = Chain(tmp_path)
    assert again.open().cut_bytes > 0
    again.append([body(99)])
    again.close()
    assert check_chain(tmp_path).faults == []
    assert texts(tmp_path) == [*(f"entry {i}" for i in range(9)), "entry 99"]


def test_a_change_in_the_middle_is_found_where_it_is(tmp_path: Path) -> None:
    """One digit of one entry; the entries behind it are still judged."""
    written(tmp_path).close()
    file = last_segment(tmp_path)
    content = file.read_bytes()
    at = content.index(b"entry 4")
    file.write_bytes(content.replace(b"entry 4", b"entry 7"))
    [fault] = check_chain(tmp_path).faults
    begin = content.rindex(b"\n", 0, at) + 1
    assert f"byte {begin}" in fault
    assert "after entry 5" in fault


def test_a_line_that_was_taken_out_is_found(tmp_path: Path) -> None:
    """The entry behind it does not follow from the one before it."""
    written(tmp_path).close()
    file = last_segment(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:4] + lines[5:]))
    assert len(check_chain(tmp_path).faults) == 1


def test_a_segment_that_is_gone_is_found(tmp_path: Path) -> None:
    """At the begin, where no entry says that it was pruned, and in the middle."""
    written(tmp_path, 40, segment_bytes=1000).close()
    segments(tmp_path)[2][1].unlink()
    assert "segments 3 to 3 are missing" in check_chain(tmp_path).faults
    segments(tmp_path)[0][1].unlink()
    assert any("no entry says" in fault for fault in check_chain(tmp_path).faults)


def test_damage_is_kept_and_a_new_segment_goes_on(tmp_path: Path) -> None:
    """Evidence is not tidied away, and control still writes down what it does."""
    written(tmp_path).close()
    file = last_segment(tmp_path)
    damaged = file.read_bytes().replace(b"entry 4", b"entry 7")
    file.write_bytes(damaged)
    again = Chain(tmp_path)
    assert "segment 1" in again.open().broken
    again.append([body(99)])
    again.close()
    assert file.read_bytes() == damaged
    assert len(segments(tmp_path)) == 2
    assert len(check_chain(tmp_path).faults) == 1


def test_a_full_disk_leaves_the_chain_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a write arrives, then no more; what was there before stays, and later entries follow from it."""
    chain = written(tmp_path)
    real, full = os.pwrite, [True]

    def pwrite(file: int, content: bytes, at: int) -> int:
        if full[0] and len(content) < 60:
            raise OSError(28, "No space left on device")
        return real(file, content[: max(1, len(content) // 2)], at)

    monkeypatch.setattr(module.os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space"):
        chain.append([body(50)])
    assert check_chain(tmp_path)[:1] == (11,)
    full[0] = False
    chain.append([body(51)])
    chain.close()
    found = check_chain(tmp_path)
    assert (found.faults, found.tail) == ([], "")
    assert texts(tmp_path)[-1] == "entry 51"
