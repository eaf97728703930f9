"""LRW: one word in the middle of 29 frames, as face crops, in folders by word and split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .layout import SPLITS, Entry, Layout, below, files, read_text
from .transcripts import lrw


def _clips(root: Path) -> Iterator[Entry]:
    """List ``WORD/SPLIT/WORD_00001.mp4`` below the root or its folder lipread_mp4."""
    base = root / "lipread_mp4" if (root / "lipread_mp4").is_dir() else root
    found = False
    for path in files(base, *(f"*/{split}/*.mp4" for split in SPLITS)):
        word, split, _ = path.relative_to(base).parts
        found = True
        yield Entry(below(path, root), split, part=split, facts={"text": word})
    if not found:
        raise LAYOUT.wrong_root(root, "it holds no WORD/train, WORD/val or WORD/test with .mp4")


def _read(root: Path, entry: Entry) -> Entry:
    text = read_text((root / entry.file).with_suffix(".txt"))
    return entry if text is None else replace(entry, facts={**entry.facts, **lrw(text)})


LAYOUT = Layout(
    name="lrw",
    title="LRW (Lip Reading in the Wild)",
    expected="lipread_mp4/WORD/train|val|test/WORD_00001.mp4 with WORD_00001.txt beside each",
    crops=True,
    splits="the corpus' folders train, val and test",
    licence="For academic research by agreement with BBC Research & Development; not to be shared.",
    cite="Chung, Zisserman: Lip reading in the wild, ACCV, 2016",
    clips=_clips,
    read=_read,
)
