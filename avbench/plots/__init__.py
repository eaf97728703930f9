"""Figures for papers, from results, predictions and embeddings.

Every function returns a matplotlib figure and touches no global state; `save` writes it as PNG, PDF
or SVG, the same bytes for the same input. A figure is drawn at the ``width`` it will have in print
(`avbench.venues` knows those of common venues); its letters keep their size at any width.
"""

from __future__ import annotations

from avbench.plots.answers import confidence, errors, has_confidence, risk_coverage
from avbench.plots.curves import accuracy, accuracy_table, reported
from avbench.plots.differences import differences
from avbench.plots.drift import LAWS, drawn_offsets, drift
from avbench.plots.matrices import confusion, confusion_table, similarity
from avbench.plots.pairs import Separation, drawn_pairs, pairs, separation
from avbench.plots.patterns import Twin, before_after, contrast, gradients, twin_table
from avbench.plots.responses import Responses, response_curves, response_table, responses
from avbench.plots.rows import SyncedRows
from avbench.plots.speech import speech, speech_table, window_shares
from avbench.plots.style import DPI, FORMATS, MARKERS, PALETTE, PRINT_DPI, save

__all__ = [
    "DPI",
    "FORMATS",
    "LAWS",
    "MARKERS",
    "PALETTE",
    "PRINT_DPI",
    "Responses",
    "Separation",
    "SyncedRows",
    "Twin",
    "accuracy",
    "accuracy_table",
    "before_after",
    "confidence",
    "confusion",
    "confusion_table",
    "contrast",
    "differences",
    "drawn_offsets",
    "drawn_pairs",
    "drift",
    "errors",
    "gradients",
    "has_confidence",
    "pairs",
    "reported",
    "response_curves",
    "response_table",
    "responses",
    "risk_coverage",
    "save",
    "separation",
    "similarity",
    "speech",
    "speech_table",
    "twin_table",
    "window_shares",
]
