from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from avbench import protocols
from avbench.alignment_task import AlignmentTask, task_of
from avbench.benchmark import Outcome, evaluate, unfit
from avbench.cache import EmbeddingCache
from avbench.data import Alignment, Clip, Embeddings, FloatArray, Item, Prediction
from avbench.errors import DataError, UsageError
from avbench.journal import Journal
from avbench.methods import Aligned, Aligner, Method
from avbench.metrics import alignment
from avbench.results import read_run, write_run
from avbench.tables import run_table
from avbench.tasks import OffsetTask
from avbench.timing import SAMPLES_PER_FRAME
from avbench.warping import band_of, skips
from baselines.constant import Constant
from baselines.oracle import Oracle

LOCAL = AlignmentTask()
SMALL = AlignmentTask(lengths=(59,), repeats=2, family="tae-local-symmetric")
WHOLE = task_of(protocols.get("whole-clip-symmetric"), repeats=2)


class Centred(simulated.Simulated):
    """Constant offsets from embeddings of the middle frame of every row."""

    sees_outside = True

    def embed(self, clip: Clip) -> Embeddings:
        seen = Clip(clip.key, clip.frames[2:-2], clip.audio[2 * 640 : -2 * 640])
        pad = Clip(
            clip.key,
            np.pad(seen.frames, ((0, 4), (0, 0), (0, 0), (0, 0)), "edge"),
            np.pad(seen.audio, (0, 4 * 640), "edge"),
        )
        rows = super().embed(pad)
        return Embeddings(np.asarray(rows.video), np.asarray(rows.audio))


class Planted:
    """An aligner on simulated embeddings, whose faults can be planted."""

    BIBTEX = ""
    name = "planted"

    def __init__(self, noise: float = 0.0, **faults: Any) -> None:
        self.inner = Centred("planted", noise)
        self.extractor, self.faults = self.inner.extractor, faults
        self.shapes: list[tuple[int, ...]] = []

    def embed(self, clip: Clip) -> Embeddings:
        if clip.key == self.faults.get("embed"):
            raise RuntimeError("no face")
        return self.inner.embed(clip)

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        self.shapes.append((len(video), video.shape[1], audio.shape[1]))
        index = skips(band_of(video, audio, 27)).astype(np.float64)
        if "index" in self.faults:
            index[:, 0] = self.faults["index"]
        if "raises" in self.faults and len(video) >= self.faults["raises"]:
            raise ValueError("too many")
        return Aligned(index)

    def predict(self, clip: Clip) -> Any:
        raise AssertionError("windows are asked with align")


def clips(count: int = 6, num_frames: int = 90) -> list[Clip]:
    return [simulated.clip(number, num_frames=num_frames) for number in range(count)]


def measure(*methods: Method, task: Any = SMALL, **options: Any) -> Outcome:
    given = options.pop("clips", None) or clips()
    return evaluate(list(methods), given, task, reference=None, **options)


def value(outcome: Outcome, method: str, metric: str) -> float:
    (found,) = [r.value for r in outcome.scores if (r.method, r.metric) == (method, metric)]
    return float(found if found is not None else np.nan)


def seen_and_heard(window: Clip) -> tuple[FloatArray, FloatArray]:
    """Read the source frame of every picture and of every frame of sound."""
    heard = np.rint(window.audio[::SAMPLES_PER_FRAME] * simulated.LONGEST) - 1
    return window.frames[:, 0, 0, 2].astype(float), heard


@settings(deadline=None, max_examples=30)
@given(
    number=st.integers(0, 200),
    own=st.integers(-4, 4),
    law=st.sampled_from(["tae-local", "tae-local-symmetric", "whole-clip-symmetric"]),
)
def test_the_truth_is_the_nearest_picture_that_is_shown(number: int, own: int, law: str) -> None:
    clip = simulated.clip(number, num_frames=150, offset=own)
    for question in task_of(protocols.get(law), repeats=2).questions(clip):
        window = question.cut(clip)
        seen, heard = seen_and_heard(window)
        assert len(window) == len(question.shown) == len(heard)
        if law != "whole-clip-symmetric":
            assert (len(window), len(question.asked)) == (79, 25)
            assert question.lead == 25
        for frame, offset in zip(question.asked, question.offsets, strict=True):
            gaps = np.abs(seen - heard[frame])
            shown = seen[frame + offset]
            assert abs(shown - heard[frame]) == gaps.min() or frame + offset == 76
            after = seen[frame + offset + 1 :]
            assert not (after == shown).any() or frame + offset == 76, "not its last copy"


