"""Find and load plug-ins by entry point: a name in a group, imported only when it is chosen."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from avbench.errors import AvbenchError, UnknownName

METHODS = "avbench.methods"
"""Entry point group: name -> class of a `avbench.methods.Method`."""
DATASETS = "avbench.datasets"
"""Entry point group: name -> class or function that returns a `avbench.datasets.Dataset`."""
PIPELINES = "avbench.pipelines"
"""Entry point group: name -> function that builds shards."""
EXPORTERS = "avbench.exporters"
"""Entry point group: name -> class of an `avbench.exporting.Exporter`."""


def available(group: str) -> list[str]:
    """Return the sorted names in an entry point group, importing nothing."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """Import and return the object that entry point ``name`` of ``group`` points to.

    Raises
    ------
    UnknownName
        If no installed package offers the name.
    AvbenchError
        If the module behind it cannot be imported, or lacks the object: usually a folder of the
        same name in the current directory hides the installed package.
    """
    found: list[EntryPoint] = [p for p in entry_points(group=group) if p.name == name]
    if not found:
        raise UnknownName(group.removeprefix("avbench.").removesuffix("s"), name, available(group))
    point = found[0]
    try:
        return point.load()
    except (ModuleNotFoundError, AttributeError) as error:
        top = point.module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(top):
            raise
        origin = _origin(top)
        raise AvbenchError(
            f"'{name}' should come from {point.value}, but {top} was found at {origin} and does "
            "not hold it; run from another directory, or reinstall with 'pip install -e .'"
        ) from error


def _origin(package: str) -> str:
    import importlib.util

    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return places[0] if places else "nowhere"
