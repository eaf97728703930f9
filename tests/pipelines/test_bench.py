"""Scores of the pipeline against planted truth: what is right scores 1, what is wrong less."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from avbench.cli import main
from avbench.data import FloatArray
from avbench.errors import UsageError
from avbench.synthetic import render_programme
from avbench.synthetic.truth import Truth
from pipelines import planted
from pipelines.bench import STEPS, bench
from pipelines.faces import face_box
from pipelines.planted import OffsetTally, owner_of, tally_offset, tally_shots, tally_tracks

Tracks = list[tuple[int, FloatArray]]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return render_programme(11, pool="val", seed=1, seconds=9).truth


def perfect_report(truth: Truth) -> dict[str, Any]:
    edges = sorted({0, truth.num_frames, *truth.cuts, *(e for d in truth.dissolves for e in d)})
    spans = [[a, b] for a, b in pairwise(edges)]
    dissolves = [list(span) for span in truth.dissolves]
    return {"shots": [s for s in spans if s not in dissolves], "transitions": dissolves}


def perfect_tracks(truth: Truth) -> Tracks:
    return [(shot.start, face_box(face.drawn.boxes)) for shot in truth.shots for face in shot.faces]


def test_the_truth_itself_scores_one(truth: Truth) -> None:
    shots = tally_shots(perfect_report(truth), truth, 0)
    assert shots.planted == len(truth.cuts) + len(truth.dissolves) > 1
    assert shots.f1 == 1
    tracks = tally_tracks(perfect_tracks(truth), truth, shortest=1)
    assert (tracks.purity, tracks.coverage) == (1, 1)
    assert tracks.mean_iou == pytest.approx(1)
    assert tracks.tracks == tracks.faces == sum(len(shot.faces) for shot in truth.shots)


def test_boundaries_that_are_missing_shifted_or_invented_cost(truth: Truth) -> None:
    report = perfect_report(truth)
    cut = truth.cuts[0]
    for move, exact, near in ((1, 1, 0), (2, 1, 1)):
        shots = [[a + move * (a == cut), b + move * (b == cut)] for a, b in report["shots"]]
        moved = {**report, "shots": shots}
        whole = len(truth.cuts) + len(truth.dissolves)
        assert tally_shots(moved, truth, 0).right == whole - exact
        assert tally_shots(moved, truth, 1).right == whole - near
    nothing = {"shots": [[0, truth.num_frames]], "transitions": []}
    assert tally_shots(nothing, truth).f1 == 0
    start, stop = report["shots"][0]
    halves = [[start, (start + stop) // 2], [(start + stop) // 2, stop]]
    more = {**report, "shots": [*halves, *report["shots"][1:]]}
    assert tally_shots(more, truth).f1 == pytest.approx(
        2 * tally_shots(report, truth).right / (2 * tally_shots(report, truth).planted + 1)
    )


def test_one_planted_cut_is_found_once() -> None:
    assert planted._matched([10, 12], [11], 1) == [10]
    assert planted._matched([10], [9, 11], 1) == [10]


def test_a_track_over_two_faces_is_not_pure(truth: Truth) -> None:
    tracks = perfect_tracks(truth)
    one, two = tracks[0], next(track for track in tracks if track[0] >= tracks[0][0] + 25)
    joined = (one[0], np.concatenate([one[1], two[1]]))
    if one[0] + len(one[1]) == two[0]:
        tally = tally_tracks([joined], truth, 1)
        assert tally.purity < 1
    moved = [(start, boxes + 3 * (boxes[:, 2:3] - boxes[:, :1])) for start, boxes in tracks]
    assert tally_tracks(moved, truth, 1).purity == 0
    half = [(start, boxes[: len(boxes) // 2]) for start, boxes in tracks]
    assert tally_tracks(half, truth, 1).coverage == pytest.approx(0.5, abs=0.02)
    assert tally_tracks([], truth, 1).coverage == 0


def test_offsets_count_for_those_who_are_heard(truth: Truth) -> None:
    heard = [(shot, face) for shot in truth.shots for face in shot.faces if face.role == "speaking"]
    shot, face = heard[0]
    owner, overlap = owner_of(shot.start, face_box(face.drawn.boxes), truth)
    assert owner is not None
    assert owner.face.identity == face.identity
    assert overlap == pytest.approx(shot.stop - shot.start)
    right = tally_offset(owner, owner.offset + 1, True)
    wrong = tally_offset(owner, owner.offset + 4, True)
    both = right + wrong
    assert (both.tracks, both.right, both.accuracy) == (2, 1, 0.5)
    assert both.mean_error_ms == pytest.approx(100)
    assert tally_offset(None, 3, True) == OffsetTally()
    foreign = planted.Owner(0, next(
        f for s in truth.shots for f in s.faces if f.role != "speaking"
    ), 5, 0)  # fmt: skip
    assert tally_offset(foreign, 0, False) == OffsetTally(foreign=1, refused=1)


def test_a_bench_needs_something_to_measure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        bench(programmes=0)
    with pytest.raises(UsageError, match="is no file"):
        bench([tmp_path / "absent.mp4"], programmes=0)


@pytest.mark.slow
def test_the_card_of_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = CliRunner().invoke(main, ["pipeline", "bench", "--quick", "--json", str(out)])
    assert done.exit_code == 0, done.output
    card = json.loads(out.read_text("utf-8"))
    assert card["accuracy"]["shots"]["f1"] >= 0.95
    assert card["accuracy"]["tracks"]["purity"] >= 0.99
    assert card["accuracy"]["tracks"]["coverage"] > 0.8
    assert card["accuracy"]["offsets"]["within_one"] >= 0.5
    assert set(card["speed"]) == set(STEPS)
    assert card["speed"]["decode"]["floors"] == 1
    assert card["speed"]["facetracks"]["floors"] > 1
    assert "x decoding" in done.output
