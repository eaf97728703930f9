"""Retiming one speaker's picture to another's voice that says the same sentence.

- `recordings`: who says which sentence, and which pairs follow;
- `truth`: what the picture would have to show, where the phones of both are known;
- `landmarks`: lips as the correlations need them;
- `vocoder`: sound retimed without changing its pitch;
- `measuring`: one pair; `reporting`: many pairs in the tables of the paper.

References
----------
Y. Shalev and L. Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020, sections
5.2, 6.3 and 6.6, Tables 4 to 6.
"""

from __future__ import annotations

from avbench.redub.measuring import Measured, Settings, measure
from avbench.redub.recordings import Pair, Recording, pairs_of, read_recordings, tcd_timit
from avbench.redub.reporting import Report, report

__all__ = [
    "Measured",
    "Pair",
    "Recording",
    "Report",
    "Settings",
    "measure",
    "pairs_of",
    "read_recordings",
    "report",
    "tcd_timit",
]
