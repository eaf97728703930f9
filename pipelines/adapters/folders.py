"""A user's own videos, one folder for each speaker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from avbench.data import JSON

from .layout import Entry, Layout, below, files, read_text

KINDS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".mpeg", ".m4v", ".ts", ".mts")


def _clips(root: Path) -> Iterator[Entry]:
    """List every video in a folder below the root; the topmost folder is the speaker."""
    found = False
    for path in files(root, "**/*"):
        parts = path.relative_to(root).parts
        if path.suffix.lower() in KINDS and len(parts) > 1:
            found = True
            yield Entry(below(path, root), group=parts[0], speaker=parts[0])
    if not found:
        raise LAYOUT.wrong_root(root, "none of its folders holds a video")


def _read(root: Path, entry: Entry) -> Entry:
    """Add the text beside a video as what is said in it."""
    text = read_text((root / entry.file).with_suffix(".txt"))
    facts: dict[str, JSON] = {} if text is None else {"text": " ".join(text.split())}
    return replace(entry, facts=facts)


LAYOUT = Layout(
    name="speakers",
    title="folder of speakers",
    expected="SPEAKER/VIDEO.mp4 at any depth, perhaps with VIDEO.txt of what is said beside it",
    crops=False,
    splits="speakers are drawn",
    licence="Yours to know.",
    cite="",
    clips=_clips,
    read=_read,
)
