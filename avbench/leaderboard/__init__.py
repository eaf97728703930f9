"""What papers report and what avbench measured, side by side and never mixed."""

from __future__ import annotations

from pathlib import Path


def checkout_folder() -> Path:
    """Return where the leaderboards of a checkout are; outside one there is nothing."""
    return Path(__file__).resolve().parents[2] / "leaderboards"
