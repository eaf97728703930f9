from __future__ import annotations

import time
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import lil_matrix
from scipy.sparse.csgraph import dijkstra

from avbench.data import FloatArray, IntArray
from avbench.distort import alignment_of, drop_duplicate, rng_for
from avbench.warping import Band, Cost, band_of, invert, skip_posteriors, skips, warp


def random_rows(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape)


def full(band: Band, window: int = 0) -> FloatArray:
    """Unshear the band of one window: costs of sound rows down, picture rows across."""
    costs = np.full((band.costs.shape[1], band.num_video), np.inf)
    for i, row in enumerate(band.costs[window]):
        for w, cost in enumerate(row):
            j = i + band.lead + w - band.reach
            if 0 <= j < band.num_video:
                costs[i, j] = cost
            else:
                assert cost == np.inf
    return costs


@pytest.mark.parametrize(("video_rows", "audio_rows", "reach"), [(9, 9, 3), (12, 6, 4), (5, 11, 4)])
def test_a_band_holds_the_costs_of_the_pairs_near_the_diagonal(
    video_rows: int, audio_rows: int, reach: int
) -> None:
    video, audio = random_rows(0, 2, video_rows, 4), random_rows(1, 2, audio_rows, 4)
    lead = (video_rows - audio_rows) // 2
    costs: tuple[Cost, ...] = ("squared", "distance", "cosine")
    for cost in costs:
        found = full(band_of(video, audio, reach, cost), 1)
        for i, j in np.ndindex(audio_rows, video_rows):
            a, v = audio[1, i], video[1, j]
            expected = {
                "squared": np.mean((a - v) ** 2),
                "distance": np.linalg.norm(a - v),
                "cosine": 1 - a @ v / np.linalg.norm(a) / np.linalg.norm(v),
            }[cost]
            if abs(j - i - lead) > reach:
                expected = np.inf
            assert found[i, j] == pytest.approx(expected, abs=1e-5)


def test_a_long_band_is_that_of_its_parts() -> None:
    video, audio = random_rows(2, 1, 2500, 3), random_rows(3, 1, 2500, 3)
    whole = band_of(video, audio, 5)
    part = band_of(video[:, 1000:1100], audio[:, 1000:1100], 5)
    assert np.allclose(whole.costs[:, 1010:1090], part.costs[:, 10:90], atol=1e-5)


def slow_skips(costs: FloatArray, penalties: list[float]) -> float:
    """The cost of the cheapest path of listed steps, cell by cell."""
    total = costs[0].copy()
    for row in costs[1:]:
        total = np.array(
            [
                row[j] + min((total[j - s] + p for s, p in enumerate(penalties) if s <= j))
                for j in range(len(row))
            ]
        )
    return float(total.min())


def skip_cost(costs: FloatArray, path: IntArray, penalties: list[float]) -> float:
    steps = np.diff(path)
    assert steps.min(initial=0) >= 0
    assert steps.max(initial=0) < len(penalties)
    return float(costs[np.arange(len(path)), path].sum() + sum(penalties[s] for s in steps))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), spare=st.integers(0, 6), reach=st.integers(1, 8))
def test_skips_are_the_cheapest_path(seed: int, spare: int, reach: int) -> None:
    penalties = [0.3, 0.0, 0.2, 0.5]
    video, audio = random_rows(seed, 2, 7 + spare, 3), random_rows(seed + 1, 2, 7, 3)
    band = band_of(video, audio, reach, "squared")
    found = skips(band, penalties)
    for window, path in enumerate(found):
        costs = full(band, window)
        assert skip_cost(costs, path, penalties) == pytest.approx(slow_skips(costs, penalties))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), reach=st.integers(1, 3))
def test_posteriors_are_those_of_all_paths(seed: int, reach: int) -> None:
    penalties, heat = [0.3, 0.0, 0.2], 0.4
    video, audio = random_rows(seed, 1, 6, 3), random_rows(seed + 1, 1, 4, 3)
    band = band_of(video, audio, reach, "squared")
    costs = full(band)
    weights = np.zeros(costs.shape)
    for path in product(range(6), repeat=4):
        steps = np.diff(path)
        inside = np.isfinite(costs[np.arange(4), path]).all()
        if inside and steps.min() >= 0 and steps.max() < len(penalties):
            likely = np.exp(-skip_cost(costs, np.array(path), penalties) / heat)
            weights[np.arange(4), path] += likely
    expected = weights / weights.sum(axis=1, keepdims=True)
    found = np.exp(skip_posteriors(band, penalties, heat))[0]
    assert found.shape == (4, 6)
    assert np.allclose(found, expected, atol=1e-6)


def shortest(costs: FloatArray, penalty: float, free: int) -> float:
    """The length of the cheapest warping path, by Dijkstra's algorithm on the graph of cells."""
    rows, columns = costs.shape
    across, down = (max(0, x) + free for x in (columns - rows, rows - columns))
    size = costs.size
    graph = lil_matrix((size + 2, size + 2))
    tiny = 1e-9  # a weight of 0 would be no edge
    for i, j in np.ndindex(rows, columns):
        here = i * columns + j
        if not np.isfinite(costs[i, j]):
            continue
        start = (i == 0 and j <= across) or (j == 0 and i <= down)
        if start:
            graph[size, here] = tiny
        else:
            for di, dj in ((1, 1), (1, 0), (0, 1)):
                if i >= di and j >= dj:
                    extra = penalty * (di + dj == 1)
                    graph[here - di * columns - dj, here] = costs[i, j] + extra + tiny
        if (i == rows - 1 and j >= columns - 1 - across) or (
            j == columns - 1 and i >= rows - 1 - down
        ):
            graph[here, size + 1] = tiny
    found: float = dijkstra(graph.tocsr(), indices=size)[size + 1]
    return found


