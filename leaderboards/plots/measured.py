"""Draw what avbench measured: python leaderboards/plots/measured.py [FOLDER].

Without a folder the committed figures are drawn anew. The numbers are those of ``measured/``; the
matrix is one clip of the demo's shards, written by ``avbench plot similarity --shards demo/shards
--offset 3 --length 40 --save-matrix leaderboards/plots/demo-similarity.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from avbench import plots
from avbench.leaderboard import store
from avbench.results import Score

HERE = Path(__file__).resolve().parent
FAR_ON_DRAWN_FACES = ("lip-geometry", "syncnet-local", "syncnet-vote")


def draw(name: str, out: Path) -> None:
    """Draw accuracies and paired differences of one measured data set."""
    measured = store.read(HERE.parent / "measured" / name)
    card = measured.card
    known = set(Score.__dataclass_fields__)
    scores = [Score(**{k: v for k, v in row.items() if k in known}) for row in measured.rows]
    fair = sorted(method for method, facts in card["methods"].items() if not facts["sees_truth"])
    # Where a method is far off, its differences would squeeze all others.
    far = {"constant"} if name == "grid" else {"constant", *FAR_ON_DRAWN_FACES}
    rivals = [method for method in fair if method not in far]
    search = card["task"]["search"]
    plots.save(plots.accuracy(scores, search=search, methods=fair), out / f"{name}-accuracy.png")
    gaps = plots.differences(measured.comparisons, methods=rivals)
    plots.save(gaps, out / f"{name}-differences.png")


def main(out: Path) -> None:
    """Draw all figures into a folder."""
    for name in ("demo", "grid", "synthetic-v1"):
        draw(name, out)
    seen = json.loads((HERE / "demo-similarity.json").read_text("utf-8"))
    picture = plots.similarity(np.array(seen.pop("matrix")), **seen)
    plots.save(picture, out / "demo-similarity.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
