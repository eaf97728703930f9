"""Damaged training windows: targets are exact, whatever was dropped or copied."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench.distort import alignment_of
from avbench.errors import UsageError
from avbench.models.corrupt import (
    CENTRE,
    ColumnLoss,
    CorruptRecipe,
    corrupt_batch,
    damage,
    draw_window,
    windows_at,
)
from avbench.models.corrupt_rows import DamagedRows, RowSet, WindowBatch
from avbench.models.trainset import Batch, TrainingClip, TrainingSet
from avbench.models.two_stream import TwoStream, TwoStreamConfig

SMALL = TwoStreamConfig(video=(4, 4, 4, 4, 8), audio=(4, 4, 4, 4, 8), dim=8)
LAWS = pytest.mark.parametrize("law", ["tae2020", "symmetric", "single", "both", "all"])


def rng(seed=0):
    return np.random.default_rng(seed)


@LAWS
def test_a_row_of_sound_belongs_to_the_row_centred_on_its_frame(law):
    generator = rng()
    for _ in range(50):
        found = damage(90, generator, law)
        assert found.columns == len(found.shown) - 4
        places = alignment_of(found.shown, 90).video_index
        for row, column in enumerate(found.column):
            frame = row + CENTRE
            if frame > found.shown[-1]:
                assert column >= found.columns, "its picture was never shown"
            else:
                assert column == places[frame] - CENTRE
                if frame in found.shown:
                    assert found.shown[column + CENTRE] == frame


@LAWS
def test_windows_hold_all_their_answers_and_no_good_window_is_missed(law):
    found = damage(60, rng(3), law)
    low, past = windows_at(found, 30, 8)
    for first in range(found.columns - 30 + 1):
        for row in range(len(found.column) - 8 + 1):
            inside = found.column[row : row + 8] - first
            good = bool(np.all((inside >= 0) & (inside < 30)))
            assert good == (low[first] <= row < past[first])


def test_windows_are_drawn_from_all_of_the_good_ones():
    found = damage(44, rng(1), "symmetric")
    low, past = windows_at(found, 20, 8)
    good = {(c, r) for c in range(len(low)) for r in range(low[c], past[c])}
    generator = rng()
    assert {draw_window(found, 20, 8, generator) for _ in range(40 * len(good))} == good
    assert draw_window(found, 200, 8, generator) is None


def test_both_laws_are_drawn_and_an_unknown_one_is_refused():
    drift = [len(damage(79, rng(i), "both").shown) for i in range(60)]
    assert min(drift) < 70 < max(drift)
    whole = [np.array_equal(damage(79, rng(i), "all").shown, np.arange(79)) for i in range(60)]
    assert 10 < sum(whole) < 30
    assert np.array_equal(damage(79, rng(), "single").column, np.arange(75))
    with pytest.raises(UsageError, match="law 'none'"):
        damage(79, rng(), "none")


def numbered(count, frames):
    """Clips whose pictures hold their frame's number, and whose sound its time in frames."""
    pictures = torch.arange(frames).float().view(1, -1, 1, 1).expand(count, -1, 48, 48)
    mels = (torch.arange(4 * frames - 2) / 4).expand(count, 40, -1)
    return Batch(pictures, mels)


@LAWS
def test_the_batch_shows_what_the_target_says(law):
    recipe = CorruptRecipe(rows=10, columns=20, source=44, laws=law)
    made, target = corrupt_batch(TwoStream(SMALL), numbered(30, 44), recipe, rng())
    assert made.pictures.shape == (30, 24, 48, 48)
    assert made.sound.shape == (30, 40, 9 * 4 + 18)
    heard = made.sound[:, 0, ::4][:, :10] + CENTRE  # frame at the centre of each row
    shown = torch.gather(made.pictures[:, :, 0, 0], 1, target + CENTRE)
    near = (shown - heard).abs()
    assert float((near == 0).float().mean()) > 0.6, "kept frames are found exactly"
    # A dropped frame belongs to its nearest neighbour: no other column shows a nearer one.
    others = (made.pictures[:, 2:-2, 0, 0].unsqueeze(1) - heard.unsqueeze(-1)).abs()
    assert torch.equal(near, others.min(-1).values)
    after = torch.gather(made.pictures[:, :, 0, 0], 1, (target + CENTRE + 1))
    assert (after > shown).all(), "of copies, the last one is meant"


