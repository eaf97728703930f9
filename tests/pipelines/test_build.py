from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source

from avbench.cli import main
from avbench.cli.build_shards import command
from avbench.errors import UnknownName, UsageError
from avbench.shards import open_set, read_clips
from pipelines.build import BuildReport, build
from pipelines.engine import LocalEngine
from pipelines.ledger import LedgerError
from pipelines.options import BuildOptions, override
from pipelines.phases import locked

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def films(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        write_source(folder / name, seed=number)
    return folder


def make(sources: Path, out: Path, *, log: Path | None = None, **options: Any) -> BuildReport:
    chosen = {"engine": "local", "sync": "off", "split": "test", **options}
    return build([sources], out, process=make_process(log), **chosen)


def calls(log: Path) -> list[str]:
    done = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return sorted(done)


def hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of everything a set consists of."""
    kinds = ("*.tar", "*.parquet", "*.json", "*.jsonl", "SHA256SUMS", "README.md")
    paths = sorted(path for kind in kinds for path in out.glob(kind))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that can come in."""
    folder = tmp_path_factory.mktemp("mixed")
    films(folder, "good.mp4", "sub/two-faces.mp4", "none-at-all.mp4", "raise-it.mp4", "fault-x.mp4")
    (folder / "copy.mkv").write_bytes((folder / "good.mp4").read_bytes())
    (folder / "junk.mp4").write_bytes(b"this is no video" * 100)
    (folder / "empty.avi").touch()
    (folder / "notes.txt").write_text("notes")
    (folder / "good.truth.json").write_text("{}")
    return folder


def test_every_file_and_frame_is_accounted_for(mixed: Path, tmp_path: Path) -> None:
    report = make(mixed, tmp_path)
    table = pd.read_parquet(tmp_path / "ledger.parquet").set_index("path")
    assert table["status"].to_dict() == {
        "copy.mkv": "kept",
        "empty.avi": "rejected",
        "fault-x.mp4": "rejected",
        "good.mp4": "rejected",
        "junk.mp4": "rejected",
        "none-at-all.mp4": "rejected",
        "raise-it.mp4": "failed",
        "sub/two-faces.mp4": "kept",
    }
    assert table["reason"]["good.mp4"] == f"the same bytes as {mixed.name}/copy.mkv"
    assert table["reason"]["none-at-all.mp4"] == "no facetrack: no-face (60 frames)"
    assert "damaged beyond use" in table["reason"]["fault-x.mp4"]
    assert str(mixed) not in table["reason"].str.cat()
    assert "KeyError" in table["reason"]["raise-it.mp4"]
    assert all(name in table["reason"][name] for name in ("junk.mp4", "empty.avi"))
    two = table.loc["sub/two-faces.mp4"]
    assert (two["frames"], two["kept_frames"], two["clip_frames"]) == (60, 55, 75)
    assert (two["tracks"], two["clips"], two["split"]) == (2, 2, "test")
    text = "\n".join(report.lines())
    assert "videos 8 = 2 kept + 5 rejected + 1 failed" in text
    assert "frames 180 (7.2 s) = 110 in clips" in text
    assert "1 not a video (.json), 1 not a video (.txt)" in text
    assert sum(line.startswith(("rejected", "failed")) for line in report.lines()) == 6
    assert len(list(read_clips(tmp_path))) == report.clips == 3
    card = (tmp_path / "README.md").read_text()
    assert "No licence to the pictures" in card
    assert "| test | 3 | 5.2 s | 1 |" in card


def test_a_rerun_does_nothing_and_a_change_redoes_only_what_it_touches(tmp_path: Path) -> None:
    sources, out, log = films(tmp_path / "in", "a.mp4", "b.mp4"), tmp_path / "out", tmp_path / "log"
    make(sources, out, log=log)
    assert calls(log) == ["a", "b"]
    before = hashes(out)

    again = make(sources, out, log=log)
    assert again.up_to_date
    assert (calls(log), hashes(out)) == ([], before)

    assert not make(sources, out, log=log, distort="global").up_to_date
    assert calls(log) == []
    assert hashes(out) != before
    make(sources, out, log=log)
    assert (calls(log), hashes(out)) == ([], before)

    write_source(sources / "b.mp4", seed=77)
    make(sources, out, log=log)
    assert calls(log) == ["b"]
    changed = hashes(out)
    assert changed["faces-test-000000.tar"] != before["faces-test-000000.tar"]

    make(sources, out, log=log, settings={"min_face": "64"})
    assert calls(log) == ["a", "b"]


def test_workers_start_early_only_where_there_is_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr(LocalEngine, "begin", lambda _, function: begun.append(function))
    sources, out = films(tmp_path / "in", "a.mp4", "b.mp4"), tmp_path / "out"
    make(sources, out, plan=True)
    assert not begun
    make(sources, out)
    assert len(begun) == 1
    assert make(sources, out).up_to_date
    make(sources, out, plan=True)
    os.utime(sources / "a.mp4", (1, 1))  # hashed again, though it is the same
    assert make(sources, out).up_to_date
    (out / "dataset.json").unlink()
    make(sources, out)  # everything is hashed and most is done
    assert len(begun) == 1


def test_a_name_that_is_no_text_is_escaped_everywhere(tmp_path: Path) -> None:
    sources = films(tmp_path / "in", "a.mp4")
    for name in (b"caf\xe9.mp4", b"fault-\xff.mp4", b"raise-\xff.mp4"):
        target = Path(os.fsdecode(os.fsencode(sources) + b"/" + name))
        write_source(target, seed=name[0])
    report = make(sources, tmp_path / "out")
    assert [clip.meta["source"]["path"] for clip in read_clips(tmp_path / "out")] == [
        "a.mp4",
        "caf\\xe9.mp4",
    ]
    assert "\n".join(report.lines()).encode()
    assert "fault-\\xff.mp4" in pd.read_parquet(tmp_path / "out/ledger.parquet")["path"].tolist()


def test_a_missing_or_cut_shard_is_written_again(tmp_path: Path) -> None:
    sources, out, log = films(tmp_path / "in", "a.mp4"), tmp_path / "out", tmp_path / "log"
    make(sources, out, log=log)
    before = hashes(out)
    (out / "faces-test-000000.tar").write_bytes(b"cut")
    make(sources, out, log=log)
    assert hashes(out) == before
    assert calls(log) == ["a"]


def test_shards_of_an_earlier_split_do_not_stay(tmp_path: Path) -> None:
    sources = films(tmp_path / "in", "a.mp4", "b.mp4", "c.mp4")
    make(sources, tmp_path / "out", shard_clips=1)
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3
    make(sources, tmp_path / "out", split="train", dataset="other")
    tars = [path.name for path in (tmp_path / "out").glob("*.tar")]
    assert tars == ["other-train-000000.tar"]


def test_failures_are_tried_again_unless_told_not_to(tmp_path: Path) -> None:
    sources, out, log = (
        films(tmp_path / "in", "raise-x.mp4", "a.mp4"),
        tmp_path / "o",
        tmp_path / "l",
    )
    make(sources, out, log=log)
    make(sources, out, log=log, retry=False)
    assert calls(log) == ["a", "raise-x"]
    report = make(sources, out, log=log)
    assert calls(log) == ["raise-x"]
    failed = next(row for row in report.rows if row.status == "failed")
    assert (failed.attempts, failed.step) == (2, "facetracks")
    notes = list((out / "work/failed").iterdir())
    assert "Traceback" in json.loads(notes[0].read_text())["trace"]


def test_a_unit_that_loses_frames_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"leak-x\.mp4: 61 frames came in"):
        make(films(tmp_path / "in", "leak-x.mp4"), tmp_path / "out")
    assert not (tmp_path / "out/dataset.json").exists()


