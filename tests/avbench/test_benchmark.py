from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import Failing, Simulated, clip

from avbench.benchmark import Outcome, evaluate
from avbench.data import Alignment, Clip, Prediction
from avbench.errors import DataError, UsageError
from avbench.journal import Journal
from avbench.methods import Method
from avbench.results import Score
from avbench.tasks import OffsetTask
from baselines.constant import Constant
from baselines.oracle import Oracle

TASK = OffsetTask(lengths=(11, 20), repeats=3)


class Windowed:
    """A simulated method that may only be asked one window at a time."""

    BIBTEX = ""

    def __init__(self, inner: Simulated) -> None:
        self.name, self.inner = f"{inner.name}-windowed", inner
        self.seen: list[Clip] = []

    def predict(self, clip: Clip) -> Prediction:
        self.seen.append(clip)
        return self.inner.predict(clip)


def clips(count: int = 12) -> list[Clip]:
    return [clip(number, num_frames=36 + number) for number in range(count)]


def measure(*methods: Method, task: OffsetTask = TASK, **options: Any) -> Outcome:
    return evaluate(list(methods), options.pop("clips", None) or clips(), task, **options)


def value(outcome: Outcome, method: str, metric: str, window: int = 20) -> Score:
    (found,) = [
        row
        for row in outcome.scores
        if (row.method, row.metric, row.window) == (method, metric, window)
    ]
    return found


def test_the_oracle_is_perfect_and_a_constant_at_chance() -> None:
    task = OffsetTask(lengths=(11, 20), repeats=60)
    outcome = measure(Oracle(), Constant(), task=task)
    for window in task.lengths:
        assert value(outcome, "oracle", "accuracy@0", window).value == 1
        assert value(outcome, "oracle", "max_absolute_error", window).value == 0
        assert value(outcome, "constant", "accuracy@0", window).value == pytest.approx(
            1 / 11, abs=0.03
        )
        assert value(outcome, "constant", "accuracy@1", window).value == pytest.approx(
            3 / 11, abs=0.05
        )


def test_sound_three_frames_early_reads_plus_three() -> None:
    task = OffsetTask(lengths=(20,), repeats=20)
    outcome = measure(Simulated(noise=0.0), task=task)
    asked = outcome.predictions[outcome.predictions["offset"] == 3]
    assert len(asked) > 5
    assert (asked["predicted"] == 3).all()
    question = asked.iloc[0]
    source = clips()[int(question["key"][-4:])]
    start = int(question["start"])
    window = source.window(start, 20, 3)
    # The sound of the window's first frame is what the clip plays three frames later.
    later = clip(0).audio[(start + 3) * 640]
    assert window.audio[0] == later
    assert (outcome.predictions["predicted"] == outcome.predictions["offset"]).all()


def test_every_method_is_asked_the_same_questions() -> None:
    outcome = measure(Oracle(), Constant(), Simulated())
    asked = outcome.predictions.drop(columns=["predicted", "confidence", "failure"])
    parts = [part.drop(columns="method") for _, part in asked.groupby("method")]
    for part in parts[1:]:
        pd.testing.assert_frame_equal(part.reset_index(drop=True), parts[0].reset_index(drop=True))
    assert outcome.questions_sha256 == measure(Constant()).questions_sha256
    assert outcome.questions_sha256 != measure(Constant(), clips=clips(11)).questions_sha256


def test_neither_order_nor_batch_size_nor_company_changes_results() -> None:
    first = measure(Simulated(), Constant())
    shuffled = [clips()[i] for i in np.random.default_rng(0).permutation(12)]
    second = measure(Constant(), Simulated(), clips=shuffled, batch_size=1)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    assert first.scores == second.scores
    alone = measure(Simulated())
    assert [row for row in first.scores if row.method == "simulated"] == alone.scores


def test_slices_of_a_clip_answer_as_the_windows_themselves() -> None:
    outcome = measure(Simulated(), Windowed(Simulated()))
    answers = [
        part.drop(columns="method").reset_index(drop=True)
        for _, part in outcome.predictions.groupby("method")
    ]
    pd.testing.assert_frame_equal(*answers)
    assert 0.2 < (value(outcome, "simulated", "accuracy@0").value or 0) < 1


def test_a_clip_is_embedded_once_for_all_methods_of_an_extractor() -> None:
    one, two, other = Simulated("one"), Simulated("two"), Simulated("other", noise=2.0)
    outcome = measure(one, two, other)
    keys = [made.key for made in clips()]
    assert (one.embedded, two.embedded, other.embedded) == (keys, [], keys)
    assert value(outcome, "one", "accuracy@0").value == value(outcome, "two", "accuracy@0").value


def test_clips_are_taken_one_by_one() -> None:
    alive: list[int] = []

    def stream() -> Any:
        for number in range(5):
            alive.append(number)
            yield clip(number)

    evaluate([Constant()], stream(), TASK)
    assert alive == [0, 1, 2, 3, 4]


def test_a_method_never_sees_the_truth() -> None:
    spy = Windowed(Simulated())
    measure(spy)
    assert len(spy.seen) == 12 * 2 * 3
    assert all(seen.alignment is None and not seen.meta for seen in spy.seen)
    assert {len(seen) for seen in spy.seen} == {11, 20}


def test_a_clip_with_an_offset_of_its_own_is_asked_all_the_same() -> None:
    moved = [clip(number, offset=number % 7 - 3) for number in range(12)]
    outcome = measure(Simulated(noise=0.0), clips=moved)
    assert (outcome.predictions["predicted"] == outcome.predictions["offset"]).all()
    assert outcome.predictions["offset"].abs().max() <= 5
    assert not outcome.refusals


