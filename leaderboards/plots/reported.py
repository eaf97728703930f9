"""Draw what papers report beside what avbench measures: leaderboards/plots/reported.py [FOLDER].

Without a folder the committed figures are drawn anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from avbench import plots
from avbench.leaderboard.rows import read_measured, read_reported

HERE = Path(__file__).resolve().parent
FIGURES = {
    "reported-kim-strict-5": ("kim-strict-5", "accuracy@0"),
    "reported-pm-window-15": ("pm-window-15", "accuracy@1"),
}
"""Name -> protocol and metric."""
LEFT_OUT = ("measured/demo", "measured/grid", "measured/grid-pm-s1")
"""A small synthetic-v1, what has a figure of its own, and a panel too many."""


def main(out: Path) -> None:
    """Draw all figures of reported numbers into a folder."""
    rows = [*read_reported(HERE.parent), *read_measured(HERE.parent)]
    for name, (protocol, metric) in FIGURES.items():
        chosen = [r for r in rows if r.protocol == protocol and r.source not in LEFT_OUT]
        plots.save(plots.reported(chosen, metric=metric), out / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
