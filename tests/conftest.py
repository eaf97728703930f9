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


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of embeddings of its own."""
    place = tmp_path_factory.getbasetemp() / "caches" / os.urandom(6).hex()
    monkeypatch.setenv("AVBENCH_CACHE", str(place))


@pytest.fixture(scope="session")
def shared_papers() -> Path:
    """Folder of the papers' texts beside the checkout; skips where absent, except in CI."""
    return _shared("papers")


@pytest.fixture(scope="session")
def shared_specs() -> Path:
    """Folder of the list of reference rows beside the checkout; as `shared_papers`."""
    return _shared("specs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that start Ray one after another: several at once starve a small machine."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))
