"""``avbench sync`` on files: words, signs, repair, errors and the record."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result
from media_maker import Recipe, make

from avbench.cli import main
from avbench.media.remux import shift_sound
from avbench.synthetic import CorpusRequest, write_corpus


def sync(*arguments: object, method: str = "syncnet") -> Result:
    """Run the command; the shipped syncnet knows drawn faces."""
    return CliRunner().invoke(main, ["sync", *map(str, arguments), "--method", method])


def packets(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [hashlib.sha256(bytes(p)).hexdigest() for p in container.demux(stream) if p.size]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn head that speaks for four seconds, its sound four frames early."""
    folder = tmp_path_factory.mktemp("drawn")
    request = CorpusRequest(
        videos=1, pool="test", preset="easy-v1", kind="talking", seconds=4, offset=4
    )
    write_corpus(folder, request)
    return next(folder.glob("*.mp4"))


def test_early_sound_is_called_early_and_mended(drawn: Path, tmp_path: Path) -> None:
    held = drawn.read_bytes()
    fixed, record = tmp_path / "fixed.mp4", tmp_path / "record.json"
    result = sync(drawn, "--fix", fixed, "--json", record, "--search", 12)
    assert result.exit_code == 0, result.output
    words = "sound is 160 ms early (audio leads by 4 frames)"
    assert f"{drawn}: {words}; a viewer would notice" in result.stdout
    assert "face 1, 0:00.0 to 0:04.0" in result.stdout
    assert f"{fixed}: sound moved 160 ms later" in result.stdout
    assert f"{fixed}: measured again, in sync (it was: {words})" in result.stdout
    assert packets(fixed) == packets(drawn)
    assert drawn.read_bytes() == held

    content = json.loads(record.read_text("utf-8"))
    (entry,) = content["files"]
    assert (content["method"], content["search"]) == ("syncnet", 12)
    assert len(content["checkpoint_sha256"]) == 64
    assert (entry["offset"], entry["offset_ms"], entry["offset_words"]) == (4, 160.0, words)
    assert (entry["confidence"], entry["viewer"]) == ("good", "a viewer would notice")
    assert (entry["fixed"]["offset"], entry["fixed"]["moved_ms"]) == (0, 160.0)
    (face,) = entry["faces"]
    assert (face["start_s"], face["stop_s"], face["grade"]) == (0.0, 4.0, "good")
    assert face["p_value"] < 0.01 < 3 < face["confidence"]
    assert len(face["curve"]) == 25
    assert max(range(25), key=face["curve"].__getitem__) - 12 == 4


def test_late_sound_is_called_late_and_one_bad_file_stops_nothing(
    drawn: Path, tmp_path: Path
) -> None:
    late = shift_sound(drawn, tmp_path / "late.mp4", Fraction(10, 25)).path
    junk, empty = tmp_path / "junk.mp4", tmp_path / "empty.mp4"
    junk.write_bytes(b"these are words and no video " * 99)
    empty.touch()
    mute = make(tmp_path / "mute.mp4", Recipe(audio=None))
    faceless = make(tmp_path / "faceless.mp4", Recipe())
    record = tmp_path / "record.json"
    result = sync(junk, empty, mute, faceless, tmp_path, late, "--json", record)
    assert result.exit_code == 3
    assert f"{late}: sound is 240 ms late (video leads by 6 frames)" in result.stdout
    assert f"{faceless}: cannot tell: no face was found in it" in result.stdout
    assert "1 of 6 files have an answer" in result.stdout
    for path, words in (
        (junk, "is not a video file"),
        (empty, "is empty"),
        (mute, "has no sound"),
        (tmp_path, "is a folder"),
    ):
        assert f"avbench: {path}: {words}" in result.stderr
    assert "Traceback" not in result.output
    entries = json.loads(record.read_text("utf-8"))["files"]
    assert [entry.get("offset") for entry in entries] == [None] * 5 + [-6]
    assert "is empty" in entries[1]["error"]


def test_a_face_that_is_seen_too_briefly_says_so(drawn: Path) -> None:
    result = sync(drawn, "--search", 30)
    assert result.exit_code == 3
    assert "a face is seen for 4.0 s on end only; with --search 30 it takes 5.0 s" in result.stdout