def warp_cost(costs: FloatArray, path: IntArray, penalty: float, free: int) -> float:
    """The cost of the path that leaves each row of sound at the given picture."""
    rows, columns = costs.shape
    across = max(0, columns - rows) + free
    on = np.flatnonzero((path >= 0) & (path < columns))
    assert (np.diff(path) >= 0).all()
    first, last = on[0], on[-1]
    assert (np.diff(on) == 1).all()
    starts = range(min(across, path[first]) + 1) if first == 0 else [0]
    best = np.inf
    for begin in starts:  # the path may enter its first row at any free cell
        total, at = 0.0, begin
        for i in range(first, last + 1):
            if i > first:
                ways = []
                for entry, extra in ((at + 1, 0.0), (at, penalty)):
                    if entry <= path[i]:
                        cells = costs[i, entry : path[i] + 1]
                        ways.append(extra + cells.sum() + penalty * (len(cells) - 1))
                total += min(ways)
            else:
                total += costs[i, begin + 1 : path[i] + 1].sum() + penalty * (path[i] - begin)
            at = path[i]
        best = min(best, total)
    return float(best)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.sampled_from([(8, 8), (12, 6), (6, 12)]),
    free=st.integers(0, 2),
    penalty=st.sampled_from([0.0, 0.05, 1.0]),
    reach=st.integers(4, 12),
)
def test_a_warp_is_the_shortest_path(
    seed: int, sizes: tuple[int, int], free: int, penalty: float, reach: int
) -> None:
    video, audio = random_rows(seed, 2, sizes[0], 3), random_rows(seed + 1, 2, sizes[1], 3)
    band = band_of(video, audio, reach, "distance")
    found = warp(band, penalty, free)
    for window, path in enumerate(found):
        costs = full(band, window)
        expected = shortest(costs, penalty, free)
        assert warp_cost(costs, path, penalty, free) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("lead", [0, 25])
def test_clean_rows_stay_on_the_diagonal(lead: int) -> None:
    video = random_rows(4, 3, 40 + 2 * lead, 16)
    band = band_of(video, video[:, lead : lead + 40], 25)
    assert (skips(band) == lead + np.arange(40)).all()
    assert (warp(band, free=0) == lead + np.arange(40)).all()


@pytest.mark.parametrize("law", ["tae2020", "symmetric"])
def test_planted_drops_and_copies_are_found(law: str) -> None:
    for seed in range(5):
        shown = drop_duplicate(104, rng=rng_for(seed, law), law=law)[:79]  # type: ignore[arg-type]
        truth = alignment_of(shown).video_index[27:52]
        sound = random_rows(seed, 104, 16)
        video, audio = sound[None, shown], sound[None, 27:52]
        # What is shown at all is found; a dropped frame has no picture to be found by.
        survives = np.isin(np.arange(27, 52), shown)
        found = skips(band_of(video, audio, 27))[0]
        assert (shown[found] == np.arange(27, 52))[survives].mean() > 0.9
        assert (np.abs(found - truth) <= 3)[survives].mean() > 0.9  # one copy or another
        moved = warp(band_of(video, audio, 27), penalty=0.05)[0]
        assert (shown[moved.clip(0, 78)] == np.arange(27, 52))[survives].mean() > 0.9


def test_windows_do_not_depend_on_each_other() -> None:
    video, audio = random_rows(5, 4, 30, 4), random_rows(6, 4, 10, 4)
    together = band_of(video, audio, 10)
    for window in range(4):
        alone = band_of(video[window : window + 1], audio[window : window + 1], 10)
        assert (skips(alone)[0] == skips(together)[window]).all()
        assert (warp(alone)[0] == warp(together)[window]).all()


@given(steps=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_inverting_gives_the_last_row_of_every_picture_that_is_shown(steps: list[int]) -> None:
    index = np.cumsum(steps)
    found = invert(index[None], int(index[-1]) + 1)[0]
    for picture, row in enumerate(found):
        shown = np.flatnonzero(index == picture)
        later = np.flatnonzero(index > picture)
        assert row == (shown[-1] if len(shown) else later[0])


@pytest.mark.slow
def test_an_hour_takes_less_than_a_minute() -> None:
    rows = random_rows(7, 1, 90_000, 8).astype(np.float32)
    started = time.process_time()
    band = band_of(rows, rows, 25)
    found, moved = skips(band), warp(band)
    assert time.process_time() - started < 60
    assert (found == np.arange(90_000)).all()
    assert (moved == np.arange(90_000)).all()


def test_memory_grows_with_the_rows_and_not_with_their_square() -> None:
    def peak(count: int) -> int:
        rows = random_rows(8, 1, count, 8).astype(np.float32)
        tracemalloc.start()
        band = band_of(rows, rows, 25)
        skips(band)
        warp(band)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(1200) < 2.5 * peak(600)