def test_a_question_depends_on_seed_key_and_repeat_alone() -> None:
    clip = simulated.clip(3, num_frames=120)
    first = LOCAL.questions(clip)
    more = AlignmentTask(lengths=(60, 75), repeats=3).questions(clip)
    assert [q for q in more if q.length == 75 and q.repeat == 0] == first
    assert len({q.shown for q in more}) == len(more)
    assert AlignmentTask(seed=1).questions(clip) != first
    assert LOCAL.questions(simulated.clip(4, num_frames=120)) != first


def test_answers_lie_in_the_window_and_the_laws_drift_as_they_say() -> None:
    clip = simulated.clip(0, num_frames=150)
    drift = {}
    for name in ("tae-local", "tae-local-symmetric"):
        asked = task_of(protocols.get(name), repeats=300).questions(clip)
        rows = np.array([np.add(q.offsets, range(25, 50)) for q in asked])
        assert rows.min() >= 0
        assert rows.max() < 75
        drift[name] = np.mean([np.mean(q.offsets) for q in asked])
    assert drift["tae-local"] > 4
    assert abs(drift["tae-local-symmetric"]) < 1.5


def test_a_clip_that_is_too_short_or_damaged_already_is_refused_with_a_reason() -> None:
    assert LOCAL.questions(simulated.clip(0, num_frames=104))
    short = simulated.clip(0, num_frames=103)
    assert LOCAL.questions(short) == []
    assert [r.reason for r in LOCAL.refusals(short)] == ["too short: 103 frames"]
    assert LOCAL.questions(simulated.clip(0, num_frames=104, offset=3)) == []
    assert LOCAL.questions(simulated.clip(0, num_frames=107, offset=3))
    damaged = simulated.clip(1, num_frames=150)
    varies = Alignment(np.minimum(np.arange(150), 100))
    bent = Clip("bent", damaged.frames, damaged.audio, varies)
    for task in (LOCAL, WHOLE):
        assert task.questions(bent) == []
        assert [r.reason for r in task.refusals(bent)] == ["its alignment is not a constant offset"]
        assert task.refusals(simulated.clip(1, offset=None))[0].reason == "its truth is unknown"
    assert WHOLE.questions(simulated.clip(0, num_frames=29)) == []
    assert WHOLE.refusals(simulated.clip(0, num_frames=29))[0].length is None
    with pytest.raises(DataError, match="none of the 6 clips"):
        measure(Oracle(), task=LOCAL)


def test_the_fields_of_a_task_are_checked() -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {"lengths": (50,)},
        {"repeats": 0},
        {"tolerances": ()},
        {"lengths": ()},
    )
    for fields in wrong:
        with pytest.raises(UsageError):
            AlignmentTask(**fields)
    with pytest.raises(UsageError):
        task_of(protocols.get("whole-clip-symmetric"), lengths=(75,))
    with pytest.raises(UsageError):
        task_of(protocols.get("redub"))


def test_a_range_of_its_own_is_not_renamed() -> None:
    with pytest.raises(UsageError, match="±25 frames and no other"):
        AlignmentTask(search=10, lengths=(75,))


@pytest.mark.parametrize("task", [SMALL, WHOLE])
def test_the_oracle_is_perfect_and_a_constant_is_not(task: AlignmentTask) -> None:
    outcome = measure(Oracle(), Constant(), task=task)
    assert value(outcome, "oracle", "accuracy@0") == 1
    assert value(outcome, "oracle", "max_absolute_error") == 0
    assert value(outcome, "constant", "accuracy@0") < 0.5


def test_an_aligner_follows_what_a_constant_offset_cannot() -> None:
    outcome = measure(
        Planted(),
        Centred("global", 0.0),
        task=AlignmentTask(repeats=4),
        clips=clips(num_frames=120),
    )
    assert value(outcome, "planted", "mean_absolute_error") < 1
    assert value(outcome, "global", "mean_absolute_error") > 2
    assert value(outcome, "planted", "accuracy@0") > 0.6 > value(outcome, "global", "accuracy@0")
    constant = outcome.predictions[outcome.predictions["method"] == "global"]
    assert (constant.groupby(["key", "repeat"])["predicted"].nunique() == 1).all()


