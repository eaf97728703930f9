"""Tables in the papers' shape: methods down, window lengths across, one block per metric.

A cell reads ``66.88 ± 0.35 (39.59)``: accuracy in percent, its standard deviation over the
repeats, and in brackets the relative error reduction against the reference method in percent.
Instead of the spread it can carry a 95 % interval: ``66.88 [66.53, 67.23] (39.59)``. A table
renders as text, Markdown or LaTeX; `tidy` gives the same numbers as CSV or Parquet.
"""

from __future__ import annotations

from avbench.tables.build import SHOWN, accuracy_table, run_table
from avbench.tables.model import Block, Cell, Table
from avbench.tables.notes import chance_note
from avbench.tables.tidy import to_csv, to_frame, to_parquet

__all__ = [
    "SHOWN",
    "Block",
    "Cell",
    "Table",
    "accuracy_table",
    "chance_note",
    "run_table",
    "to_csv",
    "to_frame",
    "to_parquet",
]