def test_a_stretch_that_holds_no_window_is_refused():
    recipe = CorruptRecipe(rows=10, columns=60, source=44)
    with pytest.raises(UsageError, match="longer stretch"):
        corrupt_batch(TwoStream(SMALL), numbered(1, 44), recipe, rng())


def test_the_loss_is_that_of_choosing_among_columns():
    loss = ColumnLoss(scale=4.0)
    video = torch.eye(6).unsqueeze(0)
    audio = video[:, [1, 3, 4]]
    target = torch.tensor([[1, 3, 4]])
    expected = np.log(np.exp(4) + 5) - 4
    assert loss(audio, video, target).item() == pytest.approx(expected, rel=1e-5)
    assert loss(audio, video, target + 1).item() == pytest.approx(expected + 4, rel=1e-5)


def clips(count=3, frames=70):
    generator = rng(5)
    return TrainingSet(
        [
            TrainingClip(
                generator.integers(0, 256, (frames, 64, 64)).astype(np.uint8),
                generator.standard_normal((40, 4 * frames - 2)).astype(np.float16),
            )
            for _ in range(count)
        ]
    )


def embedded(data, seed=0, copies=2):
    network = TwoStream(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    made = RowSet.embed(
        network,
        data,
        copies=copies,
        laws="both",
        columns=30,
        sound_rows=8,
        bfloat16=False,
        rng=rng(seed),
    )
    return network, made


def test_rows_are_those_of_the_damaged_pictures():
    data = clips()
    network, made = embedded(data)
    assert len(made.rows) == 6
    for index, entry in enumerate(made.rows):
        clip = data.clips[index // 2]
        inner = torch.from_numpy(clip.pictures[:, 8:56, 8:56]).float().div(255)
        with torch.inference_mode():
            direct = network.embed_video(inner[None, entry.damage.shown])[0]
            sound = network.embed_audio(torch.from_numpy(clip.sound).float()[None])[0]
        torch.testing.assert_close(entry.pictures.float(), direct, atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(entry.sound.float(), sound, atol=1e-2, rtol=1e-2)


@LAWS
def test_windows_of_rows_hold_their_answers(law):
    """Rows that are the number of their frame."""
    found = damage(70, rng(2), law)
    pictures = torch.from_numpy(found.shown[2:-2]).half().unsqueeze(-1)
    sound = torch.arange(2, 68).half().unsqueeze(-1)
    made = RowSet(clips(1), [DamagedRows(pictures, sound, found)], 30, 8)
    batch = made.draw(rng(), 20, 0)
    assert isinstance(batch, WindowBatch)
    assert batch.pictures.shape == (20, 30, 1)
    assert batch.sound.shape == (20, 8, 1)
    near = (torch.gather(batch.pictures[..., 0], 1, batch.target) - batch.sound[..., 0]).abs()
    least = (batch.pictures[..., 0].unsqueeze(1) - batch.sound).abs().min(-1).values
    assert torch.equal(near, least)
    same = made.draw(rng(), 20, 0)
    assert torch.equal(same.pictures, batch.pictures)
    assert torch.equal(same.target, batch.target)


def test_the_same_seed_damages_alike():
    data = clips(1)
    shown = [[e.damage.shown.tolist() for e in embedded(data, seed)[1].rows] for seed in (0, 0, 1)]
    assert shown[0] == shown[1] != shown[2]


def test_clips_too_short_for_a_window_are_left_out():
    data = TrainingSet([*clips(1).clips, *clips(1, frames=20).clips])
    assert len(embedded(data)[1].rows) == 2
