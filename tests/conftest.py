"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have the real files in {folder}")
        pytest.skip(f"needs the real files in {folder}, which is absent")
    return folder


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Folder of real clips beside the checkout; skips where it is absent, except in CI."""
    return _shared("media")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of real detector weights beside the checkout; skips where absent, except in CI."""
    return _shared("weights")
