"""The rules for several faces at a time: on spans, on squares, and through a whole build."""

from __future__ import annotations

import json
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fake_facetracks import make_process, write_source
from test_facetracks import SQUARES, drifting, find_squares, make, run, scene

from avbench.cli import main
from avbench.data import JSON
from avbench.errors import UnknownName, UsageError
from pipelines import several
from pipelines.build import build
from pipelines.faces import DETECTORS
from pipelines.options import BuildOptions
from pipelines.report import BuildReport

spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: tuple(sorted(pair)))


@given(spans, st.lists(spans, max_size=4), st.integers(1, 20))
def test_parts_tile_the_span_and_show_nobody_else(
    span: tuple[int, int], others: list[tuple[int, int]], shortest: int
) -> None:
    parts = several.alone(span, others, shortest)
    covered = [frame for start, stop, _ in parts for frame in range(start, stop)]
    assert covered == list(range(*span))
    for start, stop, empty in parts:
        crowd = [sum(a <= frame < b for a, b in others) for frame in range(start, stop)]
        if empty:
            assert stop - start >= shortest
            assert not any(crowd)
    # What is left out either shows another face or lies between such, too short to be a clip.
    free = np.ones(61, bool)
    for a, b in others:
        free[a:b] = False
    kept = {frame for start, stop, alone in parts if alone for frame in range(start, stop)}
    run = 0
    for frame in [*range(*span), None]:
        if frame is not None and free[frame]:
            run += 1
            continue
        end = span[1] if frame is None else frame
        assert (run < shortest) == (end - 1 not in kept) or run == 0
        run = 0


def tracks(*spans: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"key": f"t{n}", "start": a, "stop": b} for n, (a, b) in enumerate(spans)]


def test_the_most_confident_of_those_that_share_frames_wins() -> None:
    found = tracks((0, 100), (80, 200), (150, 300), (300, 400))
    scores = {f"t{n}": {"confidence": c} for n, c in enumerate((0.5, 0.3, 0.2, 0.1))}
    # t2 shares frames only with t1, which lost; t3 with nobody.
    assert several.outdone(found, scores) == {"t1": "t0"}
    scores["t1"]["confidence"] = 0.9
    assert several.outdone(found, scores) == {"t0": "t1", "t2": "t1"}


def test_what_was_not_measured_loses_and_is_not_chosen() -> None:
    found = tracks((0, 50), (0, 50), (100, 150), (100, 150), (200, 250))
    scores: dict[str, JSON] = {"t0": {"confidence": -0.1}, "t1": {"note": "x"}, "t3": {}}
    assert several.outdone(found, scores) == {"t1": "t0", "t2": "", "t3": ""}


def test_equals_are_told_apart_by_key_whatever_their_order() -> None:
    found = tracks((0, 50), (0, 50))
    scores = {"t0": {"confidence": 0.5}, "t1": {"confidence": 0.5}}
    assert several.outdone(found, scores) == {"t1": "t0"}
    assert several.outdone(found[::-1], scores) == {"t1": "t0"}


def test_the_runner_up_is_the_best_of_the_others() -> None:
    found = tracks((0, 50), (0, 50), (49, 60), (60, 90))
    scores = {f"t{n}": {"confidence": c, "offset": n} for n, c in enumerate((0.5, 0.1, 0.3, 0.9))}
    assert several.runner_up(found[0], found, scores) == {
        "key": "t2",
        "confidence": 0.3,
        "offset": 2,
    }
    assert several.runner_up(found[3], found, scores) is None
    assert several.runner_up(found[0], found, {}) is None


@pytest.fixture(autouse=True)
def _squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "squares", lambda confidence: find_squares)


def test_a_single_face_is_kept_only_where_it_is_alone(tmp_path: Path) -> None:
    def visitor(t: int) -> tuple[float, float, int]:
        return 150 + t / 5, 60, 40 * (t >= 60)

    def alone(t: int) -> tuple[float, float, int]:
        return 60 + t / 6, 60, 40

    path = make(tmp_path / "v.mp4", scene(2, 100, alone, visitor), scene(3, 50, drifting(60)))
    settings = replace(SQUARES, detect_every=1)
    both = run(path, settings, "both")
    assert [(t["start"], t["stop"], t["co_visible"]) for t in both.tracks] == [
        (0, 100, 1),
        (60, 100, 1),
        (100, 150, 0),
    ]
    report = run(path, replace(settings, single_face=True), "one")
    assert [(t["start"], t["stop"], t["co_visible"]) for t in report.tracks] == [
        (0, 60, 0),
        (100, 150, 0),
    ]
    assert [(r["start"], r["stop"], r["reason"]) for r in report.rejected] == [
        (60, 100, "several-faces"),
        (60, 100, "several-faces"),
    ]
    assert (report.frames["kept"], report.frames["several-faces"]) == (110, 40)


