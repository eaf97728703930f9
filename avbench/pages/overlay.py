"""One source with its tracks drawn into the picture: boxes, keys, reasons and sync scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from avbench import media, progress
from avbench.data import UInt8Array
from avbench.errors import DataError, UsageError
from avbench.pages.draw import clock
from avbench.pages.model import Source, Track, gather, read_ledger
from avbench.shards import open_set

KEPT, LOST, INK, PAPER = (70, 200, 120), (235, 90, 70), (255, 255, 255), (20, 24, 28)
"""Colours, RGB."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_overlay(directory: Path, source: Path, out: Path) -> int:
    """Write a source video with the tracks that a set made of it drawn in, and its sound.

    Parameters
    ----------
    directory
        The set.
    source
        The video; only read. It is known by its bytes, whatever it is called by now.
    out
        The video to write; its ending chooses the container.

    Returns
    -------
    int
        Frames written.

    Raises
    ------
    UsageError
        If the set was not cut from `source`, or `out` would replace it.
    DataError
        If the set or the video is damaged.
    """
    if out.exists() and out.resolve() == source.resolve():
        raise UsageError(f"{out} is the source itself, which is only read; choose another --out")
    found = find_source(directory, source)
    info = media.probe(source)
    count = found.frames
    sound = media.read_audio(source, count) if info.audio_codec else None
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures = progress.track(_drawn(found, source, count), "overlay", count, "frame")
    media.write_video(out, pictures, sound)
    return count


def find_source(directory: Path, path: Path) -> Source:
    """Return what a set says of the source that has the bytes of a file."""
    entries = read_ledger(directory)
    if entries is None:
        raise DataError(f"{directory} has no ledger.parquet, so its sources are not known")
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from error
    same = [e.video_id for e in entries if e.sha256 == digest.hexdigest() and e.frames]
    if not same:
        raise UsageError(
            f"{path} is none of the videos that {directory} was built from: none has these bytes"
        )
    return next(gather(open_set(directory), same[:1]))


def _drawn(found: Source, path: Path, count: int) -> Iterator[UInt8Array]:
    for frame in media.iter_frames(path, stop=count):
        yield draw_tracks(frame.image, found, frame.index)


def draw_tracks(image: UInt8Array, found: Source, frame: int) -> UInt8Array:
    """Return a copy of one picture of a source with what is known of that frame.

    Parameters
    ----------
    image
        RGB; shape (H, W, 3).
    found
        What is known of the source.
    frame
        Number of the picture on the 25 fps grid.
    """
    image = image.copy()
    size = max(image.shape[0] / 900, 0.35)
    line = max(round(2 * size), 1)
    unplaced = []
    for track in found.tracks:
        if not track.start <= frame < track.stop:
            continue
        if len(track.boxes) <= frame - track.start:
            unplaced.append(words(track))
            continue
        colour = LOST if track.reason else KEPT
        x1, y1, x2, y2 = (round(value) for value in track.boxes[frame - track.start])
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, line, cv2.LINE_AA)
        _write(image, words(track), (x1, y1 - line), size, colour)
    shot = next((n for n, (a, b) in enumerate(found.shots or ()) if a <= frame < b), None)
    head = f"{frame}  {clock(frame)}" + ("" if shot is None else f"  shot {shot}")
    row = round(34 * size)
    _write(image, head, (0, row), size, INK)
    for number, text in enumerate(unplaced):
        _write(image, text, (0, image.shape[0] - row * number), size, LOST)
    return image


def words(track: Track) -> str:
    """Return what is written beside a track."""
    name = "-".join(track.key.split("-")[-2:]) if track.key else f"shot {track.shot}"
    parts = [name]
    if "offset" in track.sync:
        parts.append(f"{track.sync['offset']:+d}")
    if "confidence" in track.sync:
        parts.append(f"conf {track.sync['confidence']:.3f}")
    if track.reason:
        parts.append(track.reason)
    return "  ".join(parts)


def _write(
    image: UInt8Array, text: str, place: tuple[int, int], size: float, colour: Sequence[int]
) -> None:
    """Write a line on a dark ground with its lower left corner at a place, kept in the picture."""
    thick = max(round(size), 1)
    (width, height), below = cv2.getTextSize(text, _FONT, size, thick)
    x = max(min(place[0], image.shape[1] - width), 0)
    y = max(min(place[1], image.shape[0]), height + below)
    cv2.rectangle(image, (x, y - height - below), (x + width, y), PAPER, cv2.FILLED)
    cv2.putText(image, text, (x, y - below // 2), _FONT, size, colour, thick, cv2.LINE_AA)
