"""A fresh process that loads a method and prints the hash of what it makes of one clip."""

from __future__ import annotations

import importlib
import json
import sys
from functools import reduce
from pathlib import Path
from typing import cast

import numpy as np


def main(folder: Path) -> str:
    """Answer the request in a folder.

    Parameters
    ----------
    folder
        Holds ``request.json`` (class, checkpoint, options) and ``clip.npz``.

    Returns
    -------
    str
        The hash of `avbench.selftest.subject.bytes_of`.
    """
    request = json.loads((folder / "request.json").read_text("utf-8"))
    sys.path[:] = list(dict.fromkeys([*request["path"], *sys.path]))
    from avbench.data import Alignment, Clip
    from avbench.selftest.subject import Origin, Subject, bytes_of

    module = importlib.import_module(request["module"])
    cls = cast("type", reduce(getattr, request["name"].split("."), module))
    checkpoint = None if request["checkpoint"] is None else Path(request["checkpoint"])
    origin = Origin(cls, checkpoint, request["options"])
    with np.load(folder / "clip.npz", allow_pickle=False) as arrays:
        truth = Alignment(arrays["truth"]) if len(arrays["truth"]) else None
        clip = Clip(request["key"], arrays["frames"], arrays["audio"], truth)
    return bytes_of(Subject(origin.load(), origin, search=0), clip)


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1])) + "\n")
