"""Mel-cepstral distortion: how far one utterance is from another in spectral envelope.

Conventions
-----------
* Sound is mono, 16 kHz, float. Both utterances are brought to -30 dBFS RMS first.
* Mel-cepstra are of order 59 (60 coefficients), from windows of 64 ms every 5 ms; only whole
  windows count. Coefficient 0, the level, never enters the distortion.
* Distortions are in dB, lower is better; 0 for a sound and itself.

What the paper leaves open
--------------------------
Shalev and Wolf name the level, window length, hop and number of coefficients, and "mel generalised
cepstral analysis". The rest is decided here, and is what a version stands for:

* ``mcd/np-freqt@1``: Blackman window; cepstrum of the log magnitude spectrum, floored at -100 dB
  below the mean power of all bins at that level; warped by frequency transformation with alpha
  0.42 (the mel scale at 16 kHz) and gamma 0. Needs NumPy alone.
* ``mcd/pysptk-mcep@1``: the same frames through ``pysptk.mcep``, which fits the spectrum's
  envelope iteratively. Needs pysptk.

Silence is not cut away. Without warping, the longer utterance is cut to the shorter. Other
programs keep coefficient 0, gate silence or take other orders; their numbers are others.

References
----------
Kubichek, "Mel-cepstral distance measure for objective speech quality assessment" (1993): the
distortion. Oppenheim and Johnson, "Discrete representation of signals" (1972): the frequency
transformation. Tokuda et al., "Mel-generalized cepstral analysis" (1994). Shalev and Wolf, "End to
end lip synchronization with a temporal autoencoder" (2020), section 6.3 and Table 6: settings, and
distortion along the best warp (MCD-DTW).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avbench.errors import MissingDependency
from avbench.timing import SAMPLE_RATE

LEVEL_DBFS = -30.0
"""RMS level that sound is brought to."""
WINDOW = 64 * SAMPLE_RATE // 1000
"""Samples per frame (1024)."""
HOP = 5 * SAMPLE_RATE // 1000
"""Samples from one frame to the next (80)."""
ORDER = 59
"""Largest index of a coefficient: 60 with coefficient 0."""
ALPHA = 0.42
"""Warping that comes closest to the mel scale at 16 kHz."""
FLOOR_DB = -100.0
"""Least power of a bin, against the mean power of white noise of the normalised level."""
TO_DB = 10 * math.sqrt(2) / math.log(10)
"""Euclidean distance of cepstra to dB; the root of two because a cosine has half power."""

Version = Literal["mcd/np-freqt@1", "mcd/pysptk-mcep@1"]
VERSIONS: tuple[Version, ...] = ("mcd/np-freqt@1", "mcd/pysptk-mcep@1")
Normaliser = Literal["path", "reference", "other"]
"""What the sum along a warp is divided by: steps of the path, or frames of either utterance."""


def validate(sound: ArrayLike) -> NDArray[np.float64]:
    """Check a sound and return it as floats.

    Parameters
    ----------
    sound
        Mono at 16 kHz, any level; shape (S,).

    Raises
    ------
    ValueError
        If it is not one-dimensional and finite, is shorter than one window, or is silent: silence
        has no level to bring to another.
    """
    samples = np.asarray(sound, dtype=np.float64)
    if samples.ndim != 1 or len(samples) < WINDOW:
        raise ValueError(f"got sound of shape {samples.shape}, expected (S,) with S >= {WINDOW}")
    if not np.all(np.isfinite(samples)) or not samples.any():
        raise ValueError("got sound that is not finite, or silent throughout")
    return samples


def normalise_level(sound: ArrayLike) -> NDArray[np.float64]:
    """Bring a sound to `LEVEL_DBFS`, full scale being 1; shape (S,)."""
    samples = validate(sound)
    peak = np.abs(samples).max()  # divided out first, so that squares of tiny samples survive
    scaled = samples / peak
    return np.asarray(scaled * (10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(scaled**2))))


@lru_cache
def _freqt(bins: int, alpha: float = ALPHA, order: int = ORDER) -> NDArray[np.float64]:
    """Return the matrix that warps a one-sided cepstrum; shape (order + 1, bins).

    Column n holds the first powers of ``((w + alpha) / (1 + alpha w)) ** n``, each column from the
    one before (Oppenheim and Johnson 1972).
    """
    matrix = np.zeros((order + 1, bins))
    matrix[0] = alpha ** np.arange(bins)
    for n in range(1, bins):
        column, last = matrix[:, n], matrix[:, n - 1]
        column[1] = (1 - alpha**2) * last[0] + alpha * last[1]
        for m in range(2, order + 1):
            column[m] = last[m - 1] + alpha * (last[m] - column[m - 1])
    return matrix


def frames_of(sound: ArrayLike) -> NDArray[np.float64]:
    """Bring a sound to level and cut it into windowed frames; shape (frames, `WINDOW`)."""
    samples = normalise_level(sound)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    return np.asarray(frames * np.blackman(WINDOW))


def mel_cepstrum(sound: ArrayLike, version: Version = "mcd/np-freqt@1") -> NDArray[np.float64]:
    """Return the mel-cepstra of a sound.

    Parameters
    ----------
    sound
        Mono at 16 kHz; shape (S,).
    version
        One of `VERSIONS`.

    Returns
    -------
    NDArray
        Coefficients 0 to 59 of each frame; shape (frames, 60).

    Raises
    ------
    MissingDependency
        If the version needs pysptk and it is missing.
    """
    if version not in VERSIONS:
        raise ValueError(f"got {version = }, expected one of {', '.join(VERSIONS)}")
    frames = frames_of(sound)
    if version == "mcd/pysptk-mcep@1":
        return _pysptk(frames)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    cepstrum = np.fft.irfft(np.log(np.maximum(power, _floor())) / 2, axis=1)
    # One-sided, as of a minimum-phase system: the log spectrum is sum of c_m cos(m omega).
    one_sided = cepstrum[:, : WINDOW // 2 + 1] * 2
    one_sided[:, [0, -1]] /= 2
    return np.asarray(one_sided @ _freqt(WINDOW // 2 + 1).T)


def _floor() -> float:
    mean_power = 10 ** (LEVEL_DBFS / 10) * float((np.blackman(WINDOW) ** 2).sum())
    return mean_power * 10 ** (FLOOR_DB / 10)


def _pysptk(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        import pysptk
    except ImportError as error:
        raise MissingDependency(
            f"mcd/pysptk-mcep@1 needs pysptk ({error}); run pip install pysptk 'setuptools<81', "
            "or use mcd/np-freqt@1, which needs nothing more"
        ) from error
    # etype 1 adds the floor to the periodogram, so that quiet frames stay regular.
    rows = [pysptk.mcep(frame, ORDER, ALPHA, etype=1, eps=_floor()) for frame in frames]
    return np.asarray(rows, dtype=np.float64)


def mcd(reference: ArrayLike, other: ArrayLike, version: Version = "mcd/np-freqt@1") -> float:
    """Return the mel-cepstral distortion of two sounds, frame by frame.

    Parameters
    ----------
    reference, other
        Mono at 16 kHz, the longer cut to the frames of the shorter; shape (S,) and (R,).
    version
        One of `VERSIONS`.

    Returns
    -------
    float
        In dB, lower is better.
    """
    first, second = mel_cepstrum(reference, version), mel_cepstrum(other, version)
    common = min(len(first), len(second))
    apart = np.linalg.norm(first[:common, 1:] - second[:common, 1:], axis=1)
    return TO_DB * float(apart.mean())


class Warp(NamedTuple):
    """The cheapest monotone way through a matrix of costs."""

    total: float
    """Sum of the costs along the path."""
    path: NDArray[np.int64]
    """Row and column of each step, from corner to corner; shape (steps, 2)."""


def warp(costs: ArrayLike) -> Warp:
    """Find the cheapest path from the first cell to the last by dynamic time warping.

    A step goes one row on, one column on, or both, and costs what the cell it reaches costs.
    Among paths of equal cost diagonal steps win, then steps along rows.

    Parameters
    ----------
    costs
        Finite and not negative; shape (n, m).

    >>> warp([[0, 1, 9], [9, 1, 0]]).path.tolist()
    [[0, 0], [0, 1], [1, 2]]
    """
    cell = np.asarray(costs, dtype=np.float64)
    if cell.ndim != 2 or not cell.size or not np.all(np.isfinite(cell)) or np.any(cell < 0):
        raise ValueError(f"got costs of shape {cell.shape}, expected finite ones >= 0, (n, m)")
    rows, columns = cell.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    # Cells of one anti-diagonal depend on earlier ones only, so they are done at once.
    for line in range(rows + columns - 1):
        i = np.arange(max(0, line - columns + 1), min(rows, line + 1))
        j = line - i
        before = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = cell[i, j] + before
    place, path = (rows, columns), []
    while place != (0, 0):
        path.append((place[0] - 1, place[1] - 1))
        i, j = place
        place = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda at: total[at])
    return Warp(float(total[-1, -1]), np.array(path[::-1], dtype=np.int64))


def mcd_dtw(
    reference: ArrayLike,
    other: ArrayLike,
    version: Version = "mcd/np-freqt@1",
    normaliser: Normaliser = "path",
) -> float:
    """Return the mel-cepstral distortion of two sounds along the best time warp.

    Parameters
    ----------
    reference, other
        Mono at 16 kHz; shape (S,) and (R,). Minutes of sound need much memory: the costs of all
        pairs of frames are held.
    version
        One of `VERSIONS`.
    normaliser
        ``path`` divides the sum along the warp by its steps; ``reference`` and ``other`` by the
        frames of that sound, which counts frames passed over.

    Returns
    -------
    float
        In dB, lower is better; with ``path`` not above `mcd` where both sounds are as long.
    """
    first, second = (mel_cepstrum(sound, version)[:, 1:] for sound in (reference, other))
    lengths = {"reference": len(first), "other": len(second)}
    if normaliser != "path" and normaliser not in lengths:
        raise ValueError(f"got {normaliser = }, expected 'path', 'reference' or 'other'")
    # Row by row: differences of all pairs at once would be 59 times as large.
    costs = np.stack([np.linalg.norm(second - row, axis=1) for row in first])
    found = warp(costs)
    return TO_DB * found.total / lengths.get(normaliser, len(found.path))
