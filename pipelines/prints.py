"""Fingerprints of clips: what stays of sound and picture when a clip is encoded, scaled or cropped.

* **sound**: words of 32 bits, one per 20 ms, of whether the energy in a band falls more steeply
  towards the next band than it did 20 ms before; Haitsma and Kalker, "A highly robust audio
  fingerprinting system" (ISMIR 2002).
* **picture**: how each of 8 x 8 fields of the face's surroundings changes in time, seen through a
  window that stands still in the source, so that the crop's own trembling cancels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from avbench import media
from avbench.data import JSON, FloatArray, UInt8Array
from avbench.timing import FPS, SAMPLE_RATE

from .files import digest_of
from .units import publish, staging

Words = NDArray[np.uint32]
Audible = NDArray[np.bool_]

PRINT_VERSION = 1
"""Goes up whenever the same clip may give another fingerprint."""
HOP, SPAN = 320, 4096
"""Samples from one word of sound to the next, and that one looks at."""
BANDS = np.geomspace(300, 2800, 34)
"""Edges of the bands in Hz: where speech has its energy."""
QUIET = 1e-4
"""Sound below this root mean square (-80 dB of full scale) says nothing."""
FIELDS, TILE = 8, 64
"""Fields along each side of the picture, and pixels of the window they are averaged from."""
WINDOW_SHARE = 0.7
"""Side of the still window, as a share of the crop's."""
TREND = 9
"""Frames of the moving average that is taken off the picture: what is left is its motion."""


@dataclass(frozen=True, eq=False)
class Print:
    """The fingerprint of one clip."""

    words: Words
    """Of the sound; shape (S,), uint32."""
    audible: Audible
    """Whether a word comes from sound that can be heard; shape (S,)."""
    still: FloatArray
    """The average picture, of zero mean and length 1; shape (64,)."""
    motion: FloatArray
    """Change of each field against its trend; shape (T, 64)."""


def print_unit(payload: Mapping[str, JSON]) -> JSON:
    """Take the fingerprints of all facetracks of one video.

    Parameters
    ----------
    payload
        ``facetracks`` (folder of the unit) and ``folder`` (where the result goes).
    """
    tracks, folder = Path(payload["facetracks"]), Path(payload["folder"])
    keys = sorted(path.stem for path in tracks.glob("*.mp4"))
    with staging(folder) as part:
        for key in keys:
            made = fingerprint(tracks, key)
            np.savez(part / f"{key}.npz", **vars(made))
        publish(part, folder, {"keys": keys})
    return None


def prints_folder(work: Path, video_id: str, facetracks: str) -> Path:
    """Return where the fingerprints of a video belong, by everything they depend on."""
    return work / "prints" / f"{video_id}-{digest_of('prints', PRINT_VERSION, facetracks)}"


def fingerprint(tracks: Path, key: str) -> Print:
    """Take the fingerprint of one stored facetrack."""
    info = json.loads((tracks / f"{key}.json").read_text("utf-8"))
    frames = media.read_video(tracks / f"{key}.mp4")
    squares = np.array(info.get("squares", [[0, 0, frames.shape[2]]] * len(frames)), np.float64)
    sound = media.read_sound(tracks / f"{key}.flac")
    around = (len(sound) - len(frames) * SAMPLE_RATE // FPS) // 2
    words, audible = sound_words(sound[around : len(sound) - around])
    still, motion = picture_motion(stand_still(frames, squares))
    return Print(words, audible, still, motion.astype(np.float16))


def sound_words(sound: FloatArray) -> tuple[Words, Audible]:
    """Return one word per 20 ms of sound, and whether there was something to hear.

    Parameters
    ----------
    sound
        Mono at 16 kHz; shape (S,).
    """
    if len(sound) < SPAN + HOP:
        return np.zeros(0, np.uint32), np.zeros(0, bool)
    pieces = sliding_window_view(sound, SPAN)[::HOP]
    spectrum = np.abs(np.fft.rfft(pieces * np.hanning(SPAN), axis=1)) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(SPAN, 1 / SAMPLE_RATE), BANDS)
    energy = np.add.reduceat(spectrum, edges, axis=1)[:, :-1]
    steep = energy[:, :-1] - energy[:, 1:]
    bits = np.diff(steep, axis=0) > 0
    words = np.packbits(bits, axis=1).copy().view(np.uint32)[:, 0]
    loud = np.sqrt(np.mean(pieces**2, axis=1)) > QUIET
    return words, loud[1:] & loud[:-1]


def stand_still(frames: UInt8Array, squares: FloatArray) -> UInt8Array:
    """Look at a crop through a window that does not move in the source.

    Parameters
    ----------
    frames
        The crop; shape (T, H, H, 3).
    squares
        left, top, side of the crop in source pixels; shape (T, 3).

    Returns
    -------
    UInt8Array
        Grey; shape (T, 64, 64). What a crop does not show repeats its edge.
    """
    left, top, side = np.median(squares, axis=0)
    margin, step = (1 - WINDOW_SHARE) / 2 * side, WINDOW_SHARE * side / TILE
    size = frames.shape[1]
    seen = np.empty((len(frames), TILE, TILE), np.uint8)
    for image, frame, (x, y, own) in zip(seen, frames, squares, strict=True):
        scale = size / own
        turn = np.array([[step, 0, left + margin - x], [0, step, top + margin - y]], np.float64)
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(
            grey, turn * scale, (TILE, TILE), image, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    return seen


def picture_motion(seen: UInt8Array) -> tuple[FloatArray, FloatArray]:
    """Return the average picture and how its fields change.

    Parameters
    ----------
    seen
        Grey pictures from a window that stands still; shape (T, 64, 64).

    Returns
    -------
    still, motion
        Shapes (64,) and (T, 64).
    """
    from scipy.ndimage import uniform_filter1d

    cell = TILE // FIELDS
    fields = seen.reshape(len(seen), FIELDS, cell, FIELDS, cell).mean(axis=(2, 4))
    flat = fields.reshape(len(seen), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    still = flat.mean(axis=0)
    motion = flat - uniform_filter1d(flat, TREND, axis=0, mode="nearest")
    return still / max(float(np.linalg.norm(still)), 1e-9), motion
