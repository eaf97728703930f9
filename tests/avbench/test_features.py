"""Log-mel frames and mouth pictures see what they say they see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avbench import features
from avbench.timing import SAMPLE_RATE


def noise(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_a_mel_frame_sees_its_own_25_milliseconds_only():
    sound = noise(16_000)
    before = features.log_mel(sound)
    changed = sound.copy()
    changed[1600:2000] = 0
    moved = (features.log_mel(changed) - before).abs().amax(dim=0) > 0
    seen = [m for m in range(before.shape[1]) if 160 * m < 2000 and 160 * m + 400 > 1600]
    assert torch.nonzero(moved).flatten().tolist() == seen


@pytest.mark.parametrize("num_frames", [5, 6, 20, 101])
def test_a_clip_has_one_window_per_five_frames(num_frames):
    mels = features.log_mel(noise(640 * num_frames))
    assert mels.shape == (40, 4 * num_frames - 2)
    assert features.mel_windows(mels).shape == (num_frames - 4, 40, 18)


def test_too_little_sound_has_no_mel_frame():
    assert features.log_mel(noise(399)).shape == (40, 0)


@pytest.mark.parametrize("hertz", [500, 1000, 3000, 6000])
def test_a_tone_lights_the_band_of_its_mel(hertz):
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    band = int(features.log_mel(tone).mean(dim=1).argmax())
    mel = 2595 * np.log10(1 + hertz / 700)
    top = 2595 * np.log10(1 + 8000 / 700)
    assert band == pytest.approx(41 * mel / top - 1, abs=1)


def test_loudness_of_a_window_does_not_matter():
    sound = noise(3200)
    quiet, loud = (features.mel_windows(features.log_mel(g * sound)) for g in (0.5, 1.0))
    assert torch.allclose(quiet, loud, atol=0.01)


def face(mouth=(0.5, 0.55), size=224):
    picture = np.zeros((1, size, size, 3), np.uint8)
    x, y = int(mouth[0] * size), int(mouth[1] * size)
    picture[0, y - 4 : y + 4, x - 12 : x + 12] = 255
    return picture


@pytest.mark.parametrize("size", [112, 224])
def test_the_mouth_lands_in_the_middle_of_its_picture(size):
    picture = features.mouth_pictures(face(features.MOUTH_CENTRE, size))[0].astype(float)
    centre = [np.average(np.arange(48) + 0.5, weights=picture.sum(axis=a)) for a in (0, 1)]
    assert centre == pytest.approx([24, 24], abs=1.5)


def test_a_training_picture_is_the_same_with_a_margin():
    pictures = np.random.default_rng(0).integers(0, 255, (2, 14, 14, 3)).astype(np.uint8)
    pictures = pictures.repeat(16, axis=1).repeat(16, axis=2)
    tight = features.mouth_pictures(pictures).astype(float)
    wide = features.mouth_pictures(
        pictures, pixels=features.MARGIN_PIXELS, margin=features.MOUTH_MARGIN
    )
    assert np.abs(tight - wide[:, 8:-8, 8:-8]).mean() < 4


def test_grey_weighs_colours_as_eyes_do():
    colours = np.zeros((3, 224, 224, 3), np.uint8)
    for channel in range(3):
        colours[channel, ..., channel] = 255
    red, green, blue = features.mouth_pictures(colours)[:, 0, 0]
    assert green > red > blue


@pytest.mark.parametrize("times", [1, 2, 4])
def test_small_faces_are_means_of_the_whole_crop(times):
    grey = np.random.default_rng(times).integers(0, 256, (3, *[56 * times] * 2), dtype=np.uint8)
    small = features.face_pictures(grey[..., None].repeat(3, axis=3)[:, :, ::-1])
    means = grey[:, :, ::-1].reshape(3, 56, times, 56, times).mean(axis=(2, 4))
    assert small.dtype == np.uint8
    np.testing.assert_allclose(small, means, atol=0.51)


@pytest.mark.parametrize("size", [(112, 112), (224, 200), (32, 48)])
def test_colours_of_small_faces_weigh_as_those_of_mouths(size):
    colours = np.zeros((3, *size, 3), np.uint8)
    for channel in range(3):
        colours[channel, ..., channel] = 255
    small = features.face_pictures(colours)
    assert small.shape == (3, features.FACE_PIXELS, features.FACE_PIXELS)
    np.testing.assert_array_equal(small[:, 20, 20], features.mouth_pictures(colours)[:, 0, 0])
