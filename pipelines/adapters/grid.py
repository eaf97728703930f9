"""GRID: sentences of six words by 34 speakers, the whole head in front of a blue wall.

The sentence is in the name of the file. The corpus has no splits of its own: whole speakers are
drawn, so that no speaker is in two splits. Its clips read 0 or +1 frame, and that is how they are
stored: the corpus states no offset to undo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from avbench.data import JSON

from .layout import Entry, Layout, below, files, read_text
from .transcripts import grid_sentence, grid_words

_SPEAKER = re.compile(r"s\d{1,2}(_processed)?")
_NAMED = re.compile(r"(?P<speaker>[a-z]+\d+)_(?P<sentence>[a-z0-9]{6})")
KINDS = (".mpg", ".mpeg", ".mp4", ".avi", ".mov", ".mkv")


def _clips(root: Path) -> Iterator[Entry]:
    """List every file whose name is a sentence: in a speaker's folder, or with its speaker."""
    found = False
    for path in files(root, *(f"**/*{kind}" for kind in KINDS)):
        folders = [part for part in path.relative_to(root).parts[:-1] if _SPEAKER.fullmatch(part)]
        named = _NAMED.fullmatch(path.stem)
        speaker = named["speaker"] if named else folders[-1].partition("_")[0] if folders else ""
        text = grid_sentence(named["sentence"] if named else path.stem)
        if speaker and text:
            found = True
            facts: dict[str, JSON] = {"text": text}
            yield Entry(below(path, root), group=speaker, speaker=speaker, facts=facts)
    if not found:
        raise LAYOUT.wrong_root(root, "it holds no video with a sentence's name in an s1 .. s34")


def _read(root: Path, entry: Entry) -> Entry:
    """Add word times from SENTENCE.align, in any of the places where they are unpacked."""
    path = root / entry.file
    stem = path.stem.rpartition("_")[2]
    places = (
        path.with_suffix(".align"),
        path.parent / "align" / f"{stem}.align",
        path.parents[1] / "align" / f"{stem}.align",
        root / "align" / entry.speaker / f"{stem}.align",
        root / "alignments" / entry.speaker / f"{stem}.align",
    )
    text = next((text for place in places if (text := read_text(place)) is not None), None)
    return (
        entry if text is None else replace(entry, facts={**entry.facts, "words": grid_words(text)})
    )


LAYOUT = Layout(
    name="grid",
    title="GRID",
    expected="s1/bbaf2n.mpg and so on, one folder for each speaker, perhaps with align/*.align",
    crops=False,
    splits="the corpus has none: speakers are drawn",
    licence="Said to be CC BY 4.0 where it is published; ask its makers.",
    cite=(
        "Cooke, Barker, Cunningham, Shao: An audio-visual corpus for speech perception and "
        "automatic speech recognition, JASA 120(5), 2006"
    ),
    clips=_clips,
    read=_read,
)
