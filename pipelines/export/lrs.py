"""LRS-style folders: ``main/RECORDING/CLIP.mp4`` with ``CLIP.txt``, and the lists of the splits.

The MP4 holds picture and sound as they are stored, neither coded anew. The text has the lines of
LRS2 and LRS3 (``Text``, ``Conf``, ``Ref``, boxes, words) where the set knows what they say, and
three of avbench's own: ``Key``, ``Speaker``, and ``Alignment``, the video frame of each 40 ms of
sound, where clips are not in sync. ``avbench build-shards --layout lrs2`` reads all of it back.
Where mouths were cut, ``mouth/RECORDING/CLIP.mp4`` shows the mouth alone, frame by frame with the
face; it lies outside ``main``, where every video counts as a clip.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from avbench import media
from avbench.data import JSON
from avbench.exporting import Target
from avbench.shards import Sample, ShardSet
from pipelines.pack import MOUTH

from .facts import Facts, facts_of

LISTS = ("train", "val", "test")


class Lrs:
    """Writes LRS-style folders."""

    def __init__(self) -> None:
        self._lists: dict[str, list[str]] = defaultdict(list)

    def add(self, sample: Sample, split: str, target: Target) -> None:
        """Write picture with sound, and text, of one clip, and its mouth where one was cut."""
        facts = facts_of(sample, split)
        self._lists[split].append(f"{facts.video_id}/{facts.key}")
        folder = ("main", facts.video_id)
        target.write(partial(media.join, sample.video, sample.sound), *folder, f"{facts.key}.mp4")
        target.write(partial(text_of, facts, sample.info), *folder, f"{facts.key}.txt")
        if mouth := sample.more.get(MOUTH):
            target.write(lambda: mouth, "mouth", facts.video_id, f"{facts.key}.mp4")

    def finish(self, shards: ShardSet, target: Target) -> None:
        """Write the lists of clips, one for each split."""
        for split in LISTS:
            names = sorted(self._lists.get(split, []))
            target.write("".join(f"{name}\n" for name in names).encode, f"{split}.txt")


def text_of(facts: Facts, info: Mapping[str, JSON]) -> bytes:
    """Return the text beside a clip."""
    return ("\n".join(text_lines(facts, info)) + "\n").encode()


def text_lines(facts: Facts, info: Mapping[str, JSON]) -> Iterator[str]:
    """Yield the lines of the text beside a clip."""
    corpus: Mapping[str, JSON] = info.get("corpus") or {}
    yield f"Text:  {' '.join((facts.text or '').split())}"
    if "confidence" in corpus:
        yield f"Conf:  {corpus['confidence']:g}"
    yield f"Ref:  {corpus.get('reference') or facts.video_id}"
    yield f"Key:  {facts.key}"
    if facts.speaker:
        yield f"Speaker:  {' '.join(facts.speaker.split())}"
    if facts.offset != 0:
        yield "Alignment:  " + " ".join(map(str, facts.alignment))
    boxes = corpus.get("boxes") or boxes_of(info.get("facetrack") or {})
    if boxes:
        yield ""
        yield "FRAME X Y W H"
        for frame, *box in boxes:
            yield f"{int(frame):06d} " + " ".join(f"{value:.3f}" for value in box)
    if words := corpus.get("words"):
        yield ""
        yield "WORD START END ASDSCORE"
        for word, start, end, *score in words:
            yield f"{word} {start:.2f} {end:.2f} {(score or [0.0])[0]:.1f}"


def boxes_of(track: Mapping[str, JSON]) -> list[Sequence[float]]:
    """Return the boxes of a facetrack: frame of the source at 25 fps, and shares of its picture."""
    size: Mapping[str, JSON] = track.get("source") or {}
    if track.get("crop") == "whole" or not (size.get("width") and size.get("height")):
        return []
    width, height = float(size["width"]), float(size["height"])
    return [
        (frame, x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)
        for frame, (x0, y0, x1, y1) in enumerate(track.get("boxes") or [], int(track["start"]))
    ]
