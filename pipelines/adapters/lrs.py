"""LRS2 and LRS3: sentences cut from broadcasts and talks, as face crops with their text.

Traps that are handled here:

* a clip's name alone is not unique, and YouTube's names differ in capitals alone or begin with a
  hyphen: clips are named by their whole path;
* LRS3's pretrain and trainval sets share talks, so that a validation set drawn from either would
  leak: whole talks are drawn, over both;
* LRS2's pretrain set is not in its train list: it is training data of its own list.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .layout import Entry, Layout, below, files, read_lists, read_text
from .transcripts import lrs

log = logging.getLogger(__name__)

LRS2_LISTS = {
    "pretrain.txt": "pretrain",
    "train.txt": "train",
    "val.txt": "val",
    "test.txt": "test",
}
LRS3_PARTS = {"pretrain": "", "trainval": "", "test": "test"}
"""Folder -> official split; empty where the corpus leaves the validation set to its users."""


def _lrs2(root: Path) -> Iterator[Entry]:
    """List the clips of LRS2; a clip that is in no list is in no split and stays out."""
    present = [name for name in ("main", "pretrain") if (root / name).is_dir()]
    if not present:
        raise LRS2.wrong_root(root, "it holds neither main nor pretrain")
    listed = read_lists(root, LRS2_LISTS)
    absent = [
        clip for clip in listed if not any((root / p / f"{clip}.mp4").is_file() for p in present)
    ]
    if absent:
        log.warning("%d clips of the lists are not there, such as %s", len(absent), absent[0])
    if "main" in present and not {"train", "val", "test"} & set(listed.values()):
        raise LRS2.wrong_root(root, "it holds clips in main and none of its lists names any")
    for path in files(root, *(f"{name}/*/*.mp4" for name in present)):
        folder, recording, clip = path.relative_to(root).parts
        part = "pretrain"
        if folder == "main":
            part = listed.get(f"{recording}/{clip.removesuffix('.mp4')}", "")
        if part:
            split = "train" if part == "pretrain" else part
            yield Entry(below(path, root), split, group=recording, part=part)


def _lrs3(root: Path) -> Iterator[Entry]:
    present = [name for name in LRS3_PARTS if (root / name).is_dir()]
    if not present:
        raise LRS3.wrong_root(root, "it holds none of " + ", ".join(LRS3_PARTS))
    for path in files(root, *(f"{name}/*/*.mp4" for name in present)):
        part, talk, _ = path.relative_to(root).parts
        split = LRS3_PARTS[part]
        yield Entry(below(path, root), split, ("train", "val"), talk, speaker=talk, part=part)


def _read(root: Path, entry: Entry) -> Entry:
    """Add the text beside a clip: sentence, confidence, boxes and words where it has them.

    What `avbench export --to lrs` adds, speaker and alignment, is taken as it was.
    """
    text = read_text((root / entry.file).with_suffix(".txt"))
    if text is None:
        return entry
    facts = lrs(text)
    speaker = str(facts.pop("speaker", entry.speaker))
    alignment = tuple(facts.pop("alignment", ()))
    return replace(entry, facts=facts, speaker=speaker, alignment=alignment)


LRS2 = Layout(
    name="lrs2",
    title="LRS2-BBC",
    expected=(
        "main/RECORDING/CLIP.mp4 and pretrain/RECORDING/CLIP.mp4 with CLIP.txt beside each, and "
        "the lists pretrain.txt, train.txt, val.txt and test.txt in the root"
    ),
    crops=True,
    splits="the corpus' lists train, val and test; pretrain is training data",
    licence="For academic research by agreement with BBC Research & Development; not to be shared.",
    cite=(
        "Afouras, Chung, Senior, Vinyals, Zisserman: Deep audio-visual speech recognition, "
        "IEEE TPAMI, 2018"
    ),
    clips=_lrs2,
    read=_read,
)
LRS3 = Layout(
    name="lrs3",
    title="LRS3-TED",
    expected=(
        "pretrain/TALK/CLIP.mp4, trainval/TALK/CLIP.mp4 and test/TALK/CLIP.mp4 with CLIP.txt "
        "beside each"
    ),
    crops=True,
    splits=(
        "test is the corpus' own; train and val are drawn by talk over pretrain and trainval, "
        "which share talks"
    ),
    licence="Of TED talks, which are CC BY-NC-ND 4.0.",
    cite=(
        "Afouras, Chung, Zisserman: LRS3-TED: a large-scale dataset for visual speech "
        "recognition, arXiv:1809.00496, 2018"
    ),
    clips=_lrs3,
    read=_read,
)