def test_work_can_be_left_out_and_the_set_still_counts_as_done(tmp_path: Path) -> None:
    sources, out, log = films(tmp_path / "in", "a.mp4"), tmp_path / "out", tmp_path / "log"
    make(sources, out, log=log, keep_work=False)
    assert not (out / "work").exists()
    assert make(sources, out, log=log, keep_work=False).up_to_date
    assert calls(log) == ["a"]


def test_two_builds_do_not_write_to_one_place(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with (
        locked(tmp_path / "work/lock"),
        pytest.raises(UsageError, match="another build is writing"),
    ):
        make(films(tmp_path / "in", "a.mp4"), tmp_path)


def test_sources_are_split_whole_and_by_folder_on_request(tmp_path: Path) -> None:
    names = [f"{folder}/two-{n}.mp4" for folder in "abcd" for n in range(3)]
    sources = films(tmp_path / "in", *names)
    for by in ("video", "folder"):
        make(sources, tmp_path / by, split="50/0/50", split_by=by)
        index = open_set(tmp_path / by).index()
        assert len(index) == 24
        assert set(index["split"]) == {"train", "test"}
        group = "video_id" if by == "video" else index["path"].str.partition("/")[0]
        assert (index.groupby(group)["split"].nunique() == 1).all()
    by_video = open_set(tmp_path / "video").index()
    assert by_video.groupby(by_video["path"].str[0])["split"].nunique().max() == 2


def test_a_plan_says_what_would_run_and_writes_nothing(tmp_path: Path) -> None:
    sources, out = films(tmp_path / "in", "a.mp4", "b.mp4"), tmp_path / "out"
    text = make(sources, out, plan=True).lines()
    assert "facetracks: 0 done, 2 to do" in text
    assert not out.exists()
    make(sources, out, limit=1)
    assert "facetracks: 1 done, 1 to do" in make(sources, out, plan=True).lines()
    make(sources, out)
    assert "up to date" in make(sources, out, plan=True).lines()[-1]


def test_settings_are_overridden_by_dotted_name() -> None:
    settings = BuildOptions(settings={"min_face": "64", "crops.crf": "20"}).facetrack_settings()
    assert (settings.min_face, settings.crops.crf) == (64.0, 20)
    with pytest.raises(UnknownName, match="min_face"):
        override(settings, {"min_fase": "1"})
    with pytest.raises(UsageError, match=r"crops\.crf=high.*int"):
        override(settings, {"crops.crf": "high"})
    for wrong in ({"dataset": "My Set"}, {"limit": 0}, {"split_by": "day"}):
        with pytest.raises((UsageError, UnknownName)):
            BuildOptions(**wrong)


def test_the_command_offers_every_option_with_the_same_default() -> None:
    offered = {p.name: p.default for p in command.params if p.name is not None}
    options = vars(BuildOptions())
    assert set(options) - {"settings"} <= set(offered)
    for name, default in options.items():
        if name != "settings" and default is not None:
            assert offered[name] == default, name


def test_a_folder_without_video_exits_3_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").write_text("x")
    base = ["build-shards", str(tmp_path / "in"), "--engine", "local", "--sync", "off", "--out"]
    done = CliRunner().invoke(main, [*base, str(tmp_path / "one")])
    assert done.exit_code == 3
    assert "no video among the sources" in done.output
    (tmp_path / "in/junk.mp4").write_bytes(b"junk" * 99)
    done = CliRunner().invoke(main, [*base, str(tmp_path / "two")])
    assert done.exit_code == 3
    assert "none of 1 videos gave a clip" in done.output
    assert (tmp_path / "two/ledger.parquet").exists()
    done = CliRunner().invoke(
        main, ["build-shards", str(tmp_path / "no"), "--out", str(tmp_path / "x"), "--sync", "off"]
    )
    assert done.exit_code == 2
    assert "does not exist" in done.output


def test_nothing_is_loaded_beside_the_units_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("pipelines.build.import_module", loaded.append)
    sources = films(tmp_path / "in", "one-a.mp4", "two-b.mp4")
    assert make(sources, tmp_path / "out").shards
    # A unit that runs in this process could meet PyTorch half loaded.
    assert not loaded


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from fake_facetracks import make_process
from pipelines.build import build

if __name__ == "__main__":
    build(
        [Path(sys.argv[1])], Path(sys.argv[2]), process=make_process(Path(sys.argv[3]), 0.3),
        sync="off", split="50/25/25", distort="drop-duplicate", shard_clips=2, engine="local",
    )
"""
PLAN = {"split": "50/25/25", "distort": "drop-duplicate", "shard_clips": 2}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Five sources, and the set that one undisturbed process makes of them."""
    root = tmp_path_factory.mktemp("reference")
    sources = films(root / "in", *(f"two-{n}.mp4" for n in range(4)), "none-a.mp4")
    make(sources, root / "out", **PLAN)
    return sources, hashes(root / "out")


def test_the_bytes_survive_kills_at_any_moment(
    tmp_path: Path, reference: tuple[Path, dict[str, str]]
) -> None:
    sources, expected = reference
    script, out, log = tmp_path / "driver.py", tmp_path / "out", tmp_path / "log"
    script.write_text(SCRIPT)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, script, sources, out, log, HERE],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.DEVNULL,
        )

    def begun() -> int:
        return len(log.read_text().split()) if log.exists() else 0

    moments = [
        lambda: begun() >= 1,
        lambda: begun() >= 3,
        lambda: any(out.glob("work/pack/*/receipt.json")),
        lambda: any(out.glob("*.tar*")),
    ]
    killed = 0
    for moment in moments:
        run = start()
        end = time.monotonic() + 60
        while not moment() and run.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        time.sleep(0.1 if killed < 2 else 0)
        run.send_signal(signal.SIGKILL)
        killed += run.wait() == -signal.SIGKILL
    assert killed >= 3
    assert not (out / "dataset.json").exists() or hashes(out) == expected
    assert start().wait(60) == 0
    assert hashes(out) == expected
    assert not list(out.rglob("*.part"))
    assert begun() <= 5 + 3  # at most the one video in hand is done again


