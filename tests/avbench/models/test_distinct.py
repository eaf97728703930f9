"""Rows of the pictures that differ: which copy stays, where it goes, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench.models.corrupt import CENTRE, PAPER_COLUMNS, PAPER_ROWS, damage, draw_window
from avbench.models.crf import EmissionConfig
from avbench.models.crf_decoder import DamagedField
from avbench.models.distinct import KNOWN, around, distinct_rows, gather, unknown
from avbench.models.drop_field import LOW
from avbench.models.training import new_network

MIDDLE = 37
SURE = -30.0


def rng(seed=0):
    return np.random.default_rng(seed)


def series(count, dim=8, seed=0):
    return torch.from_numpy(rng([seed, count]).standard_normal((count, dim)).astype(np.float32))


def told_of(frames):
    """Sharp logarithms of what was dropped before each picture."""
    gaps = np.diff(frames, prepend=frames[0] - 1) - 1
    sharp = np.full((len(frames), 3), SURE, np.float32)
    sharp[np.arange(len(frames)), np.minimum(gaps, 2)] = 0.0
    return torch.from_numpy(sharp)


def damaged(seed, num_frames=110, law="both", dim=8):
    """Rows of a damaged clip, those of its whole sound, and the damage."""
    found = damage(num_frames, rng(seed), law)
    frames, number = np.unique(found.shown, return_inverse=True)
    rows = series(num_frames, dim)
    video = distinct_rows(rows[frames], told_of(frames), number)
    return video, rows[CENTRE : num_frames - CENTRE], found


def windows(columns=PAPER_COLUMNS, count=6, law="both"):
    """Damaged windows, each of another clip."""
    made = [damaged(seed, law=law)[0] for seed in range(count)]
    firsts = [int(rng(seed).integers(len(rows) - columns + 1)) for seed, rows in enumerate(made)]
    return torch.stack(
        [rows[first : first + columns] for first, rows in zip(firsts, made, strict=True)]
    )


def test_a_row_has_the_picture_of_its_middle_frame():
    number = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4])
    rows, told = series(5), series(5, 3, seed=1)
    found = distinct_rows(rows, told, number)
    assert found.shape == (len(number) - 4, 8 + KNOWN)
    for row, line in enumerate(found):
        picture = number[row + 2]
        assert torch.equal(line[:8], rows[picture])
        assert line[8] == picture + 1
        assert torch.equal(line[9:], told[picture])


def test_five_pictures_are_looked_at_around_each():
    for count in (1, 2, 5, 9):
        windows_of = np.lib.stride_tricks.sliding_window_view(around(count), 5)
        assert len(windows_of) == count
        expected = np.arange(count)[:, None] + np.arange(-2, 3)
        np.testing.assert_array_equal(windows_of, expected.clip(0, count - 1))


def test_nothing_known_is_four_zeros():
    rows = series(6)
    found = unknown(rows)
    assert torch.equal(found[:, :-KNOWN], rows)
    assert found.shape == (6, 12)
    assert not found[:, -KNOWN:].any()


def by_hand(window):
    """Return column -> place of one window, column by column."""
    numbers = window[:, -KNOWN].int().tolist()
    middle = numbers[len(numbers) // 2]
    return {
        column: MIDDLE + number - middle
        for column, number in enumerate(numbers)
        if column + 1 == len(numbers) or numbers[column + 1] != number
    }


@pytest.mark.parametrize("columns", [75, 74, 30, 5, 1])
def test_the_last_copies_stay_and_the_middle_picture_is_in_the_middle(columns):
    video = windows(columns)
    found = gather(video)
    assert found.rows.shape == (len(video), PAPER_COLUMNS, 8)
    for index, window in enumerate(video):
        places = by_hand(window)
        expected = [places.get(column, -1) for column in range(columns)]
        assert found.place[index].tolist() == expected
        there = sorted(places.values())
        assert there == [*range(there[0], there[-1] + 1)], "no hole between pictures"
        assert found.there[index].nonzero().flatten().tolist() == there
        for column, place in places.items():
            assert torch.equal(found.rows[index, place], window[column, :8])
            assert torch.equal(found.dropped[index, place], window[column, -3:])
        middle = window[columns // 2]
        assert torch.equal(found.rows[index, MIDDLE], middle[:8])
        empty = ~found.there[index]
        assert not found.rows[index, empty].any()
        assert not found.dropped[index, empty, 0].any(), "surely none"
        assert (found.dropped[index, empty, 1:] <= LOW).all()


def test_a_window_without_copies_loses_nothing():
    number = np.arange(PAPER_COLUMNS + 4)
    rows, told = series(len(number)), series(len(number), 3)
    found = gather(distinct_rows(rows, told, number)[None])
    assert found.there.all()
    assert torch.equal(found.place[0], torch.arange(PAPER_COLUMNS))
    assert torch.equal(found.rows[0], rows[2:-2])


def test_only_differences_of_numbers_count():
    """A window is the same wherever in its clip it was cut out."""
    video = windows()
    later = video.clone()
    later[..., -KNOWN] += 100
    for one, other in zip(gather(video), gather(later), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("columns", [75, 30])
def test_what_is_collected_and_spread_is_as_it_was(columns):
    video = windows(columns)
    found = gather(video)
    values = torch.arange(1.0, 4 * columns + 1).view(4, columns)
    collected = found.collect(values)
    assert collected.shape == (len(video), 4, PAPER_COLUMNS)
    assert not collected[~found.there.unsqueeze(1).expand_as(collected)].any()
    back = found.spread(collected)
    assert back.shape == (len(video), 4, columns)
    for index, window in enumerate(video):
        last = torch.zeros(columns, dtype=torch.bool)
        last[list(by_hand(window))] = True
        assert torch.equal(back[index][:, last], values[:, last])
        assert torch.isneginf(back[index][:, ~last]).all()
    assert found.collect(values > 0).dtype == torch.bool


def field():
    made = new_network(lambda: DamagedField(EmissionConfig()), rng())
    return made.eval().requires_grad_(False)


def test_answers_do_not_depend_on_other_windows():
    video, audio = windows(), series(6 * 25, seed=2).view(6, 25, 8)
    decide = field()
    together = decide(audio, video)
    for index in range(len(video)):
        alone = decide(audio[[index]], video[[index]])[0]
        torch.testing.assert_close(together[index], alone)
        others = torch.cat((video[[index]], 5 * torch.flip(video, [0])))
        others[1:, :, -KNOWN] = 0.0  # as a batch is filled up
        among = decide(torch.cat((audio[[index]], audio)), others)[0]
        torch.testing.assert_close(together[index], among)


@pytest.mark.parametrize("columns", [75, 31])
def test_answers_are_probabilities_of_last_copies_that_are_allowed(columns):
    video, audio = windows(columns), series(6 * 9, seed=2).view(6, 9, 8)
    shift = torch.arange(columns) - torch.arange(9).unsqueeze(-1) - (columns - 9) // 2
    allowed = shift.abs() <= 8
    for rule in (None, allowed):
        said = field()(audio, video, rule)
        assert said.shape == (6, 9, columns)
        torch.testing.assert_close(said.exp().sum(-1), torch.ones(6, 9), atol=1e-4, rtol=0)
        for index, window in enumerate(video):
            copies = sorted({*range(columns)} - {*by_hand(window)})
            assert torch.isneginf(said[index][:, copies]).all()
        if rule is not None:
            assert float(said.exp()[:, ~allowed].max()) < 1e-6


@pytest.mark.parametrize("law", ["tae2020", "symmetric"])
def test_an_untrained_field_finds_equal_rows_when_told_what_was_dropped(law):
    audios, videos, targets, shown = [], [], [], []
    for seed in range(60):
        video, sound, found = damaged(seed, law=law, dim=64)
        window = draw_window(found, PAPER_COLUMNS, PAPER_ROWS, rng(seed))
        if window is None or np.diff(np.unique(found.shown)).max() > 4:
            continue  # of more than three frames that are gone, later ones count otherwise
        column, row = window
        videos.append(video[column : column + PAPER_COLUMNS])
        audios.append(sound[row : row + PAPER_ROWS])
        targets.append(found.column[row : row + PAPER_ROWS] - column)
        shown.append(np.isin(np.arange(PAPER_ROWS) + row + CENTRE, found.shown))
    assert len(videos) >= 15
    audio, video = torch.stack(audios), torch.stack(videos)
    target, shown = (torch.from_numpy(np.stack(values)) for values in (targets, shown))
    wrong = field()(audio, video).argmax(-1) != target
    assert not wrong[shown].any()
    # Sound of dropped frames is like no picture: two gaps in a row can change places by chance.
    assert float(wrong[~shown].float().mean()) < 0.05
    # Told nothing of what was dropped, it can only guess which side of a gap they count to.
    video[..., 1 - KNOWN :] = 0.0
    blind = field()(audio, video).argmax(-1) != target
    assert float(blind[~shown].float().mean()) > 0.2


def test_a_field_learns_from_answers_and_from_what_it_is_told():
    made = new_network(lambda: DamagedField(EmissionConfig()), rng())
    video, sound, found = damaged(3, dim=8)
    column, row = draw_window(found, PAPER_COLUMNS, PAPER_ROWS, rng())
    target = torch.from_numpy(found.column[row : row + PAPER_ROWS] - column)[None]
    window = video[column : column + PAPER_COLUMNS][None]
    made.loss(sound[row : row + PAPER_ROWS][None], window, target).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert made.field.trust.grad.any()
