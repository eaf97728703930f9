"""The one time base and THE sign of an offset.

Conventions
-----------
Everything inside avbench runs on one grid: video at 25 frames per second, mono sound at
16 kHz, so that one video frame lasts 40 ms and 640 samples.

**offset = video index - audio index**, in whole 25 fps frames. The sound at audio frame ``a``
belongs to the picture at video frame ``a + offset``.

* positive: audio leads, the sound comes early (the picture is late);
* negative: video leads, the sound comes late.

With ``similarity[a, v]`` (rows audio, columns video) an offset is therefore NumPy's own diagonal
number: offset -2 lies two below the main diagonal (Kim et al., "End-to-End Lip Synchronisation
Based on Pattern Classification", Fig. 3).
"""

from __future__ import annotations

FPS = 25
"""Video frames per second."""
SAMPLE_RATE = 16_000
"""Audio samples per second."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
"""Audio samples that last as long as one video frame (640)."""
FRAME_S = 1 / FPS
"""Seconds per video frame (0.04)."""


def offset_to_ms(offset: float) -> float:
    """Convert an offset in frames to milliseconds; the sign stays (positive: audio leads).

    >>> offset_to_ms(3)
    120.0
    """
    return 1000.0 * offset / FPS


def ms_to_offset(milliseconds: float) -> float:
    """Convert milliseconds (positive: audio leads) to an offset in frames, not rounded.

    >>> ms_to_offset(-80)
    -2.0
    """
    return milliseconds * FPS / 1000.0


def describe_offset(offset: int) -> str:
    """Say in words what an offset in frames means.

    >>> describe_offset(3)
    'sound is 120 ms early (audio leads by 3 frames)'
    >>> describe_offset(-1)
    'sound is 40 ms late (video leads by 1 frame)'
    >>> describe_offset(0)
    'in sync'
    """
    if offset == 0:
        return "in sync"
    frames = f"{abs(offset)} frame{'s' if abs(offset) != 1 else ''}"
    ms = f"{abs(offset_to_ms(offset)):.0f} ms"
    if offset > 0:
        return f"sound is {ms} early (audio leads by {frames})"
    return f"sound is {ms} late (video leads by {frames})"


def num_frames_to_samples(num_frames: int) -> int:
    """Return the number of 16 kHz samples that last ``num_frames`` video frames."""
    return num_frames * SAMPLES_PER_FRAME
