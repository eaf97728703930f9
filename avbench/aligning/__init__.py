"""Aligning whole recordings frame by frame, and mending them: what ``avbench align`` does.

- `windows`: a long clip as the windows that an aligner looks at;
- `chain`: from votes to a chain that never goes back;
- `smoothing`: gaps filled, and steps smoothed;
- `posterior`: from posteriors to the likeliest alignment;
- `marginal`: from posteriors to the middle of what is probable, and the doubt;
- `similar`: an aligner out of any embeddings;
- `whole`: all of these together: embeddings in, an alignment out.

References
----------
Y. Shalev and L. Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020.
T. Halperin, A. Ephrat and S. Peleg, "Dynamic Temporal Alignment of Speech to Lips", 2019.
"""

from __future__ import annotations

from avbench.aligning.whole import How, whole

__all__ = ["How", "whole"]
