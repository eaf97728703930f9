"""TCD-TIMIT: phonetically rich sentences by 59 volunteers and three lipspeakers, 29.97 fps.

A sentence was filmed from the front and from 30 degrees at once: both views have one speaker and
one sound, so that they are never drawn into two splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .layout import Entry, Layout, below, files, read_text

_HELD_OUT = "13F 15F 21M 23M 24M 25M 28M 29M 30F 31F 34M 36F 37F 43F 47M 51F 54M"
TEST_VOLUNTEERS = frozenset(_HELD_OUT.split())
"""Held out by public recipes for speaker-independent work, which name no other list."""
VIEWS = ("straightcam", "30degcam")


def _clips(root: Path) -> Iterator[Entry]:
    """List ``volunteers/01M/Clips/straightcam/sa1.mp4`` and the like."""
    found = False
    for path in files(root, *(f"**/{view}/*.mp4" for view in VIEWS)):
        parts = path.relative_to(root).parts
        if len(parts) < 4:
            continue
        speaker, _, view, _ = parts[-4:]
        found = True
        split = "test" if speaker.upper() in TEST_VOLUNTEERS else ""
        lip = speaker.lower().startswith("lipspkr")
        yield Entry(
            below(path, root),
            split,
            ("train", "val"),
            group=speaker,
            speaker=speaker,
            part="lipspeakers" if lip else "volunteers",
            facts={"view": view},
        )
    if not found:
        raise LAYOUT.wrong_root(root, "it holds no SPEAKER/Clips/straightcam with .mp4")


def _read(root: Path, entry: Entry) -> Entry:
    """Add the sentence: words, perhaps behind their start and end in samples as TIMIT has them."""
    text = read_text((root / entry.file).with_suffix(".txt"))
    if text is None:
        return entry
    spoken = " ".join(word for word in text.split() if not word.isdigit())
    return replace(entry, facts={**entry.facts, "text": spoken})


LAYOUT = Layout(
    name="tcd-timit",
    title="TCD-TIMIT",
    expected="volunteers/01M/Clips/straightcam/sa1.mp4 and lipspeakers/Lipspkr1/Clips/...",
    crops=False,
    splits=(
        "test: the 17 volunteers that public recipes hold out; the other speakers are drawn "
        "between train and val"
    ),
    licence="For academic research by agreement with Trinity College Dublin; not to be shared.",
    cite=(
        "Harte, Gillen: TCD-TIMIT: an audio-visual corpus of continuous speech, IEEE Transactions "
        "on Multimedia 17(5), 2015"
    ),
    clips=_clips,
    read=_read,
)
