"""Changes to training pictures and sound that leave the moments of speech where they are.

One change per clip, the same for all of its frames, as a camera, a light or a room would make it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.nn import functional as F

from avbench import features
from avbench.errors import UsageError
from avbench.models import spectra
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

    def times(self, strength: float) -> Augmentation:
        """Return changes of another strength: 0 hardly changes anything, 1 is this one.

        Factors are brought nearer to 1 on their logarithm, amplitudes and probabilities shrink.

        >>> half = Augmentation(zoom=(0.81, 1.21), shift=0.12, snr_db=(0.0, 20.0)).times(0.5)
        >>> [round(value, 2) for value in (*half.zoom, half.shift, *half.snr_db)]
        [0.9, 1.1, 0.06, 6.02, 26.02]
        """
        if not 0 < strength <= 1:
            raise UsageError(f"got an augmentation of strength {strength}, expected 0 to 1")

        def factors(bounds: tuple[float, float]) -> tuple[float, float]:
            return bounds[0] ** strength, bounds[1] ** strength

        low, high = self.snr_db
        quieter = -20 * math.log10(strength)
        return Augmentation(
            zoom=factors(self.zoom),
            aspect=self.aspect * strength,
            rotation=self.rotation * strength,
            shift=self.shift * strength,
            gamma=factors(self.gamma),
            gain=factors(self.gain),
            noise=self.noise * strength,
            cutout=self.cutout * strength,
            warp=factors(self.warp),
            tilt=self.tilt * strength,
            snr_db=(low + quieter, high + quieter),
            band_drop=self.band_drop * strength,
        )


@dataclass(frozen=True)
class FaceAugmentation:
    """Changes as in SyncNet's training: volume, and what is usual for ImageNet.

    Chung and Zisserman (2016, section 2.4) change the volume by 10 % and crop, flip and shift the
    colours of pictures, one change per clip; only the first number is theirs.
    """

    volume: float = 0.1
    """Plus or minus."""
    crop: float = 0.12
    """Largest share of a picture's side that is cut away."""
    flip: float = 0.5
    """Probability of mirroring."""
    colour: float = 0.1
    """Gain of each colour, plus or minus."""


@dataclass(frozen=True)
class GeometryAugmentation:
    """Changes to points of the face, and those to sound that pixels have beside them too."""

    noise: float = 0.002
    """Standard deviation of every coordinate in every frame, of the crop's side."""
    zoom: float = 0.05
    """Stretch of the face's width against its height, plus or minus, one a clip."""
    sound: Augmentation = field(
        default_factory=lambda: Augmentation(
            warp=(0.98, 1.02), tilt=0.3, snr_db=(20.0, 50.0), band_drop=0.05
        )
    )
    """Milder than beside pixels: so small a network has little to spare."""


def apply_to_points(
    batch: Batch, settings: GeometryAugmentation, rng: np.random.Generator
) -> Batch:
    """Return a changed batch of points, (B, T, P, 2), and log-mel frames."""
    points = batch.pictures
    stretch = 1 + rng.uniform(-settings.zoom, settings.zoom, len(points))
    shaken = settings.noise * rng.standard_normal(points.shape)
    points = points + torch.from_numpy(shaken.astype(np.float32))
    points = torch.stack((points[..., 0] * _column(stretch, 2), points[..., 1]), -1)
    mels = _voice(batch.sound, settings.sound, rng)
    mels = _noise(mels, settings.sound, rng)
    return replace(batch, pictures=points, sound=_drop_bands(mels, settings.sound, rng))


def apply_to_faces(batch: Batch, settings: FaceAugmentation, rng: np.random.Generator) -> Batch:
    """Return a changed batch of whole pictures, (B, T, P, P, C), and windows of sound."""
    count, frames, side, _, colours = batch.pictures.shape
    scale = 1 - rng.uniform(0, settings.crop, count)
    mirror = np.where(rng.random(count) < settings.flip, -1.0, 1.0)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = scale * mirror, scale
    theta[:, :, 2] = (rng.uniform(-1, 1, (2, count)) * (1 - scale)).T
    grid = F.affine_grid(
        torch.from_numpy(theta).repeat_interleave(frames, 0),
        [count * frames, colours, side, side],
        align_corners=False,
    )
    flat = batch.pictures.float().flatten(0, 1).movedim(-1, 1)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=False).movedim(1, -1)
    gain = 1 + rng.uniform(-settings.colour, settings.colour, (count, 1, 1, 1, colours))
    shown = moved.reshape(batch.pictures.shape) * torch.from_numpy(gain.astype(np.float32))
    volume = 1 + rng.uniform(-settings.volume, settings.volume, count)
    sound = batch.sound.clone()
    # Louder sound moves every log-mel band, but of the cepstra only the first: the log energy.
    moving = slice(0, 1) if sound.shape[2] == spectra.NUM_CEPSTRA else slice(None)
    sound[:, :, moving] += _column(2 * np.log(volume), 3)
    return replace(batch, pictures=shown.clamp_(0, 255), sound=sound)


def apply(batch: Batch, settings: Augmentation, rng: np.random.Generator) -> Batch:
    """Return a changed batch, its pictures cut to what a network sees."""
    pictures = _move(batch.pictures, settings, rng)
    pictures = _light(pictures, settings, rng)
    pictures = _cover(pictures, settings, rng)
    mels = _voice(batch.sound, settings, rng)
    mels = _noise(mels, settings, rng)
    return replace(batch, pictures=pictures, sound=_drop_bands(mels, settings, rng))


def centre(batch: Batch) -> Batch:
    """Return the batch unchanged but for the margin of mouth pictures, which is cut away."""
    if batch.pictures.ndim != 4 or batch.pictures.shape[-1] == 2:
        return batch  # whole pictures, embeddings, or points
    margin = (features.MARGIN_PIXELS - features.MOUTH_PIXELS) // 2
    inside = slice(margin, margin + features.MOUTH_PIXELS)
    return replace(batch, pictures=batch.pictures[..., inside, inside])


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
