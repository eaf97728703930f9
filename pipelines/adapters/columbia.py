"""Columbia: a filmed panel discussion whose six speakers are boxed, with who speaks when.

The labels are those that active-speaker work passes on: one text for each speaker, with tabs,
``frame x y size label``. Traps that are handled here:

* the labels count frames of 29.97 fps: frame ``n`` shows at ``int(n / 29.97 * 25)``;
* boxes are squares from their top left corner, in pixels of a picture of half the width (640);
* the speaker from whom the first protocol takes its threshold (abbas) is no speaker to test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from avbench.errors import DataError
from avbench.timing import FPS

from .given import Given
from .layout import Entry, Layout, below, files, read_text

LABEL_FPS = 29.97
LABEL_WIDTH = 640
"""Width in pixels of the picture that was labelled."""
THRESHOLD_SPEAKER = "abbas"
"""Whose labels choose the threshold in Chung and Zisserman (2016), Sec. 4.2."""
KINDS = (".mp4", ".avi", ".mkv", ".mov", ".webm")
_FOLDERS = ("fusion", "col_labels/fusion")


def _labels(root: Path) -> Path | None:
    return next((root / name for name in _FOLDERS if (root / name).is_dir()), None)


def _clips(root: Path) -> Iterator[Entry]:
    """List the one video of the corpus."""
    if _labels(root) is None:
        raise LAYOUT.wrong_root(root, "it holds neither fusion nor col_labels/fusion")
    videos = list(files(root, *(f"*{kind}" for kind in KINDS)))
    if len(videos) != 1:
        raise LAYOUT.wrong_root(root, f"it holds {len(videos)} videos")
    yield Entry(below(videos[0], root), "test")


def _read(root: Path, entry: Entry) -> Entry:
    """Add one facetrack for every run of labelled frames of a speaker."""
    tracks: list[Given] = []
    for path in files(_labels(root) or root, "*.txt"):
        tracks += tracks_of(path.stem, label_rows(read_text(path) or "", path))
    if not tracks:
        raise DataError(f"{root}: none of its labels names a frame; copy them again.")
    return replace(entry, tracks=tuple(track.as_json() for track in tracks))


def label_rows(text: str, path: Path) -> list[tuple[int, float, float, float, int]]:
    """Return frame, x, y, size and label of every line."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            if words:
                frame, x, y, size, label = map(float, words)
                rows.append((int(frame), x, y, size, int(label)))
        except ValueError:
            raise DataError(
                f"{path}, line {number}: got '{line.strip()}', expected frame, x, y, size and label"
            ) from None
    return rows


def tracks_of(speaker: str, rows: Sequence[tuple[int, float, float, float, int]]) -> list[Given]:
    """Return the facetracks of one speaker at 25 fps, split where frames are missing.

    Where two labelled frames show in one frame of 25 fps, the later counts.
    """
    shown = {int(frame / LABEL_FPS * FPS): tuple(rest) for frame, *rest in rows}
    role = "threshold" if speaker == THRESHOLD_SPEAKER else "test"
    tracks = []
    for _, run in groupby(enumerate(sorted(shown)), key=lambda pair: pair[1] - pair[0]):
        frames = [frame for _, frame in run]
        squares = [shown[frame] for frame in frames]
        boxes = [
            [x / LABEL_WIDTH, y / LABEL_WIDTH, (x + size) / LABEL_WIDTH, (y + size) / LABEL_WIDTH]
            for x, y, size, _ in squares
        ]
        speaking = [int(label) for *_, label in squares]
        facts = {"speaker": speaker, "role": role}
        tracks.append(Given(frames[0], boxes, facts, {"speaking": speaking}))
    return tracks


LAYOUT = Layout(
    name="columbia",
    title="Columbia panel discussion",
    expected="one video and col_labels/fusion/NAME.txt (frame, x, y, size and label a line)",
    crops=True,
    splits="all of it is test; the labels of abbas choose thresholds",
    licence="The video is that of its owner on YouTube.",
    cite="Chakravarty, Tuytelaars: Cross-modal supervision for learning active speaker detection "
    "in video, ECCV, 2016",
    clips=_clips,
    read=_read,
)