def test_an_offset_beyond_the_search_is_not_told(drawn: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.mp4"
    result = sync(drawn, "--search", 3, "--fix", fixed)
    assert result.exit_code == 3
    assert "cannot tell: nobody is seen to speak in time with the sound" in result.stdout
    assert f"{fixed} is not written: no offset is known to fix" in result.stdout
    assert not fixed.exists()


def test_what_is_in_sync_is_not_written_again(drawn: Path, tmp_path: Path) -> None:
    good = shift_sound(drawn, tmp_path / "good.mkv", Fraction(4, 25)).path
    fixed = tmp_path / "fixed.mp4"
    result = sync(good, "--fix", fixed)
    assert result.exit_code == 0, result.output
    assert f"{good}: in sync\n" in result.stdout
    assert "there is nothing to fix" in result.stdout
    assert not fixed.exists()


def test_silence_is_no_answer(drawn: Path, tmp_path: Path) -> None:
    silent = shift_sound(drawn, tmp_path / "silent.mp4", Fraction(60)).path
    result = sync(silent)
    assert result.exit_code == 3
    assert "cannot tell" in result.stdout
    assert "silent" in result.stdout.partition("cannot tell")[2]


def test_requests_that_make_no_sense_are_refused_before_any_work(
    drawn: Path, tmp_path: Path
) -> None:
    for arguments, words in (
        ((drawn, drawn, "--fix", tmp_path / "a.mp4"), "give one video"),
        ((drawn, "--fix", tmp_path / "a.gif"), "end its name in .mp4"),
        ((drawn, "--fix", drawn), "never written to"),
    ):
        result = sync(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr
    assert sync(drawn, method="constant").exit_code == 2
    assert "has no embeddings to compare" in sync(drawn, method="constant").stderr
    assert "Did you mean 'syncnet'" in sync(drawn, method="synknet").stderr
    assert sync().exit_code == 2


def test_help_has_examples() -> None:
    result = CliRunner().invoke(main, ["sync", "--help"])
    assert result.exit_code == 0
    assert "avbench sync talk.mp4 --fix talk-in-sync.mp4" in result.stdout
    assert "  [default: 15;" in result.stdout


@pytest.mark.slow
def test_every_shot_has_its_own_offset(tmp_path: Path) -> None:
    request = CorpusRequest(
        videos=1, pool="test", preset="easy-v1", kind="programme", seconds=20, shot_offsets=8
    )
    write_corpus(tmp_path, request)
    video, record = next(tmp_path.glob("*.mp4")), tmp_path / "record.json"
    truth = json.loads(video.with_suffix(".truth.json").read_text("utf-8"))
    result = sync(video, "--limit-faces", 3, "--json", record)
    assert result.exit_code == 3
    assert "cannot tell: its parts differ, with offsets of" in result.stdout
    assert "2 further faces are left out" in result.stdout
    faces = json.loads(record.read_text("utf-8"))["files"][0]["faces"]
    assert len(faces) == 3
    for face in faces:
        middle = (face["start_s"] + face["stop_s"]) / 2 * 25
        (shot,) = (s for s in truth["shots"] if s["start"] <= middle < s["stop"])
        assert (face["offset"], face["grade"]) == (shot["offset"], "good")


@pytest.mark.media
@pytest.mark.parametrize(("name", "frames"), [("m6_swiz3n.mpg", 5), ("m2_pwij3p.mpg", -8)])
def test_recorded_speakers_are_read_to_the_frame(
    shared_media: Path, tmp_path: Path, name: str, frames: int
) -> None:
    source = shared_media / "grid" / "others" / name
    moved = shift_sound(source, tmp_path / "moved.mp4", Fraction(-frames, 25)).path
    record = tmp_path / "record.json"
    result = sync(source, moved, "--json", record, method="lip-geometry")
    assert result.exit_code == 0, result.output
    before, after = (entry["offset"] for entry in json.loads(record.read_text("utf-8"))["files"])
    assert abs(before) <= 1
    assert abs(after - before - frames) <= 1
