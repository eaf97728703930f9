"""Rows of the pictures that differ: which copy stays, when it was taken, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench.models.corrupt import CENTRE, PAPER_COLUMNS, PAPER_ROWS, damage, draw_window
from avbench.models.crf import EmissionConfig
from avbench.models.crf_decoder import DamagedField
from avbench.models.distinct import KNOWN, distinct_rows, gather, time_line, unknown
from avbench.models.drop_field import LOW
from avbench.models.losses import cosine_matrix
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


TAKEN = [
    [0],
    [0, 1],
    [0, 2],
    [0, 3],
    [0, 1, 2, 3, 4, 5],
    [0, 2, 4, 6],
    [0, 3, 6],
    [0, 1, 4, 6, 7, 10, 12, 13],
]
"""Moments at which pictures were taken, at most two missing between neighbours."""


def moments_of(taken):
    """Every moment that is seen, by hand: two more at both ends."""
    return np.clip(np.arange(-2, taken[-1] + 3), 0, taken[-1])


@pytest.mark.parametrize("taken", TAKEN, ids=str)
def test_pictures_are_taken_as_much_later_as_frames_were_dropped(taken):
    line = time_line(told_of(np.array(taken)))
    assert line.row.tolist() == taken
    assert len(line.before) == len(line.weight) == taken[-1] + 1 + 4
    for moment, before, weight in zip(moments_of(taken), line.before, line.weight, strict=True):
        last = max(at for at, time in enumerate(taken) if time <= moment)
        assert before == last
        gap = taken[last + 1] - taken[last] if last + 1 < len(taken) else 1
        assert float(weight) == pytest.approx((moment - taken[last]) / gap)


@pytest.mark.parametrize("taken", TAKEN, ids=str)
def test_pictures_stay_and_missing_ones_lie_on_the_line_between_them(taken):
    pictures = series(len(taken), 12).view(len(taken), 3, 4)
    line = time_line(told_of(np.array(taken)))
    found = line.restore(pictures)
    assert found.shape == (taken[-1] + 1 + 4, 3, 4)
    for at, moment in enumerate(moments_of(taken)):
        if moment in taken:  # exactly, and at both ends three times
            assert torch.equal(found[at], pictures[taken.index(moment)])
        else:
            after = int(np.searchsorted(taken, moment))
            gap, since = taken[after] - taken[after - 1], moment - taken[after - 1]
            old, new = pictures[after - 1], pictures[after]
            torch.testing.assert_close(found[at], (old * (gap - since) + new * since) / gap)
    # The row of a picture sees two moments before it and two after.
    assert torch.equal(found.unfold(0, 5, 1)[line.row, ..., 2], pictures)


def test_what_is_unknown_of_a_picture_spoils_no_other():
    points = series(4, 6).view(4, 3, 2)
    points[2] = torch.nan  # no face
    found = time_line(told_of(np.array([0, 1, 2, 4]))).restore(points)
    assert torch.isnan(found).all(dim=(1, 2)).tolist() == [*[False] * 4, True, True, *[False] * 3]


def test_whole_numbers_stay_whole():
    colours = torch.tensor([0, 101, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 2, 2, 3)
    found = time_line(told_of(np.array([0, 2, 5]))).restore(colours)
    assert found.dtype == torch.uint8
    assert found[2:-2, 0, 0, 0].tolist() == [0, 50, 101, 152, 204, 255]


@pytest.mark.parametrize("taken", TAKEN, ids=str)
def test_what_moves_evenly_is_as_if_nothing_were_missing(taken):
    start, speed = series(2, 12).view(2, 3, 4)
    whole = torch.stack([start + int(moment) * speed for moment in moments_of(taken)])
    pictures = torch.stack([start + moment * speed for moment in taken])
    found = time_line(told_of(np.array(taken))).restore(pictures)
    torch.testing.assert_close(found, whole)


def test_what_was_dropped_before_the_first_picture_does_not_matter():
    told = told_of(np.array([0, 2, 3, 6]))
    lines = [time_line(torch.cat((told[[other]], told[1:]))) for other in (0, 1, 3)]
    for line in lines:
        assert line.row.tolist() == [0, 2, 3, 6]
        np.testing.assert_array_equal(line.before, lines[0].before)
        assert torch.equal(line.weight, lines[0].weight)


def test_of_what_is_told_the_likeliest_counts():
    told = torch.tensor([[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0.4, 0.3, 0.3]])
    assert time_line(told.log()).row.tolist() == [0, 2, 5, 6]


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


@pytest.mark.parametrize("columns", [75, 74, 30, 1])
def test_the_time_of_pictures_in_a_window_is_that_of_the_clip(columns):
    video = windows(columns)
    found = gather(video)
    assert found.time.shape == (len(video), PAPER_COLUMNS)
    assert (found.time[:, MIDDLE] == PAPER_COLUMNS).all()
    for index, window in enumerate(video):
        shown = window[list(by_hand(window))]
        there = found.there[index]
        since = np.diff(time_line(shown[:, -3:]).row)
        np.testing.assert_array_equal(found.time[index, there].diff(), since)
        first, *_, last = there.nonzero().flatten().tolist() * 2
        for empty in (found.time[index, : first - 1], found.time[index, last:]):
            assert (empty.diff() == 1).all(), "where there is none, time goes on"


def untouched(count, told):
    """One window of different pictures, with what is told of each."""
    number = np.arange(count + 2 * CENTRE)
    return distinct_rows(series(len(number)), told.expand(len(number), 3), number)[None]


@pytest.mark.parametrize(("most", "first", "last"), [(0, 38, 112), (1, 1, 149), (2, 0, 150)])
def test_time_ends_at_the_edges_however_much_was_dropped(most, first, last):
    told = torch.eye(3)[most].sub(1.0)
    found = gather(untouched(PAPER_COLUMNS, told))
    expected = PAPER_COLUMNS + (most + 1) * (torch.arange(PAPER_COLUMNS) - MIDDLE)
    assert torch.equal(found.time[0], expected.clamp(0, 150))
    assert found.time[0, [0, -1]].tolist() == [first, last]
    laid = found.lay_out(torch.ones(1, 2, PAPER_COLUMNS), torch.zeros(1, 2, 1))
    assert int(laid.sum()) == 2 * len(found.time.unique())


def test_what_is_laid_out_lies_at_its_time_and_nowhere_else():
    video = windows()
    found = gather(video)
    values = 1 + torch.arange(float(len(video) * 4 * PAPER_COLUMNS)).view(-1, 4, PAPER_COLUMNS)
    fill = -1 - torch.arange(float(len(video) * 4)).view(-1, 4, 1)
    wide = found.lay_out(values, fill)
    assert wide.shape == (len(video), 4, 151)
    for index, time in enumerate(found.time):
        assert len(time.unique()) == PAPER_COLUMNS, "no two at once"
        assert torch.equal(wide[index][:, time], values[index])
        empty = sorted({*range(151)} - {*time.tolist()})
        assert torch.equal(wide[index][:, empty], fill[index].expand(-1, len(empty)))
    there = found.lay_out(found.there.unsqueeze(1), torch.zeros(len(video), 1, 1).bool())
    assert there.dtype == torch.bool
    assert torch.equal(there.sum((1, 2)), found.there.sum(1))


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


@pytest.mark.parametrize("count", [75, 40])
@pytest.mark.parametrize("often", [0.0, 0.2, 0.4])
def test_pairs_score_as_where_all_frames_have_their_own_column(often, count):
    """A missing frame is like the columns beyond the window: of mean cosine, and not there."""
    gaps = 1 + (rng(1).random(count + 4) < often) * rng(2).integers(1, 3, count + 4)
    frames = np.cumsum(gaps)
    rows, told = series(frames[-1] + 1), told_of(frames)
    start = frames[2 + count // 2] - 12
    sound = rows[None, start : start + 25]
    video = distinct_rows(rows[frames], told, np.arange(count + 4))[None]
    decide, shown = field(), torch.from_numpy(frames[2:-2])
    beyond = 12  # columns at both ends, more than a score sees
    seen = torch.zeros(1, len(rows) + 2 * beyond, dtype=torch.bool)
    seen[0, shown + beyond] = True
    cosines = cosine_matrix(sound, rows[None, shown])
    wide = cosines.mean(-1, keepdim=True).repeat(1, 1, seen.shape[1])
    wide[..., shown + beyond] = cosines
    scores = decide.emission(wide, seen)[..., shown + beyond]
    expected = decide.field(scores, told[None, 2:-2])
    torch.testing.assert_close(decide(sound, video), expected, atol=1e-4, rtol=0)


def test_where_nothing_was_dropped_pairs_score_on_their_places():
    video, audio = untouched(75, told_of(np.arange(1))), series(25, seed=2)[None]
    inside = torch.zeros(25, 75, dtype=torch.bool)
    inside[:, 10:65] = True  # so far from the ends, a score does not see them
    decide = field()
    scores = decide.emission(cosine_matrix(audio, video[..., :-KNOWN]))
    expected = decide.field(scores.masked_fill(~inside, LOW), video[..., -3:])
    found = decide(audio, video, inside)
    torch.testing.assert_close(found[:, inside], expected[:, inside], atol=1e-4, rtol=0)


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
