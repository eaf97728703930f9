"""A fresh process that loads a method and writes what it makes of one clip."""

from __future__ import annotations

import importlib
import json
import sys
from functools import reduce
from pathlib import Path
from typing import cast

import numpy as np

REQUEST, CLIP, OUTCOME = "request.json", "clip.npz", "outcome.npz"


def main(folder: Path) -> None:
    """Answer the request in a folder: class, checkpoint and options, and a clip beside it."""
    request = json.loads((folder / REQUEST).read_text("utf-8"))
    sys.path[:] = list(dict.fromkeys([*request["path"], *sys.path]))
    from avbench.data import Alignment, Clip
    from avbench.selftest.outcome import compute
    from avbench.selftest.subject import Origin, Subject

    module = importlib.import_module(request["module"])
    cls = cast("type", reduce(getattr, request["name"].split("."), module))
    checkpoint = None if request["checkpoint"] is None else Path(request["checkpoint"])
    origin = Origin(cls, checkpoint, request["options"])
    with np.load(folder / CLIP, allow_pickle=False) as arrays:
        truth = Alignment(arrays["truth"]) if len(arrays["truth"]) else None
        clip = Clip(request["key"], arrays["frames"], arrays["audio"], truth)
    compute(Subject(origin.load(), origin, search=0), clip).save(folder / OUTCOME)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
