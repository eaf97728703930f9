"""``avbench align`` on a drawn head whose pictures were dropped and repeated."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from media_maker import Recipe, make

from avbench.cli import main
from avbench.data import IntArray
from avbench.distort import drop_duplicate, rng_for
from avbench.media import open_frames, read_video
from avbench.media.retime import output_rate, retime, sound_blocks, sound_form
from avbench.synthetic import CorpusRequest, write_corpus
from avbench.timing import FPS

SECONDS = 12


def align(*arguments: object) -> Result:
    """Run the command; the shipped syncnet knows drawn faces."""
    return CliRunner().invoke(main, ["align", *map(str, arguments), "--method", "syncnet"])


def lengths(path: Path) -> tuple[int, float]:
    """Decode all of a file; return its pictures and its seconds of sound."""
    with av.open(str(path)) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(str(path)) as container:
        sound = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return pictures, sound


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_corpus(
        folder,
        CorpusRequest(videos=1, pool="test", kind="talking", seconds=SECONDS),
    )
    return next(folder.glob("*.mp4"))


@pytest.fixture(scope="module")
def broken(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IntArray]:
    """The head with pictures dropped and repeated, and what each picture shows."""
    out = tmp_path_factory.mktemp("broken") / "broken.mp4"
    shown = drop_duplicate(SECONDS * FPS, rng=rng_for(0, drawn.name, "symmetric"))
    shown = np.append(shown, np.full(SECONDS * FPS - len(shown), shown[-1]))
    sound = sound_blocks(drawn, from_picture=True)
    retime(drawn, out, shown / FPS, Fraction(FPS), sound, sound_form(drawn))
    return out, shown


@pytest.fixture(scope="module")
def repaired(
    broken: tuple[Path, IntArray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result, bytes]:
    folder = tmp_path_factory.mktemp("repaired")
    held = broken[0].read_bytes()
    options = ("--report", folder / "page.html", "--edits", folder / "edits.csv")
    result = align(
        broken[0], "--out", folder / "fixed.mp4", *options, "--json", folder / "all.json"
    )
    return folder, result, held


def test_most_of_the_drift_is_taken_away(
    broken: tuple[Path, IntArray], repaired: tuple[Path, Result, bytes]
) -> None:
    shown, (folder, result, held) = broken[1], repaired
    assert result.exit_code == 0, result.output
    assert "confidence good" in result.stdout
    assert broken[0].read_bytes() == held
    with (folder / "edits.csv").open(encoding="utf-8") as file:
        edits = list(csv.DictReader(file))
    index = np.concatenate(
        [np.arange(int(e["source_start"]), int(e["source_stop"])) for e in edits]
    )
    place = np.arange(len(index))
    before = np.abs(shown[place.clip(max=len(shown) - 1)] - place).mean()
    after = np.abs(shown[index.clip(max=len(shown) - 1)] - place).mean()
    assert before > 4
    assert after < before / 3

    entry = json.loads((folder / "all.json").read_text("utf-8"))
    assert entry["confidence"] == "good"
    assert entry["faces"][0]["held_pictures"] == (np.diff(shown) == 0).sum()
    assert entry["faces"][0]["agreement_after"] > entry["faces"][0]["agreement_before"] + 1
    assert entry["pictures"]["output"] == len(index)
    assert len(entry["edits"]) == len(edits)


def test_the_repaired_video_plays_and_shows_what_the_edits_say(
    broken: tuple[Path, IntArray], repaired: tuple[Path, Result, bytes]
) -> None:
    folder = repaired[0]
    pictures, sound = lengths(folder / "fixed.mp4")
    assert abs(pictures / FPS - sound) <= 1 / FPS + 1024 / 16000  # AAC ends on a whole packet
    source, fixed = read_video(broken[0]), read_video(folder / "fixed.mp4")
    entry = json.loads((folder / "all.json").read_text("utf-8"))
    assert entry["written"]["frames"] == pictures
    assert entry["written"]["sound_s"] == pytest.approx(pictures / FPS, abs=0.001)
    for edit in entry["edits"][::7]:
        new = fixed[edit["start"]].astype(int)
        assert np.abs(new - source[edit["source_start"]]).mean() < 3


def test_the_page_stands_alone(repaired: tuple[Path, Result, bytes]) -> None:
    page = (repaired[0] / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 1
    for word in ("src=", 'href="http', "<script"):
        assert word not in page
    assert "left out" in page
    assert "broken.mp4" in page


def test_outputs_are_not_replaced_and_inputs_never_written(drawn: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.mp4"
    taken.write_bytes(b"mine")
    result = align(drawn, "--out", taken)
    assert result.exit_code == 2
    assert "exists already; name another, or give --force" in result.stderr
    assert taken.read_bytes() == b"mine"
    held = drawn.read_bytes()
    for options in (("--out", drawn, "--force"), ("--report", drawn), ("--json", drawn)):
        result = align(drawn, *options)
        assert result.exit_code == 2
        assert "never written to" in result.stderr
    assert drawn.read_bytes() == held


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("absent.mp4", (), "absent.mp4"),
        ("junk.mp4", (), "is not a video file"),
        ("mute.mp4", (), "has no sound"),
        ("faceless.mp4", (), "no face was found in it"),
        ("faceless.mp4", ("--edits", "edits.txt"), "end its name in .csv or .json"),
        ("faceless.mp4", ("--out", "out.webm"), "cannot write this kind of file"),
    ],
)
def test_bad_input_gives_one_sentence(
    name: str, options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"these are words and no video " * 99)
    make(tmp_path / "mute.mp4", Recipe(audio=None))
    make(tmp_path / "faceless.mp4", Recipe())
    result = align(tmp_path / name, *options)
    assert result.exit_code in (2, 3)
    assert words in result.stderr
    assert result.stderr.count("avbench: ") == 1
    assert "Traceback" not in result.output


def test_other_sound_decides_the_length_and_its_doubt_keeps_it_unwritten(
    drawn: Path, tmp_path: Path
) -> None:
    """Noise has no lips: nothing is written, unless one insists."""
    other = make(tmp_path / "other.mp4", Recipe(pts=tuple(range(125))))
    out = tmp_path / "out.mkv"
    result = align(drawn, "--audio", other, "--out", out)
    assert result.exit_code == 3
    assert "is not written: the confidence is low" in result.stdout
    assert not out.exists()
    result = align(drawn, "--audio", other, "--out", out, "--anyway", "--warp", "picture")
    assert result.exit_code == 0, result.output
    pictures, sound = lengths(out)
    assert abs(pictures - 5 * output_rate(drawn)) <= 1  # the coder fills its last packet
    assert sound == pytest.approx(pictures / FPS, abs=0.04)


@pytest.mark.slow
def test_the_sound_can_be_moved_instead(broken: tuple[Path, IntArray], tmp_path: Path) -> None:
    out = tmp_path / "moved.mkv"
    result = align(broken[0], "--out", out, "--warp", "sound", "--anyway")
    assert result.exit_code == 0, result.output
    with open_frames(broken[0]) as frames:
        total = sum(1 for _ in frames)
    pictures, sound = lengths(out)
    assert pictures == total
    assert sound == pytest.approx(total / FPS, abs=0.04)
