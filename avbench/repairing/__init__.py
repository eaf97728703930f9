"""Repairing recordings whose sound and picture drift apart: what ``avbench align`` does.

- `held`: pictures that are shown again;
- `agreement`: how well sound and picture agree, and whether that could be an accident;
- `faces`: one face, embedded and aligned;
- `plan`: from the alignments of faces to edits: pure functions on arrays;
- `vocoder`: sound made faster and slower;
- `mend`: a file in, a file out;
- `report`: what was done, as JSON, CSV and a page.

References
----------
Y. Shalev and L. Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020.
T. Halperin, A. Ephrat and S. Peleg, "Dynamic Temporal Alignment of Speech to Lips", 2019.
"""

from __future__ import annotations

from avbench.repairing.mend import Repair, plan_repair, write_repair

__all__ = ["Repair", "plan_repair", "write_repair"]
