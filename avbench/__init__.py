"""avbench turns raw video of talking people into lip-sync datasets and measures methods on them."""

from __future__ import annotations

from avbench.data import Alignment, Clip, Item, Prediction

__version__ = "0.1.0"
__all__ = ["Alignment", "Clip", "Item", "Prediction", "__version__"]
