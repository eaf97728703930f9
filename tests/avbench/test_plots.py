from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from simulated import Failing, Simulated, clip

from avbench import plots
from avbench.benchmark import Outcome, evaluate
from avbench.errors import DataError, UsageError
from avbench.similarity import similarity_matrix
from avbench.tasks import OffsetTask
from baselines.constant import Constant

TASK = OffsetTask(lengths=(11, 20), repeats=5)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    methods = [Simulated("clear"), Simulated("noisy", noise=2.5), Constant()]
    return evaluate(methods, [clip(number) for number in range(10)], TASK)


def test_accuracies_are_drawn_where_they_are(outcome: Outcome) -> None:
    figure = plots.accuracy(outcome.scores, search=5)
    (axes,) = figure.axes
    values = {
        (row.window, round(100 * (row.value or 0), 6))
        for row in outcome.scores
        if row.metric.startswith("accuracy@")
    }
    drawn = {
        (int(x), round(float(y), 6))
        for line in axes.containers
        for x, y in zip(*line.lines[0].get_data(), strict=True)
    }
    assert drawn == values
    levels = [float(line.get_ydata()[0]) for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert any(abs(level - 100 / 11) < 1e-9 for level in levels)
    assert any(abs(level - 100 * 31 / 121) < 1e-9 for level in levels)
    assert [text.get_text() for text in axes.artists[0].get_texts()] == [
        "clear",
        "noisy",
        "constant",
    ]
    assert axes.get_ylim()[0] == 0


def test_only_the_chosen_methods_are_drawn(outcome: Outcome) -> None:
    figure = plots.accuracy(outcome.scores, search=5, methods=["noisy"])
    assert len(figure.axes[0].containers) == 2
    with pytest.raises(DataError, match="no accuracies"):
        plots.accuracy(outcome.scores, search=5, methods=["absent"])


def test_a_confusion_holds_every_answer(outcome: Outcome) -> None:
    figure = plots.confusion(outcome.predictions, methods=["clear", "constant"], length=20)
    clear, constant = (axes.images[0].get_array() for axes in figure.axes[:2])
    part = outcome.predictions.query("method == 'clear' and length == 20")
    for offset, answers in part.groupby("offset")["predicted"]:
        expected = 100 * (answers == offset).mean()
        assert clear[int(offset) + 5, int(offset) + 5] == pytest.approx(expected)
    assert np.asarray(clear).sum(axis=1) == pytest.approx(
        np.where(np.isin(np.arange(-5, 6), part["offset"]), 100.0, 0.0)
    )
    assert np.asarray(constant)[:, 5] == pytest.approx(np.asarray(constant).sum(axis=1))
    with pytest.raises(DataError, match="clear at 13 frames"):
        plots.confusion(outcome.predictions, methods=["clear"], length=13)


def test_unanswered_questions_are_named_in_the_confusion() -> None:
    found = evaluate([Failing(length=11)], [clip(1)], TASK)
    figure = plots.confusion(found.predictions, methods=["failing"], length=11)
    assert figure.axes[0].get_title() == "failing, 11 frames (5 unanswered)"
    assert np.asarray(figure.axes[0].images[0].get_array()).sum() == 0


@pytest.mark.parametrize("offset", [-4, 0, 3])
def test_the_marked_diagonal_is_the_true_one(offset: int) -> None:
    window = clip(2).window(10, 20, offset)
    rows = Simulated(noise=0.1).embed(window)
    matrix = similarity_matrix(rows.audio, rows.video)
    figure = plots.similarity(matrix, offset=offset, search=5, title="a clip")
    left, right = figure.axes[0], figure.axes[1]
    assert np.array_equal(np.asarray(left.images[0].get_array()), matrix)
    lines = [line.get_data() for line in left.lines]
    assert len(lines) == 2
    middle = np.mean([x - y for x, y in lines], axis=0)
    assert middle == pytest.approx(offset)
    assert f"answer {offset:+d}" in [text.get_text() for text in right.texts]
    responses = np.asarray(right.lines[0].get_ydata(), dtype=float)
    assert len(responses) == 11
    assert int(np.argmax(responses)) - 5 == offset


@pytest.mark.parametrize("kind", plots.FORMATS)
def test_the_same_figure_gives_the_same_bytes(outcome: Outcome, tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        figure = plots.accuracy(outcome.scores, search=5)
        plots.save(figure, tmp_path / "made" / f"{name}.{kind}")
    first, second = ((tmp_path / "made" / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert first[:5] in (b"\x89PNG\r", b"%PDF-", b"<?xml")
    assert len(list((tmp_path / "made").iterdir())) == 2


def test_other_endings_are_refused(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.pdf or \.svg"):
        plots.save(plots.accuracy(outcome.scores, search=5), tmp_path / "figure.jpg")
