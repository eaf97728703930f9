"""Figures for papers, from results, predictions and embeddings.

Every function returns a matplotlib figure and touches no global state; `save` writes it as PNG, PDF
or SVG, the same bytes for the same input. A figure is drawn at the ``width`` it will have in print
(`avbench.venues` knows those of common venues); its letters keep their size at any width.
"""

from __future__ import annotations

from avbench.plots.answers import confidence, errors, has_confidence, risk_coverage
from avbench.plots.curves import accuracy, reported
from avbench.plots.differences import differences
from avbench.plots.drift import LAWS, drawn_offsets, drift
from avbench.plots.matrices import confusion, similarity
from avbench.plots.style import DPI, FORMATS, MARKERS, PALETTE, PRINT_DPI, save

__all__ = [
    "DPI",
    "FORMATS",
    "LAWS",
    "MARKERS",
    "PALETTE",
    "PRINT_DPI",
    "accuracy",
    "confidence",
    "confusion",
    "differences",
    "drawn_offsets",
    "drift",
    "errors",
    "has_confidence",
    "reported",
    "risk_coverage",
    "save",
    "similarity",
]
