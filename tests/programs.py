"""System programs that some tests drive."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """Return where a system program is; skip without it, or fail where it has to be there."""
    found = shutil.which(name)
    if found is None and os.environ.get("AVBENCH_TOOLS") == "required":
        pytest.fail(f"{name} must be installed here")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
