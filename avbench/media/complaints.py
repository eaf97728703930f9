"""What the decoder itself says about a file that is at fault, in its own words."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import av
import av.logging

from avbench.errors import DataError
from avbench.media.packets import Damage, frames_of, packets_of
from avbench.media.source import open_source

_PACKETS = 500
"""Packets that are decoded in search of complaints."""
_MOST = 8
_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]{8,}")


def complaints(path: Path) -> list[str]:
    """Return what the decoder complains of at the beginning of a file, each sentence once.

    Reads the file anew and decodes some hundred packets of it: meant for files that failed.

    Returns
    -------
    list of str
        ``decoder: message``, at most eight, or the name of its error where it says no more; none
        where it has nothing to say, as of a file that is empty.
    """
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    short: str | None = None
    try:
        with av.logging.Capture(local=True) as said:
            try:
                with open_source(path) as source:
                    for packet in islice(packets_of(source, Damage()), _PACKETS):
                        frames_of(packet, Damage())
            except DataError as error:  # its words are in the log, if it had more than one
                short = getattr(error.__cause__, "strerror", None)
    finally:
        av.logging.set_level(before)
    found: dict[str, None] = {}
    for _, name, message in said:
        text = " ".join(message.replace(str(path.absolute()), path.name).split())
        if text:
            found[f"{name}: {_ADDRESS.sub('...', text)}"] = None
    if short and not found:
        found[short] = None
    return list(found)[:_MOST]
