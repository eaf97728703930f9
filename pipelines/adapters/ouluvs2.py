"""OuluVS2: digits, phrases and sentences by 52 speakers from five views, 30 fps, sound apart.

The five views of an utterance have one sound: all clips of a speaker stay in one split. The
folders of mouths (``cropped_mouth...``) show no face and are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from avbench.data import JSON

from .layout import Entry, Layout, below, files, read_text

TEST_SPEAKERS = frozenset({6, 8, 9, 15, 26, 30, 34, 43, 44, 49, 51, 52})
"""The twelve speakers reserved for testing in the lists of the corpus' challenge of 2016."""
_NAME = re.compile(r"s(?P<speaker>\d+)_v(?P<view>[1-5])_u(?P<utterance>\d+)", re.IGNORECASE)
KINDS = (".mp4", ".avi", ".mov")


def _part(utterance: int) -> str:
    """Return what kind of utterance a number is."""
    return "digits" if utterance <= 30 else "phrases" if utterance <= 60 else "sentences"


def _clips(root: Path) -> Iterator[Entry]:
    """List ``s1_v1_u1.mp4`` wherever it is, but for crops of mouths."""
    found = False
    for path in files(root, *(f"**/*{kind}" for kind in KINDS)):
        match = _NAME.fullmatch(path.stem)
        if match is None or any("mouth" in part for part in path.relative_to(root).parts):
            continue
        found = True
        number, utterance = int(match["speaker"]), int(match["utterance"])
        facts: dict[str, JSON] = {"view": int(match["view"]), "utterance": utterance}
        split = "test" if number in TEST_SPEAKERS else ""
        name = f"s{number}"
        yield Entry(
            below(path, root), split, ("train", "val"), name, name, _part(utterance), facts=facts
        )
    if not found:
        raise LAYOUT.wrong_root(root, "it holds no s1_v1_u1.mp4 that shows a whole face")


def _read(root: Path, entry: Entry) -> Entry:
    """Add sound and sentence, which all views of an utterance share."""
    path = root / entry.file
    name = f"{entry.speaker}_u{entry.facts['utterance']}"
    sounds = (path.with_suffix(".wav"), path.with_name(f"{name}.wav"), *_wavs(root, name))
    sound = next((below(p, root) for p in sounds if p.is_file()), "")
    texts = (path.with_suffix(".txt"), root / "lsentence" / f"{name}.txt")
    text = next((t for place in texts if (t := read_text(place)) is not None), None)
    facts = dict(entry.facts) | ({} if text is None else {"text": " ".join(text.split())})
    return replace(entry, sound=sound, facts=facts)


def _wavs(root: Path, name: str) -> list[Path]:
    """Return where the audio of the corpus is unpacked."""
    return [root / folder / f"{name}.wav" for folder in ("cropped_audio_dat", "audio", "wav")]


LAYOUT = Layout(
    name="ouluvs2",
    title="OuluVS2",
    expected=(
        "s1_v1_u1.mp4 (speaker, view, utterance) in any folder whose name does not speak of "
        "mouths, with its sound inside, beside it, or as cropped_audio_dat/s1_u1.wav"
    ),
    crops=False,
    splits="test: the twelve speakers reserved for it; the others are drawn between train and val",
    licence="For academic research by agreement with the University of Oulu; not to be shared.",
    cite=(
        "Anina, Zhou, Zhao, Pietikäinen: OuluVS2: a multi-view audiovisual database for non-rigid "
        "mouth motion analysis, IEEE FG, 2015"
    ),
    clips=_clips,
    read=_read,
)