def test_a_face_too_small_to_keep_is_seen_all_the_same(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", scene(2, 50, drifting(60), drifting(150, side=14)))
    report = run(path, replace(SQUARES, single_face=True))
    assert not report.tracks
    assert {r["reason"] for r in report.rejected} == {"several-faces", "face-too-small"}
    assert report.frames["several-faces"] == 50


def test_the_rule_is_part_of_what_a_result_depends_on() -> None:
    plain, single, best = (
        BuildOptions(faces=rule).recipe() for rule in ("keep-all", "single", "best-sync")
    )
    assert plain["facetracks"] != single["facetracks"]
    assert plain["facetracks"] == best["facetracks"]
    assert [recipe["faces"] for recipe in (plain, single, best)] == [
        "keep-all",
        "single",
        "best-sync",
    ]


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="--sync off does not measure"):
        BuildOptions(faces="best-sync", sync="off")
    with pytest.raises(UnknownName, match="rule for several faces"):
        BuildOptions(faces="best")  # type: ignore[arg-type]


def infos(out: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                if entry.name.endswith(".json"):
                    stream = tar.extractfile(entry)
                    assert stream is not None
                    found[entry.name.partition(".")[0]] = json.load(stream)
    return found


def built(sources: Path, out: Path, log: Path, **options: Any) -> BuildReport:
    inner = make_process(log)
    facts: dict[str, JSON] = {
        name: 25 for name in ("width", "height", "fps", "duration_s", "audio_rate")
    }
    facts |= {"video_codec": "h264", "audio_codec": "flac"}

    def process(*arguments: Any) -> Any:
        report = inner(*arguments).as_json()
        report |= {"shots": [], "transitions": [], "rejected": [], "warnings": []}
        return SimpleNamespace(as_json=lambda: {**report, "source": facts})

    return build([sources], out, process=process, engine="local", split="test", **options)


def test_a_build_keeps_all_or_the_one_that_fits_best(tmp_path: Path) -> None:
    sources, out, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    write_source(sources / "two-faces.mp4", seed=1)
    write_source(sources / "one.mp4", seed=2)
    built(sources, out, log)
    assert sorted(log.read_text().split()) == ["one", "two-faces"]
    found = infos(out)
    pair = ("two-faces-0000-00", "two-faces-0000-01")
    assert sorted(found) == ["one-0000-00", *pair]
    for key, other in (pair, pair[::-1]):
        said = found[key]["faces"]
        assert (said["rule"], said["runner_up"]["key"]) == ("keep-all", other)
        assert said["runner_up"]["confidence"] == found[other]["sync"]["confidence"]
    assert found["one-0000-00"]["faces"]["runner_up"] is None
    best = max(pair, key=lambda key: found[key]["sync"]["confidence"])
    (worst,) = set(pair) - {best}

    log.unlink()
    built(sources, out, log, faces="best-sync")
    # Only what depends on the rule is done anew, and the loser is named with its winner.
    assert not log.exists()
    assert sorted(infos(out)) == sorted(["one-0000-00", best])
    assert infos(out)[best]["faces"]["runner_up"]["key"] == worst
    table = pd.read_parquet(out / "sync.parquet").set_index("key")
    assert table["winner"][worst] == best
    assert table["reason"][worst] == several.OUTDONE
    ledger = pd.read_parquet(out / "ledger.parquet").set_index("video_id")
    lost = json.loads(ledger["rejected_frames"]["two-faces"])
    row = ledger.loc["two-faces"]
    assert row["frames"] == row["kept_frames"] + sum(lost.values())
    assert lost[several.OUTDONE] == {pair[0]: 25, pair[1]: 10}[best]
    card = (out / "README.md").read_text()
    assert "highest sync confidence was kept" in card
    assert json.loads((out / "dataset.json").read_text())["recipe"]["faces"] == "best-sync"

    said_why = CliRunner().invoke(main, ["why", "two-faces.mp4", "--shards", str(out)]).output
    assert f"{several.OUTDONE}, sync" in said_why
    assert f"left out for {best}" in said_why
    assert "--faces keep-all" in said_why
