"""The one place that imports torchaudio.

torchaudio 2.11 ships an extension built for CUDA, and importing the package loads it: on a CPU
build of torch that fails with OSError (RuntimeError where CUDA versions differ). Everything that
avbench uses from it is pure Python, so where the extension cannot load, a stand-in that offers no
compiled function takes its place. Decoding media is not torchaudio's job here (`avbench.media`).

Import `torchaudio` from this module, never directly. Python's import lock makes that safe from
several threads.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["EXTENSION_LOADED", "torchaudio"]


def _stand_in() -> ModuleType:
    """Make a ``torchaudio._extension`` without compiled functions."""

    def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise RuntimeError(
                f"torchaudio.{function.__name__} needs torchaudio's compiled extension, which "
                "does not load with this torch"
            )

        return refuse

    def nothing(*_args: Any, **_kwargs: Any) -> bool:
        return False

    module = ModuleType("torchaudio._extension")
    members = {
        "_IS_TORCHAUDIO_EXT_AVAILABLE": False,
        "_IS_ALIGN_AVAILABLE": False,
        "_check_cuda_version": nothing,
        "_load_lib": nothing,
        "fail_if_no_align": fail_if_no_align,
    }
    vars(module).update(members)
    return module


def _import_guarded(name: str = "torchaudio") -> tuple[ModuleType, bool]:
    """Import torchaudio, with the stand-in where its extension does not load.

    Returns
    -------
    tuple
        The module, and whether its own extension loaded.
    """
    try:
        return importlib.import_module(name), True
    except (OSError, RuntimeError):
        # A failed package import leaves its finished submodules behind; they would keep
        # references to a package object that no longer exists.
        for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[loaded]
        sys.modules[f"{name}._extension"] = _stand_in()
        return importlib.import_module(name), False


torchaudio: Any
torchaudio, EXTENSION_LOADED = _import_guarded()