class PlantedClips(Planted):
    """A planted aligner that takes whole clips, from embeddings or as they are."""

    def __init__(self, name: str, noise: float = 0.3) -> None:
        super().__init__(noise)
        self.name = name

    def align_clip(self, rows: Embeddings) -> Alignment:
        index = self.align(rows.video[None], rows.audio[None]).index[0].astype(int)
        before, after = index[0] + np.array([0, 1]), index[-1] + np.array([3, 4])
        return Alignment(np.concatenate([before, index + 2, after]))


class Asked(Planted):
    """The same, where it is asked to predict."""

    name = "asked"

    def predict(self, clip: Clip) -> Prediction:
        return Prediction(clip.key, PlantedClips("inner").align_clip(self.inner.embed(clip)))


def test_whole_clips_are_embedded_once_and_answered_as_predicted() -> None:
    one, two, asked = PlantedClips("one"), PlantedClips("two"), Asked(0.3)
    constant = Centred("global", 0.3)
    constant.extractor = one.extractor
    outcome = measure(one, two, asked, constant, task=WHOLE)
    assert not outcome.failures
    assert len(one.inner.embedded) == 2 * 6
    assert two.inner.embedded == constant.embedded == []
    parts = dict(list(outcome.predictions.groupby("method")["predicted"]))
    assert (parts["one"].to_numpy() == parts["asked"].to_numpy()).all()
    assert value(outcome, "one", "accuracy@1") > 0.8 > value(outcome, "global", "accuracy@1")


def test_scores_are_those_of_the_metrics_of_alignments() -> None:
    outcome = measure(Planted(noise=1.0))
    table = outcome.predictions.sort_values(["key", "repeat", "frame"])
    groups = [part for _, part in table.groupby(["key", "repeat"])]
    truth = [part["frame"] + part["offset"] for part in groups]
    said = [part["frame"] + part["predicted"] for part in groups]
    # Alignments there start at the first asked frame: indices are moved alike.
    found = alignment.evaluate(
        [(t - p["frame"].min()).to_numpy(float) for t, p in zip(truth, groups, strict=True)],
        [(s - p["frame"].min()).to_numpy(float) for s, p in zip(said, groups, strict=True)],
    )
    for metric, expected in found.items():
        assert value(outcome, "planted", metric) == pytest.approx(expected), metric


def test_neither_order_nor_company_nor_batches_change_results() -> None:
    first = measure(Planted(noise=1.0), Constant())
    again = measure(Constant(), Planted(noise=1.0), clips=clips()[::-1], batch_size=1, workers=2)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)
    assert first.scores == again.scores
    assert first.questions_sha256 == again.questions_sha256


def test_windows_have_the_shape_of_the_paper_and_are_asked_together() -> None:
    method = Planted()
    measure(method, task=AlignmentTask(repeats=2), clips=clips(num_frames=110))
    assert method.shapes == [(12, 75, 25)]


@pytest.mark.parametrize(
    ("faults", "failure", "lost"),
    [
        ({"index": np.nan}, "no match for a frame", 1 / 9),
        ({"index": 99.0}, "no row of picture", 1),
        ({"index": 0.5}, "no row of picture", 1),
        ({"embed": "clip-0002"}, "RuntimeError: no face", 1 / 6),
        ({"raises": 1}, "ValueError: too many", 1),
        ({"raises": 2}, None, 0),
    ],
)
def test_what_is_not_answered_is_wrong_and_says_why(
    faults: dict[str, Any], failure: str | None, lost: float
) -> None:
    outcome = measure(Planted(**faults))
    table = outcome.predictions
    assert table["predicted"].isna().mean() == pytest.approx(lost)
    messages = outcome.failures.get("planted", {})
    assert all(failure is not None and failure in text for text in messages)
    assert bool(messages) == (failure is not None)
    assert value(outcome, "planted", "accuracy@0") <= 1 - lost