@pytest.mark.parametrize(
    ("method", "failed", "message"),
    [
        (Failing(embed="clip-0003"), 6, "RuntimeError: no face in this clip"),
        (Failing(length=11), 36, "ValueError: no head for this length"),
    ],
)
def test_a_failure_stays_in_the_denominator(method: Failing, failed: int, message: str) -> None:
    outcome = measure(method, Oracle())
    assert outcome.failures == {"failing": {message: failed}}
    rows = [row for row in outcome.scores if row.method == "failing"]
    assert {row.n for row in rows} == {36}
    failures = outcome.predictions[outcome.predictions["failure"].notna()]
    assert failures["predicted"].isna().all()
    healthy = measure(Simulated("failing"))
    for window in TASK.lengths:
        lost = failures[failures["length"] == window][["key", "repeat"]]
        fine = healthy.predictions[healthy.predictions["length"] == window]
        right = fine[fine["predicted"] == fine["offset"]].merge(lost, how="left", indicator=True)
        expected = (right["_merge"] == "left_only").sum() / 36
        assert value(outcome, "failing", "accuracy@0", window).value == pytest.approx(expected)
        assert value(outcome, "failing", "accuracy@0", window).n_failed == len(lost)
    assert value(outcome, "oracle", "accuracy@0").value == 1


def test_windows_that_fail_do_not_take_others_with_them() -> None:
    together, alone = (measure(Failing(nan=20), batch_size=size) for size in (256, 1))
    pd.testing.assert_frame_equal(together.predictions, alone.predictions)
    share = together.predictions.query("length == 20")["failure"].notna().mean()
    assert 0 < share < 1


def test_nonsense_is_a_failure_not_a_crash() -> None:
    class Drifting(Windowed):
        def predict(self, clip: Clip) -> Prediction:
            return Prediction(clip.key, Alignment(np.arange(len(clip)) // 2))

    class Misshapen(Simulated):
        def compare(self, video: Any, audio: Any) -> Any:
            return super().compare(video, audio)[:, 1:]

    class Curtailed(Simulated):
        def embed(self, clip: Clip) -> Any:
            rows = super().embed(clip)
            return rows._replace(video=rows.video[1:])

    outcome = measure(
        Drifting(Simulated()), Misshapen("misshapen"), Curtailed("curtailed", noise=2.0)
    )
    found = {method: " ".join(messages) for method, messages in outcome.failures.items()}
    assert "not a constant offset" in found["simulated-windowed"]
    assert "2 * search + 1" in found["misshapen"]
    assert "expected 32" in found["curtailed"]
    assert all(row.value == 0 for row in outcome.scores if row.metric.startswith("accuracy"))
    assert all(row.value is None for row in outcome.scores if row.metric.endswith("error"))


def test_short_clips_are_counted_and_named() -> None:
    outcome = measure(Constant(), clips=[clip(0, num_frames=25), clip(1, offset=None), clip(2)])
    assert outcome.num_clips == 3
    assert [(r.key, r.length) for r in outcome.refusals] == [("clip-0000", 20), ("clip-0001", None)]
    assert value(outcome, "constant", "accuracy@0", 11).n == 6
    assert value(outcome, "constant", "accuracy@0", 20).n == 3


def test_what_cannot_be_measured_says_so() -> None:
    with pytest.raises(DataError, match="too short: 12 frames"):
        measure(Constant(), clips=[clip(0, num_frames=12)])
    with pytest.raises(DataError, match=r"truth is unknown.*--distort none"):
        measure(Constant(), clips=[clip(0, offset=None)])
    with pytest.raises(DataError, match="no clips"):
        evaluate([Constant()], [], TASK)
    with pytest.raises(DataError, match=r"clip-0001.*unique"):
        measure(Constant(), clips=[clip(1), clip(1)])
    with pytest.raises(UsageError, match="each once"):
        measure(Constant(), Constant())


def test_longer_windows_are_easier_and_noise_is_harder() -> None:
    task = OffsetTask(lengths=(7, 11, 20), repeats=20)
    outcome = measure(Simulated("clear", noise=0.8), Simulated("noisy", noise=2.5), task=task)
    found = {
        name: [value(outcome, name, "accuracy@0", w).value or 0 for w in task.lengths]
        for name in ("clear", "noisy")
    }
    for values in found.values():
        assert values == sorted(values)
    assert all(a > b for a, b in zip(found["clear"], found["noisy"], strict=True))


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = measure(Simulated(), Oracle())

    def interrupted() -> Any:
        yield from clips()[:5]
        raise KeyboardInterrupt

    path = tmp_path / "journal.jsonl"
    with Journal(path, "same") as journal, pytest.raises(KeyboardInterrupt):
        evaluate([Simulated(), Oracle()], interrupted(), TASK, journal=journal)
    with path.open("a") as file:
        file.write('["clip-0005", {"simul')
    resumed = Simulated()
    with Journal(path, "same") as journal:
        again = evaluate([resumed, Oracle()], clips(), TASK, journal=journal)
    assert resumed.embedded == [made.key for made in clips()[5:]]
    pd.testing.assert_frame_equal(again.predictions, whole.predictions)
    assert again.scores == whole.scores
    assert again.seconds["simulated"] > 0
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)[0] for line in lines[1:]] == [made.key for made in clips()]


def test_a_journal_of_other_work_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "one") as journal:
        journal["a"] = 1
    with Journal(path, "one") as journal:
        assert dict(journal) == {"a": 1}
    with Journal(path, "two") as journal:
        assert not journal
        journal.discard()
    assert not path.exists()
