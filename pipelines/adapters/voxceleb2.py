"""VoxCeleb2: talking celebrities as face crops of 224 pixels, sound and facts in other trees.

Trap: each clip's text states an offset, and the picture that belongs to audio frame ``a`` is
``a + Offset - 1`` (the data loader of the released SyncNet trainer reads them so). avbench's
offset, video index minus audio index, is therefore one less than the number printed. The sound is
moved by it, and what was printed is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from avbench.errors import DataError

from .layout import Entry, Layout, below, files, read_text
from .transcripts import voxceleb

PARTS = {"dev": "", "train": "", "test": "test"}
"""Folder -> official split; dev and test share no speaker."""
SOUNDS = (("aac", ".m4a"), ("wav", ".wav"), ("flac", ".flac"))
"""Trees beside mp4 that may hold the sound, and what it ends in; the first that is there counts."""
PRINTED_ZERO = 1
"""What the texts print for a clip in sync."""


def _clips(root: Path) -> Iterator[Entry]:
    """List ``dev/mp4/id00012/21Uxsk56VDQ/00001.mp4`` and the like."""
    found = False
    for path in files(root, *(f"{part}/mp4/id*/*/*.mp4" for part in PARTS)):
        part, _, speaker, _, _ = path.relative_to(root).parts
        found = True
        split = PARTS[part]
        draw = ("train", "val")
        yield Entry(below(path, root), split, draw, group=speaker, speaker=speaker, part=part)
    if not found:
        raise LAYOUT.wrong_root(root, "it holds neither dev/mp4/id... nor test/mp4/id... with .mp4")


def _read(root: Path, entry: Entry) -> Entry:
    """Add where the sound is, what the text says, and the offset that it states."""
    part, _, *rest = Path(entry.file).parts
    inside = Path(*rest)
    sounds = (Path(part, tree, inside).with_suffix(kind) for tree, kind in SOUNDS)
    sound = next((path.as_posix() for path in sounds if (root / path).is_file()), "")
    place = Path(part, "txt", inside).with_suffix(".txt")
    facts = voxceleb(read_text(root / place) or "")
    if "offset" not in facts:
        raise DataError(
            f"{place.as_posix()}: is not there or states no Offset, so that it is not known how "
            "sound and picture lie; unpack the texts, or take --layout speakers, which believes "
            "the sound as it is."
        )
    return replace(entry, sound=sound, facts=facts, offset=facts["offset"] - PRINTED_ZERO)


LAYOUT = Layout(
    name="voxceleb2",
    title="VoxCeleb2",
    expected=(
        "dev/mp4/ID/VIDEO/CLIP.mp4 with dev/aac/ID/VIDEO/CLIP.m4a (or dev/wav) and "
        "dev/txt/ID/VIDEO/CLIP.txt, and test likewise"
    ),
    crops=True,
    splits="test is the corpus' own; train and val are drawn by speaker over dev",
    licence="The facts are CC BY 4.0; the videos are those of their owners on YouTube.",
    cite="Chung, Nagrani, Zisserman: VoxCeleb2: deep speaker recognition, Interspeech, 2018",
    clips=_clips,
    read=_read,
)
