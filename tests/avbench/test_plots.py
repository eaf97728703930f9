"""Figures show what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from figure_maker import TASK, an_outcome, comparisons, reported_rows, with_intervals
from simulated import Failing, Simulated, clip

from avbench import plots
from avbench.benchmark import Outcome, evaluate
from avbench.errors import DataError
from avbench.metrics import confidence as selective
from avbench.metrics import perceptual
from avbench.plots import answers
from avbench.similarity import similarity_matrix


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return an_outcome()


def test_accuracies_are_drawn_where_they_are(outcome: Outcome) -> None:
    figure = plots.accuracy(with_intervals(outcome.scores), search=5)
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


@pytest.mark.parametrize("spread", ["interval", "repeats"])
def test_bars_are_the_spread_asked_for(outcome: Outcome, spread: str) -> None:
    rows = with_intervals(outcome.scores)
    figure = plots.accuracy(rows, search=5, methods=["noisy"], spread=spread)  # type: ignore[arg-type]
    row = next(r for r in rows if (r.method, r.window, r.metric) == ("noisy", 11, "accuracy@0"))
    assert row.value is not None
    assert row.low is not None
    assert row.high is not None
    assert row.std is not None
    ends = (
        (row.low, row.high) if spread == "interval" else (row.value - row.std, row.value + row.std)
    )
    bars = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert sorted(bars[0][:, 1]) == pytest.approx([100 * end for end in ends])


def test_only_the_chosen_methods_are_drawn(outcome: Outcome) -> None:
    figure = plots.accuracy(outcome.scores, search=5, methods=["noisy"], spread="repeats")
    assert len(figure.axes[0].containers) == 2
    with pytest.raises(DataError, match="no accuracies"):
        plots.accuracy(outcome.scores, search=5, methods=["absent"])
    bare = [replace(row, low=None, high=None) for row in outcome.scores]
    with pytest.raises(DataError, match="no 95 % intervals"):
        plots.accuracy(bare, search=5)


def test_a_confusion_holds_every_answer(outcome: Outcome) -> None:
    figure = plots.confusion(outcome.predictions, methods=["clear", "constant"], length=20)
    clear, constant = (axes.images[0].get_array() for axes in figure.axes[:2])
    part = outcome.predictions.query("method == 'clear' and length == 20")
    for offset, said in part.groupby("offset")["predicted"]:
        expected = 100 * (said == offset).mean()
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
    assert figure.axes[0].get_title() == "failing (5 unanswered)"
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


@pytest.mark.parametrize("tolerance", [0, 1])
def test_risk_ends_in_the_share_of_wrong_answers(outcome: Outcome, tolerance: int) -> None:
    figure = plots.risk_coverage(
        outcome.predictions, methods=["clear", "noisy"], length=11, tolerance=tolerance
    )
    for method, line in zip(("clear", "noisy"), figure.axes[0].lines, strict=True):
        part = outcome.predictions.query(f"method == '{method}' and length == 11")
        wrong = ((part["predicted"] - part["offset"]).abs() > tolerance).mean()
        coverage, risk = (np.asarray(x, dtype=float) for x in line.get_data())
        assert (coverage[-1], risk[-1]) == (100, pytest.approx(100 * wrong))
        assert coverage[0] == pytest.approx(100 * answers.FEWEST / len(part))
    mute = outcome.predictions.assign(confidence=np.nan)
    with pytest.raises(DataError, match="never says how sure"):
        plots.risk_coverage(mute, methods=["clear"], length=11)


def test_constant_confidence_is_seen_as_none(outcome: Outcome) -> None:
    assert plots.has_confidence(outcome.predictions, "noisy", 11)
    same = outcome.predictions.assign(confidence=1.0)
    assert not plots.has_confidence(same, "noisy", 11)


def test_confidence_histograms_hold_every_question(outcome: Outcome) -> None:
    figure = plots.confidence(outcome.predictions, methods=["noisy"], length=11)
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(100)
    right, sure = answers.answered(outcome.predictions, "noisy", 11, 0)
    assert axes.get_title().endswith(f"AUROC {selective.auroc(right, sure):.2f}")
    heights = [sum(bar.get_height() for bar in group) for group in axes.containers]
    assert heights == pytest.approx([100 * right.mean(), 100 * (1 - right.mean())])


def test_errors_keep_their_sign_and_their_windows(outcome: Outcome) -> None:
    """Everything predicted two frames too low: audio still leads by two."""
    part = outcome.predictions.query("method == 'clear' and length == 11")
    low = part.assign(predicted=part["offset"] - 2)
    figure = plots.errors(low, methods=["clear"], length=11)
    (axes,) = figure.axes
    (bars,) = axes.containers
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in bars] == [
        (pytest.approx(2), pytest.approx(100))
    ]
    assert axes.get_title() == "clear\ninside: 100, 0, 0 %"  # +80 ms: acceptable, but seen
    late = part.assign(predicted=part["offset"] + 2)
    (other,) = plots.errors(late, methods=["clear"], length=11).axes
    assert other.get_title() == "clear\ninside: 100, 100, 0 %"
    spans = {
        tuple(
            np.round(
                np.asarray(patch.get_extents().transformed(axes.transData.inverted()))[:, 0], 3
            )
        )
        for patch in axes.patches
        if patch not in list(bars)
    }
    assert spans == {
        tuple(round(ms / 40, 3) for ms in (w.lag_ms, w.lead_ms))
        for w in (perceptual.WINDOWS[name] for name in answers.BANDS)
    }


def test_differences_are_turned_towards_the_better(outcome: Outcome) -> None:
    figure = plots.differences(comparisons())
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert [name.split(" ")[::2] for name in names] == [
        ["long-name", "a"],
        ["b", "a"],
        ["long-name", "b"],
    ]
    points = [line for line in axes.lines if line.get_marker() in plots.MARKERS]
    assert all(float(line.get_xdata()[0]) > 0 for line in points)
    filled = {line.get_markerfacecolor() != "white" for line in points[:2]}
    assert filled == {True}
    hollow = [line for line in points if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2  # long-name - b, at both lengths
    intervals = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(
        np.allclose(ends, (100 * (0.111 - 0.03), 100 * (0.111 + 0.02))) for ends in intervals
    )


def test_differences_against_one_method() -> None:
    (axes,) = plots.differences(comparisons(), against="long-name", windows=[20]).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert [name.split(" ")[::2] for name in names] == [["b", "long-name"], ["a", "long-name"]]
    points = [line for line in axes.lines if line.get_marker() in plots.MARKERS]
    found = sorted(float(line.get_xdata()[0]) for line in points)
    assert found == pytest.approx([-12.0, -3.0])
    (turned,) = plots.differences(comparisons(), against="a", methods=["b"], windows=[20]).axes
    interval = next(line.get_xdata() for line in turned.lines if len(line.get_ydata()) == 2)
    assert list(interval) == pytest.approx([3.0, 8.0])  # of a - b: -8 to -3
    with pytest.raises(DataError, match="no paired differences"):
        plots.differences(comparisons(), metric="accuracy@9")


def test_reported_and_measured_never_share_axes() -> None:
    figure = plots.reported(reported_rows())
    assert len(figure.axes) == 2
    paper, ours = figure.axes
    assert paper.get_title().startswith("Reported: Kim et al. (2021)\nlrs2")
    assert ours.get_title().startswith("Measured\ndemo (drawn faces), kim-strict-5 v1")
    for axes in (paper, ours):
        assert len(axes.containers) == 3
    first = {axes: axes.containers[0].lines[0] for axes in (paper, ours)}
    assert first[paper].get_color() == first[ours].get_color()
    assert first[paper].get_markerfacecolor() == "white"
    assert first[ours].get_markerfacecolor() == first[ours].get_color()
    bar = ours.containers[0].lines[2][0].get_segments()[0]
    assert sorted(bar[:, 1]) == pytest.approx([48.0, 53.0])
    with pytest.raises(DataError, match="no rows"):
        plots.reported(reported_rows(), metric="accuracy@4")


def test_the_released_law_drifts_and_the_symmetric_one_does_not() -> None:
    drawn = {law: plots.drawn_offsets(law, clips=300, length=79) for law in plots.LAWS}
    over, share = plots.drift(drawn).axes
    released, symmetric = (
        np.asarray(line.get_ydata(), dtype=float) for line in over.lines[: len(drawn)]
    )
    assert released == pytest.approx(drawn["tae2020"].mean(axis=0))
    assert released[:60].max() > 8
    assert np.abs(symmetric[:60]).max() < 2
    for line in share.lines[: len(drawn)]:
        assert np.sum(line.get_ydata()) == pytest.approx(100)
    again = plots.drawn_offsets("symmetric", clips=300, length=79)
    assert np.array_equal(again, drawn["symmetric"])
    with pytest.raises(DataError, match="no clips"):
        plots.drift({})


def test_tables_hold_what_is_drawn(outcome: Outcome) -> None:
    rows = with_intervals(outcome.scores)
    table = plots.accuracy_table(rows, methods=["noisy", "clear"])
    figure = plots.accuracy(rows, search=5, methods=["noisy", "clear"])
    drawn = {
        round(float(y), 6) for line in figure.axes[0].containers for y in line.lines[0].get_ydata()
    }
    assert {round(100 * value, 6) for value in table["value"]} == drawn
    assert (table["low"] < table["value"]).all()
    options = {"methods": ["clear", "constant"], "length": 20}
    counts = plots.confusion_table(outcome.predictions, **options)  # type: ignore[arg-type]
    panels = plots.confusion(outcome.predictions, **options).axes[:2]  # type: ignore[arg-type]
    for axes, (_, part) in zip(panels, counts.groupby("method"), strict=True):
        asked = part.groupby("offset")["count"].transform("sum")
        for offset, said, share in zip(
            part["offset"], part["predicted"], 100 * part["count"] / asked, strict=True
        ):
            cell = axes.images[0].get_array()[int(offset) + 5, int(said) + 5]
            assert cell == pytest.approx(share)