@pytest.mark.ray
def test_ray_gives_the_same_bytes(tmp_path: Path, reference: tuple[Path, dict[str, str]]) -> None:
    sources, expected = reference
    report = make(sources, tmp_path / "out", engine="ray", workers=3, **PLAN)
    assert hashes(tmp_path / "out") == expected
    assert report.clips == 8


@pytest.mark.media
def test_real_clips_of_unseen_speakers_come_out_in_sync(tmp_path: Path, shared_media: Path) -> None:
    names = ("f1_brbk7n.mpg", "m3_lbax4n.mpg")
    sources = [str(shared_media / "grid/others" / name) for name in names]
    common = ["--split", "val", "--engine", "local"]
    done = CliRunner().invoke(
        main, ["build-shards", *sources, "--out", str(tmp_path / "out"), *common]
    )
    assert done.exit_code == 0, done.output
    index = open_set(tmp_path / "out").index("val")
    assert index["key"].tolist() == ["f1-brbk7n-0000-00", "m3-lbax4n-0000-00"]
    assert index["sync_offset"].abs().max() <= 1
    assert (index["sync_confidence"] > 0.05).all()
    for clip in read_clips(tmp_path / "out"):
        assert clip.frames.shape == (75, 224, 224, 3)
        assert clip.meta["sync"]["checkpoint"]
        assert clip.meta["facetrack"]["source"]["video_codec"] == "mpeg1video"
