"""Changes to training pictures and sound that leave the moments of speech where they are.

One change per clip, the same for all of its frames, as a camera, a light or a room would make it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from avbench import features
from avbench.models.trainset import Batch


@dataclass(frozen=True)
class Augmentation:
    """Ranges that changes are drawn from, uniformly where two numbers are given."""

    zoom: tuple[float, float] = (0.86, 1.16)
    aspect: float = 0.08
    """Width against height, plus or minus."""
    rotation: float = 0.09
    """Standard deviation in radians."""
    shift: float = 0.12
    """Of the mouth region's side, plus or minus, in each direction."""
    gamma: tuple[float, float] = (0.7, 1.4)
    gain: tuple[float, float] = (0.7, 1.3)
    noise: float = 0.035
    """Largest standard deviation of picture noise; pictures are in [0, 1]."""
    cutout: float = 0.3
    """Probability that something covers a part of the mouth for a while."""
    warp: tuple[float, float] = (0.88, 1.13)
    """Stretch of the frequency axis: longer and shorter vocal tracts."""
    tilt: float = 1.5
    """Slope of the log spectrum from lowest to highest band, plus or minus."""
    snr_db: tuple[float, float] = (3.0, 25.0)
    """Speech above the added noise."""
    band_drop: float = 0.3
    """Probability that some bands say nothing."""


def apply(batch: Batch, settings: Augmentation, rng: np.random.Generator) -> Batch:
    """Return a changed batch, its pictures cut to what a network sees."""
    pictures = _move(batch.pictures, settings, rng)
    pictures = _light(pictures, settings, rng)
    pictures = _cover(pictures, settings, rng)
    mels = _voice(batch.mels, settings, rng)
    mels = _noise(mels, settings, rng)
    return Batch(pictures, _drop_bands(mels, settings, rng))


def centre(batch: Batch) -> Batch:
    """Return the batch unchanged but for the margin of its pictures, which is cut away."""
    margin = (features.MARGIN_PIXELS - features.MOUTH_PIXELS) // 2
    inside = slice(margin, margin + features.MOUTH_PIXELS)
    return Batch(batch.pictures[..., inside, inside], batch.mels)


def _column(values: np.ndarray, axes: int) -> torch.Tensor:
    """Shape one number per clip to broadcast over ``axes`` further axes."""
    return torch.from_numpy(values.astype(np.float32)).view(-1, *[1] * axes)


def _move(pictures: torch.Tensor, settings: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Zoom, stretch, turn, shift and mirror; (B, T, 64, 64) to (B, T, 48, 48)."""
    count = len(pictures)
    scale = 1 / (features.MOUTH_MARGIN * rng.uniform(*settings.zoom, count))
    aspect = np.exp(rng.uniform(-settings.aspect, settings.aspect, count) / 2)
    turn = settings.rotation * rng.standard_normal(count)
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    # The region's side is 2 in the sampling grid's units, less the margin.
    shift = rng.uniform(-1, 1, (2, count)) * settings.shift * 2 / features.MOUTH_MARGIN
    theta = np.empty((count, 2, 3), np.float32)
    theta[:, 0, 0] = scale * aspect * np.cos(turn) * mirror
    theta[:, 0, 1] = -scale / aspect * np.sin(turn)
    theta[:, 1, 0] = scale * aspect * np.sin(turn) * mirror
    theta[:, 1, 1] = scale / aspect * np.cos(turn)
    theta[:, :, 2] = shift.T
    size = (count, pictures.shape[1], features.MOUTH_PIXELS, features.MOUTH_PIXELS)
    grid = F.affine_grid(torch.from_numpy(theta), list(size), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _light(
    pictures: torch.Tensor, settings: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    count = len(pictures)
    low, high = np.log(settings.gamma)
    gamma = _column(np.exp(rng.uniform(low, high, count)), 3)
    gain = _column(rng.uniform(*settings.gain, count), 3)
    noise = _column(rng.uniform(0, settings.noise, count), 3)
    grain = torch.from_numpy(rng.standard_normal(tuple(pictures.shape), dtype=np.float32))
    return (pictures.clamp(1e-3, 1).pow(gamma) * gain + noise * grain).clamp_(0, 1)


def _cover(
    pictures: torch.Tensor, settings: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    """Hide a rectangle behind one grey for some frames of some clips, in place."""
    count, frames, height, width = pictures.shape
    for index in np.flatnonzero(rng.random(count) < settings.cutout):
        start = int(rng.integers(frames))
        stop = start + int(rng.integers(3, max(4, frames // 2)))
        high, wide = rng.integers(height // 6, height // 2, 2)
        top, left = rng.integers(0, height - high), rng.integers(0, width - wide)
        pictures[index, start:stop, top : top + high, left : left + wide] = float(rng.random())
    return pictures


def _voice(mels: torch.Tensor, settings: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Stretch the frequency axis and tilt the spectrum."""
    count, bands, _ = mels.shape
    stretch = rng.uniform(*settings.warp, (count, 1))
    source = torch.from_numpy((np.arange(bands) * stretch).clip(0, bands - 1).astype(np.float32))
    low = source.floor().long().clamp_(max=bands - 2)
    part = (source - low).unsqueeze(-1)
    rows = torch.arange(count).unsqueeze(-1)
    warped = mels[rows, low] * (1 - part) + mels[rows, low + 1] * part
    return warped + _slope(rng.uniform(-settings.tilt, settings.tilt, count), bands)


def _slope(tilt: np.ndarray, bands: int) -> torch.Tensor:
    """Return straight lines from -tilt / 2 to tilt / 2; shape (B, bands, 1)."""
    return (_column(tilt, 1) * torch.linspace(-0.5, 0.5, bands)).unsqueeze(-1)


def _noise(mels: torch.Tensor, settings: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Add sloped noise in the power domain."""
    count, bands, _ = mels.shape
    power = mels.exp()
    level = power.mean(dim=(1, 2), keepdim=True)
    ratio = _column(10 ** (-rng.uniform(*settings.snr_db, count) / 10), 2)
    colour = _slope(rng.uniform(-4, 4, count), bands).exp()
    colour = colour / colour.mean(dim=1, keepdim=True)
    # A band of a short frame averages a few bins of noise, so its power varies like a chi-square.
    grain = torch.from_numpy(rng.standard_gamma(3.0, tuple(mels.shape), dtype=np.float32) / 3)
    return (power + level * ratio * colour * grain).log()


def _drop_bands(
    mels: torch.Tensor, settings: Augmentation, rng: np.random.Generator
) -> torch.Tensor:
    """Hold a few neighbouring bands of some clips at their mean."""
    count, bands, _ = mels.shape
    for index in np.flatnonzero(rng.random(count) < settings.band_drop):
        width = int(rng.integers(2, bands // 6))
        low = int(rng.integers(bands - width))
        band = mels[index, low : low + width]
        mels[index, low : low + width] = band.mean(dim=-1, keepdim=True)
    return mels
