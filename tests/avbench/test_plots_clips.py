"""Figures of distances and matrices of clips show what was planted in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_maker import synced_rows, twins
from simulated import Simulated, clip

from avbench import plots
from avbench.errors import DataError
from avbench.metrics import verification


@pytest.mark.parametrize("own", [-3, 0, 4])
def test_rows_in_sync_belong_together_whatever_the_offset_was(own: int) -> None:
    rows = Simulated(noise=0.0).embed(clip(3, 60, own))
    moved = plots.SyncedRows.of("a", "a", rows, own)
    assert len(moved) == 56 - abs(own)
    assert np.allclose(moved.video, moved.audio)
    unit = plots.SyncedRows.of("a", "a", rows, own, unit=True)
    assert np.allclose(np.linalg.norm(unit.audio, axis=1), 1)


@pytest.mark.parametrize("shift", [-4, 3])
def test_troughs_are_where_the_offset_was_planted(shift: int) -> None:
    found = plots.response_curves(synced_rows(), search=10, shift=shift)
    assert list(found) == ["synced", "shifted", "unrelated"]
    for name, offset in (("synced", 0), ("shifted", shift)):
        assert found[name].offset == offset
        assert np.all(found[name].curves.argmin(axis=1) - 10 == offset)
    # The same pictures and sounds: a displaced curve is the synced one, moved.
    both = np.array([found[name].curves.mean(axis=0) for name in ("synced", "shifted")])
    overlap = slice(max(0, -shift), 21 - max(0, shift))
    assert np.allclose(both[0][overlap], np.roll(both[1], -shift)[overlap])
    depth = [np.median(c.curves, axis=1) - c.curves.min(axis=1) for c in found.values()]
    assert depth[2].max() < 0.5 * depth[0].min()


def test_responses_show_every_clip_and_the_table_holds_the_same() -> None:
    rows = synced_rows(3)
    found = plots.response_curves(rows, search=5, shift=2)
    table = plots.response_table(found, [one.key for one in rows])
    figure = plots.responses(found)
    assert len(figure.axes) == 3
    for axes, (name, part) in zip(figure.axes, table.groupby("case", sort=False), strict=True):
        assert axes.get_title().startswith("shifted by +2" if name == "shifted" else str(name))
        drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines[:4]]
        wide = part.pivot(index="key", columns="offset", values="distance")
        assert list(wide.columns) == list(range(-5, 6))
        assert np.allclose(drawn[:3], wide.to_numpy())
        assert np.allclose(drawn[3], wide.to_numpy().mean(axis=0))
    assert "trough right in 3 of 3" in figure.axes[1].get_title()


def test_unrelated_sound_is_that_of_another_speaker() -> None:
    rows = [plots.SyncedRows(str(n), "ab"[n > 1], one.video, one.audio) for n, one in
            enumerate(synced_rows(4))]  # fmt: skip
    found = plots.response_curves(rows, search=3, shift=0)
    # Pictures that show the stranger's sound give themselves away by a trough.
    fake = [plots.SyncedRows(one.key, one.source, rows[other].audio, one.audio) for one, other in
            zip(rows, (2, 2, 0, 0), strict=True)]  # fmt: skip
    seen = plots.response_curves(fake, search=3, shift=0)["unrelated"].curves
    assert np.allclose(seen[:, 3], 0)
    assert found["unrelated"].curves.min() > 0
    with pytest.raises(DataError, match="all 2 clips are of one source"):
        plots.response_curves(rows[:2], search=3, shift=0)


def test_short_clips_are_refused_with_what_they_lack() -> None:
    with pytest.raises(DataError, match="has 60 frames and this needs 71"):
        plots.response_curves(synced_rows(2, frames=60), search=25, shift=8)
    with pytest.raises(DataError, match="no clips"):
        plots.response_curves([], search=5, shift=0)


def test_false_pairs_are_displaced_within_their_clip() -> None:
    rows = synced_rows(4)
    found = plots.drawn_pairs(rows, per_clip=300, farthest=7)
    genuine, false = found[found["shift"] == 0], found[found["shift"] != 0]
    assert len(genuine) == len(false) == 4 * 300
    assert set(false["shift"]) == set(range(-7, 8)) - {0}
    sound = false["row"] + false["shift"]
    assert (sound.min(), sound.max()) == (0, len(rows[0]) - 1)
    one = false[false["key"] == rows[1].key].iloc[7]
    expected = np.linalg.norm(rows[1].video[one["row"]] - rows[1].audio[one["row"] + one["shift"]])
    assert one["distance"] == pytest.approx(float(expected))
    alone = plots.drawn_pairs(rows[1:2], per_clip=300, farthest=7)
    together = found[found["key"] == rows[1].key].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)
    with pytest.raises(DataError, match="six frames"):
        plots.drawn_pairs([plots.SyncedRows("k", "k", np.ones((1, 2)), np.ones((1, 2)))])


def test_pairs_are_told_apart_as_well_as_the_metric_says() -> None:
    clear, noisy = (
        plots.separation(plots.drawn_pairs(synced_rows(noise=noise))) for noise in (0.1, 3.0)
    )
    assert clear.equal_error_rate < 0.02
    assert clear.auroc > 0.99
    assert noisy.equal_error_rate > 0.3
    found = plots.drawn_pairs(synced_rows(noise=1.0))
    measured = plots.separation(found)
    genuine = found["shift"] == 0
    assert measured.equal_error_rate == verification.equal_error_rate(genuine, -found["distance"])
    false_reject = (found["distance"][genuine] > measured.threshold).mean()
    false_accept = (found["distance"][~genuine] <= measured.threshold).mean()
    assert max(false_reject, false_accept) == pytest.approx(measured.equal_error_rate)


def test_pair_histograms_hold_every_pair() -> None:
    found = plots.drawn_pairs(synced_rows())
    (axes,) = plots.pairs(found, title="a net").axes
    for bars in axes.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    measured = plots.separation(found)
    assert f"EER {100 * measured.equal_error_rate:.1f} %" in axes.get_title()
    assert float(axes.lines[0].get_xdata()[0]) == pytest.approx(measured.threshold)


@pytest.mark.parametrize("offset", [-5, -1, 0, 4])
def test_contrast_is_the_height_of_a_diagonal_above_its_neighbours(offset: int) -> None:
    narrow = np.eye(12, k=offset)
    assert plots.contrast(narrow, offset) == pytest.approx(1)
    wide = narrow + 0.5 * np.eye(12, k=offset - 1) + 0.5 * np.eye(12, k=offset + 1)
    assert plots.contrast(wide, offset) == pytest.approx(0.5)
    assert plots.contrast(wide, offset + 1) == pytest.approx(0)


def test_a_corner_has_one_neighbour() -> None:
    corner = np.zeros((4, 4))
    corner[0, 3], corner[0, 2] = 1, 0.5
    assert plots.contrast(corner, 3) == pytest.approx(0.75)


@pytest.mark.parametrize("width", [3.15, 6.6])
@pytest.mark.parametrize("draw", [plots.before_after, plots.gradients])
def test_twins_are_drawn_above_each_other(draw: object, width: float) -> None:
    found = twins()
    figure = draw(found, width=width)  # type: ignore[operator]
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    drawn = {np.asarray(axes.images[0].get_array()).tobytes(): axes for axes in panels}
    for twin in found:
        above, below = drawn[twin.top.tobytes()], drawn[twin.bottom.tobytes()]
        assert f"offset {twin.offset:+d}" in above.get_title()
        assert above.get_subplotspec().colspan == below.get_subplotspec().colspan
        assert above.get_subplotspec().rowspan.start == below.get_subplotspec().rowspan.start - 1
        for axes in (above, below):
            figure.draw_without_rendering()
            assert axes.get_xlim() == (-0.5, 15.5)
            middle = np.mean([x - y for x, y in (line.get_data() for line in axes.lines)], axis=0)
            assert middle == pytest.approx(twin.offset)
    with pytest.raises(DataError, match="no windows"):
        draw([])  # type: ignore[operator]


def test_gradients_are_white_at_zero() -> None:
    figure = plots.gradients(twins())
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    limits = {picture.get_clim() for picture in pictures[3:]}
    ((low, high),) = limits
    assert low == -high
    assert high == pytest.approx(max(np.abs(twin.bottom).max() for twin in twins()))


def test_the_table_of_twins_holds_every_element() -> None:
    found = twins((1, -3))
    table = plots.twin_table(found, ("before", "after"))
    assert len(table) == 2 * 2 * 16 * 16
    part = table[(table["panel"] == 1) & (table["matrix"] == "after")]
    matrix = part.pivot(index="audio", columns="video", values="value").to_numpy()
    assert np.array_equal(matrix, found[1].bottom)
    assert set(part["offset"]) == {-3}