def test_an_interrupted_run_goes_on_and_damaged_windows_are_embedded_once(tmp_path: Path) -> None:
    items = [Item.of(clip, sha256=f"{n}") for n, clip in enumerate(clips())]
    cache = EmbeddingCache(tmp_path / "cache", {})
    plain = measure(Planted())
    with Journal(tmp_path / "journal", "same") as journal:
        measure(Planted(), clips=items[:3], journal=journal)
        assert len(journal) == 3
        method = Planted()
        outcome = measure(method, clips=items, journal=journal, cache=cache)
        assert method.inner.embedded == [key for clip in items[3:] for key in 2 * [clip.key]]
    pd.testing.assert_frame_equal(outcome.predictions, plain.predictions)
    again = Planted()
    measure(again, clips=items[3:], cache=cache)
    assert again.inner.embedded == []
    measure(
        again,
        clips=items[3:],
        cache=cache,
        task=AlignmentTask(lengths=(59,), seed=1, family="tae-local-symmetric"),
    )
    assert len(again.inner.embedded) == 3, "another damage is another picture"


@pytest.mark.parametrize("offset", [-5, 0, 4])
def test_an_aligner_answers_a_constant_offset_by_the_vote_of_its_frames(offset: int) -> None:
    task = OffsetTask(lengths=(40,), search=6, repeats=8, family="tae-single")
    method = Planted(noise=0.2)
    outcome = measure(method, task=task, clips=[simulated.clip(7, 120, offset=offset)])
    assert method.shapes == [(8, seen, 25) for seen in (31, 33, 36, 34, 31)]
    assert value(outcome, "planted", "accuracy@0") == 1
    assert value(outcome, "planted", "max_absolute_error") == 0


class Unsure(Planted):
    """Gives its best answer to a false row of picture, and almost as much to the true one."""

    def align(self, video: FloatArray, audio: FloatArray) -> Aligned:
        true = super().align(video, audio).index
        rng, columns = np.random.default_rng(0), video.shape[1]
        false = rng.integers(columns, size=true.shape)
        share = np.full((*true.shape, columns), 1e-6)
        np.put_along_axis(share, np.nan_to_num(true).astype(int)[..., None], 0.4, -1)
        np.put_along_axis(share, false[..., None], 0.6, -1)
        return Aligned(false.astype(float), np.log(share))


def test_a_row_that_gives_probabilities_votes_with_them() -> None:
    task = OffsetTask(lengths=(40,), search=6, repeats=8, family="tae-single")
    outcome = measure(Unsure(), task=task, clips=[simulated.clip(7, 120, offset=2)])
    assert value(outcome, "planted", "accuracy@0") == 1


def test_methods_that_a_task_is_not_for_are_told_so() -> None:
    aligner = Planted()
    assert isinstance(aligner, Aligner)
    assert "too short" in unfit(aligner, OffsetTask())
    assert "too short" in unfit(aligner, OffsetTask.of(protocols.get("pm-window-15")))
    assert not unfit(aligner, OffsetTask.of(protocols.get("tae-single-25")))
    assert "picture around its sound" in unfit(simulated.Simulated(), LOCAL)
    assert not unfit(simulated.Simulated(), WHOLE)
    with pytest.raises(UsageError, match="cannot be asked under"):
        measure(simulated.Simulated())


def test_results_are_written_compared_and_shown_with_the_columns_of_the_paper(
    tmp_path: Path,
) -> None:
    outcome = measure(Planted(noise=1.0), Centred("global", 1.0), Constant())
    block = {
        "task": SMALL.describe(),
        "dataset": "simulated",
        "synthetic": False,
        "split": "test",
        "limit": None,
        "reference": None,
        "methods": {
            name: {"sees_truth": False, "checkpoint": None}
            for name in ("planted", "global", "constant")
        },
    }
    write_run(tmp_path, outcome.predictions, outcome.scores, outcome.describe(block))
    run = read_run(tmp_path)
    assert run.comparisons is not None
    pairs = run.comparisons["cells"][0]["pairs"]
    assert {(pair["a"], pair["b"]) for pair in pairs} == {
        ("constant", "global"),
        ("constant", "planted"),
        ("global", "planted"),
    }
    clusters = {row.clusters for row in run.scores}
    assert clusters == {6}
    assert all(row.low is not None for row in run.scores if row.metric == "mean_absolute_error")
    text = run_table(run).to_text()
    heads = ["method", "mean error (frames)", "largest (frames)", "top-1 (%)", "within ±1 (%)"]
    assert " ".join(heads) in " ".join(text.split())
    assert "108 frames of sound asked about, in 6 clips" in text
    lines = text.splitlines()
    best = next(line for line in lines if line.startswith("planted"))
    assert f"{value(outcome, 'planted', 'mean_absolute_error'):.2f}" in best
