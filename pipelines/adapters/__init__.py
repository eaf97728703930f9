"""Corpora as their makers lay them out: described clip by clip, and read into the build."""

from __future__ import annotations

from avbench.errors import UnknownName

from . import columbia, folders, grid, lrs, lrw, ouluvs2, syncnet_python, tcdtimit, voxceleb2
from .corpus import Corpus, Crops, corpus_unit, open_corpus
from .layout import Entry, Layout

LAYOUTS = {
    layout.name: layout
    for layout in (
        lrs.LRS2,
        lrs.LRS3,
        lrw.LAYOUT,
        grid.LAYOUT,
        tcdtimit.LAYOUT,
        voxceleb2.LAYOUT,
        ouluvs2.LAYOUT,
        columbia.LAYOUT,
        syncnet_python.LAYOUT,
        folders.LAYOUT,
    )
}
"""Layouts by what ``--layout`` calls them."""

__all__ = [
    "LAYOUTS",
    "Corpus",
    "Crops",
    "Entry",
    "Layout",
    "corpus_unit",
    "find_layout",
    "open_corpus",
]


def find_layout(name: str) -> Layout:
    """Return a layout by name; UnknownName where there is none."""
    if name not in LAYOUTS:
        raise UnknownName("layout", name, LAYOUTS)
    return LAYOUTS[name]
