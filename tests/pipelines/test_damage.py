"""Two hundred damaged files go through the pipeline: each is accounted for, none does harm."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from damage_maker import FORMATS, Damaged, write_damaged, write_endless, write_good, write_hog
from fake_facetracks import make_process, write_source
from test_facetracks import find_squares

from avbench.cli import main
from avbench.media import complaints
from avbench.shards import open_set
from pipelines import guard, ledger, units
from pipelines.build import BuildReport, build
from pipelines.faces import DETECTORS
from pipelines.guard import OVERTIME, guarded, memory_cap
from pipelines.ledger import Row

SETTINGS = {
    "detector": "squares",
    "min_face": "10",
    "min_track": "10",
    "max_track": "60",
    "crops.size": "64",
}


@pytest.fixture
def _squares(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a file's own length adds to its time: these are short, and one lies about it.
    monkeypatch.setattr(units, "SLOWEST", 0.1)
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)


def run(sources: list[Path], out: Path, **options: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "split": "50/0/50", "settings": SETTINGS}
    return build(sources, out, **{**chosen, **options})


def told(row: Row) -> str:
    return f"{row.path}: {row.status} at {row.step}: {row.reason} [{row.decoder}]"


@pytest.mark.slow
@pytest.mark.usefixtures("_squares")
def test_two_hundred_damaged_files_are_accounted_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    made = {file.name: file for file in write_damaged(bad)}
    assert len(made) == 200
    before = {path.name: path.read_bytes() for path in bad.iterdir()}
    good = bad.parent / "good"
    alone = run([good], tmp_path / "alone")

    started = time.process_time()
    report = run([good, bad], tmp_path / "set", time_limit=4.0)
    assert time.process_time() - started < 90

    rows = {(row.source, row.path): row for row in ledger.read(tmp_path / "set")}
    passed = sum(report.skipped.values())
    assert len(rows) + passed == len(made) + len(FORMATS)
    assert passed == 0, report.skipped
    ledger.check(rows.values())
    for (source, name), row in rows.items():
        assert len(row.sha256) == 64, told(row)
        assert row.frames == row.kept_frames + sum(row.rejected_frames.values()), told(row)
        if source == "good":
            assert row.status == "kept", told(row)
            continue
        assert row.status in ("kept", "rejected", "failed"), told(row)
        if row.status != "kept":
            assert row.reason, told(row)
            assert row.step, told(row)
            assert str(tmp_path) not in row.reason + row.decoder, told(row)
            assert row.attempts >= (row.step != "discover"), told(row)
        if made[name].hopeless:
            assert row.status != "kept", told(row)
    failed = {name: row for (_, name), row in rows.items() if row.status == "failed"}
    assert set(failed) == {"forty-hours.mkv"}, [told(row) for row in failed.values()]
    assert failed["forty-hours.mkv"].reason == OVERTIME

    # Damage in the middle of a file is told by the decoder; most such files are kept in part.
    bits = [row for (_, name), row in rows.items() if "bits-flipped" in name]
    assert sum(bool(row.decoder) for row in bits) > len(bits) / 2
    counts = Counter(row.status for row in rows.values())
    assert counts["kept"] > 40
    assert counts["rejected"] > 40

    # Nothing else is touched: not the sources, not the good clips beside them.
    assert {path.name: path.read_bytes() for path in bad.iterdir()} == before
    whole, part = open_set(tmp_path / "set"), open_set(tmp_path / "alone")
    mixed = {sample.key: sample for sample in whole.samples()}
    for sample in part.samples():
        assert mixed[sample.key].video == sample.video
        assert mixed[sample.key].sound == sample.sound
    assert alone.clips <= report.clips
    story = CliRunner().invoke(main, ["why", "junk.mp4", "--shards", str(tmp_path / "set")])
    assert story.exit_code == 3
    assert "decoder: " in story.output


def test_the_decoder_is_quoted(tmp_path: Path) -> None:
    good = write_good(tmp_path)["mp4"]
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(good[: len(good) // 3] + bytes(800) + good[len(good) // 3 + 800 :])
    assert complaints(tmp_path / "good-mp4.mp4") == []
    said = complaints(hurt)
    assert said
    assert any(sentence.startswith(("h264: ", "aac: ")) for sentence in said)
    assert str(tmp_path) not in "".join(said)
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 2000)
    assert complaints(tmp_path / "junk.mp4") == ["mov,mp4,m4a,3gp,3g2,mj2: moov atom not found"]


@pytest.mark.usefixtures("_squares")
def test_a_file_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_good(tmp_path / "in")
    write_endless(tmp_path / "in" / "endless.mkv", 30 * 3600)
    report = run([tmp_path / "in"], tmp_path / "out", time_limit=2.0)
    rows = {row.path: row for row in report.rows}
    assert rows["endless.mkv"].status == "failed"
    assert rows["endless.mkv"].reason == OVERTIME
    assert rows["endless.mkv"].attempts == 1
    assert {row.status for name, row in rows.items() if name != "endless.mkv"} == {"kept"}
    again = run([tmp_path / "in"], tmp_path / "out", time_limit=2.0)
    assert {row.path: row.attempts for row in again.rows}["endless.mkv"] == 2
    story = CliRunner().invoke(main, ["why", "endless.mkv", "--shards", str(tmp_path / "out")])
    assert "larger --time-limit" in story.output


def test_a_file_that_needs_too_much_memory_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_hog(tmp_path / "in" / "hog.mov")
    write_source(tmp_path / "in" / "good.mp4")
    report = run(
        [tmp_path / "in"], tmp_path / "out", memory_limit=35, process=make_process(), settings={}
    )
    rows = {row.path: row for row in report.rows}
    assert rows["good.mp4"].status == "kept"
    assert (rows["hog.mov"].status, rows["hog.mov"].reason) == (
        "failed",
        "needed more than its 35 MiB of memory and was stopped",
    )
    story = CliRunner().invoke(main, ["why", "hog.mov", "--shards", str(tmp_path / "out")])
    assert "larger --memory-limit" in story.output
    more = run(
        [tmp_path / "in"], tmp_path / "out", memory_limit=2000, process=make_process(), settings={}
    )
    assert {row.path: row.status for row in more.rows}["hog.mov"] != "failed"


def test_memory_that_was_let_go_of_can_be_had_again() -> None:
    def hoard(payload: object) -> None:
        with memory_cap(100):
            held = []
            while True:
                held.append(bytearray(2**20))

    for _ in range(2):
        result = guarded(hoard, {})
        assert result["status"] == "failed"
        assert result["reason"] == "needed more than its 100 MiB of memory and was stopped"
    with memory_cap(100):
        assert len(bytearray(80 * 2**20))


def test_where_the_system_does_not_say_there_is_no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_memory_held", lambda: None)
    with memory_cap(1):
        assert len(bytearray(50 * 2**20))


def test_the_same_number_is_the_same_damage(tmp_path: Path) -> None:
    one, two = (write_damaged(tmp_path / name / "bad", 30) for name in "ab")
    assert one == two
    assert all(isinstance(file, Damaged) for file in one)
    for file in one:
        paths = [tmp_path / name / "bad" / file.name for name in "ab"]
        if not paths[0].read_bytes().startswith(b"\x1aE\xdf"):  # Matroska has a random identity
            assert paths[0].read_bytes() == paths[1].read_bytes()
