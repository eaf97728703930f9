"""`avbench synth` writes the same bytes however it is run, and goes on where it stopped."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from avbench.cli import main
from avbench.errors import DataError, UnknownName, UsageError
from avbench.media import read_audio, read_video
from avbench.synthetic import CorpusRequest, render_talking, write_corpus

REQUEST = CorpusRequest(videos=3, pool="val", seconds=1.0, seed=7)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, REQUEST)
    return folder


def test_two_workers_in_other_processes_write_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, REQUEST, workers=2)
    assert digests(tmp_path) == digests(corpus)


def test_a_video_made_alone_has_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, CorpusRequest(videos=1, first=2, pool="val", seconds=1.0, seed=7))
    for name in ("talking-val-000002.mp4", "talking-val-000002.truth.json"):
        assert (tmp_path / name).read_bytes() == (corpus / name).read_bytes()


def test_a_stopped_run_goes_on_and_remakes_nothing(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, REQUEST)
    wanted = digests(tmp_path)
    # As if killed while the second video was written: its truth and the manifest are missing.
    (tmp_path / "talking-val-000001.truth.json").unlink()
    (tmp_path / "talking-val-000001.mp4").write_bytes(b"half a video")
    (tmp_path / "corpus.json").unlink()
    kept = tmp_path / "talking-val-000000.mp4"
    before = kept.stat().st_mtime_ns
    write_corpus(tmp_path, REQUEST)
    assert kept.stat().st_mtime_ns == before
    assert digests(tmp_path) == wanted == digests(corpus)


def test_files_hold_what_was_rendered(corpus: Path) -> None:
    made = render_talking(1, pool="val", seconds=1.0, seed=7)
    path = corpus / "talking-val-000001.mp4"
    frames = read_video(path)
    assert frames.shape == made.frames.shape
    assert np.abs(frames.astype(int) - made.frames).mean() < 12  # noise is mostly lost in coding
    heard = read_audio(path, len(frames))
    lag = np.argmax(np.correlate(heard, made.audio[4000:12000], "valid")) - 4000
    assert lag == 0


def test_the_manifest_and_truths_say_how_it_was_made(corpus: Path) -> None:
    manifest = json.loads((corpus / "corpus.json").read_text("utf-8"))
    found = digests(corpus)
    assert [video["file"] for video in manifest["videos"]] == [
        f"talking-val-{index:06d}.mp4" for index in range(3)
    ]
    assert all(found[video["file"]] == video["sha256"] for video in manifest["videos"])
    assert manifest["preset"]["name"] == "standard-v1"
    truth = json.loads((corpus / "talking-val-000002.truth.json").read_text("utf-8"))
    assert truth["recipe"] == REQUEST.recipe(2).to_json()
    assert truth["num_frames"] == 25
    (shot,) = truth["shots"]
    (face,) = shot["faces"]
    assert len(face["boxes"]) == len(face["mouth"]["opening"]) == 25
    assert shot["phones"][0][1] >= 0.0
    assert shot["phones"][-1][2] <= 1.0


def test_the_split_list_names_pool_voice_and_bytes(corpus: Path) -> None:
    manifest = json.loads((corpus / "corpus.json").read_text("utf-8"))
    with (corpus / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [{"file": row["file"], "sha256": row["sha256"]} for row in rows] == manifest["videos"]
    assert {row["split"] for row in rows} == {"val"}
    for row in rows:
        path = corpus / row["file"].replace(".mp4", ".truth.json")
        voice = json.loads(path.read_text("utf-8"))["shots"][0]["voice"]
        assert row["speaker"] == f"{voice['accent']}+{voice['variant']}"


def test_programmes_with_their_many_voices_have_no_split_list(tmp_path: Path) -> None:
    write_corpus(tmp_path, CorpusRequest(1, "val", kind="programme", seconds=4.0))
    assert not (tmp_path / "split.csv").exists()


def test_no_half_written_file_is_left(corpus: Path) -> None:
    assert not list(corpus.glob("*.part"))


def test_a_directory_made_otherwise_is_refused(corpus: Path) -> None:
    before = digests(corpus)
    with pytest.raises(UsageError, match=r"another preset; choose an empty directory"):
        write_corpus(corpus, CorpusRequest(3, "val", preset="easy-v1", seconds=1.0, seed=7))
    assert digests(corpus) == before


def test_a_damaged_truth_is_named(tmp_path: Path) -> None:
    for suffix in (".truth.json", ".mp4"):
        (tmp_path / f"talking-val-000000{suffix}").write_text("{")
    with pytest.raises(DataError, match=r"talking-val-000000\.truth\.json is no truth file"):
        write_corpus(tmp_path, REQUEST)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kind": "opera"}, UsageError),
        ({"videos": 0}, UsageError),
        ({"shot_offsets": 2}, UsageError),
        ({"offset": -60}, UsageError),
        ({"preset": "hard"}, UnknownName),
        ({"first": -1}, UsageError),
    ],
)
def test_impossible_requests_are_refused_at_once(
    arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        CorpusRequest(**{"videos": 1, **arguments})  # type: ignore[arg-type]


def test_the_command_makes_what_it_says(tmp_path: Path, corpus: Path) -> None:
    out = tmp_path / "videos"
    line = f"synth --out {out} --videos 3 --pool val --seconds 1 --seed 7".split()
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    assert "3 videos, 0.1 minutes" in done.output
    assert digests(out) == digests(corpus)


def test_the_command_says_how_to_get_espeak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    done = CliRunner().invoke(main, ["synth", "--out", str(tmp_path / "x"), "--videos", "1"])
    assert done.exit_code == 4
    assert "pip install 'avbench[synth]'" in done.output
    assert not (tmp_path / "x").exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from avbench.cli.synth import command\n"
        "command.get_help(__import__('click').Context(command))\n"
        "assert not {'cv2', 'scipy', 'torch', 'av'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
