"""The detectors by name, and the files of weights that some of them need."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from avbench.errors import UnknownName, UsageError

from .blazeface import BlazeFace
from .boxes import Detector

# Each adapter is imported when it is asked for: most need something that is not always there.


def _retinaface_mobilenet(confidence: float, weights: str = "") -> Detector:
    from .retinaface_mobilenet import RetinaFaceMobileNet

    return RetinaFaceMobileNet(confidence, Path(weights))


def _retinaface(confidence: float, weights: str = "") -> Detector:
    from .retinaface import RetinaFace

    return RetinaFace(confidence, Path(weights) if weights else None)


def _yunet(confidence: float, weights: str = "") -> Detector:
    from .yunet import YuNet

    return YuNet(confidence, Path(weights))


def _hog(confidence: float) -> Detector:
    from .hog import Hog

    return Hog(confidence)


DETECTORS: dict[str, Callable[..., Detector]] = {
    "blazeface": BlazeFace,
    "retinaface-mobilenet": _retinaface_mobilenet,
    "retinaface": _retinaface,
    "yunet": _yunet,
    "hog": _hog,
}
"""Detector name -> what makes one from the least confidence of a face and, for those in
`WEIGHTS`, the path of a file of weights."""

WEIGHTS: Mapping[str, tuple[Literal["needed", "optional"], str]] = {
    "retinaface-mobilenet": ("needed", "RetinaFace's mobilenet0.25_Final.pth"),
    "retinaface": ("optional", "retinaface-pytorch's resnet50 state dict"),
    "yunet": ("needed", "a YuNet .onnx file of 2022 or later"),
}
"""Detector that takes a file of weights -> whether it must be given, and what it is."""


def check_weights(name: str, weights: str) -> None:
    """Raise unless there is a detector of that name and its weights are given as it needs them.

    Raises
    ------
    UnknownName
        If there is no such detector.
    UsageError
        If weights are missing, not a file, or given to a detector that takes none.
    """
    if name not in DETECTORS:
        raise UnknownName("face detector", name, DETECTORS)
    need, what = WEIGHTS.get(name, ("", ""))
    if need == "needed" and not weights:
        raise UsageError(
            f"the face detector '{name}' needs its weights; give {what} with --detector-weights"
        )
    if weights and not need:
        raise UsageError(
            f"the face detector '{name}' takes no file of weights; leave out --detector-weights "
            f"or choose --detector {', '.join(sorted(WEIGHTS))}"
        )
    if weights and not Path(weights).is_file():
        raise UsageError(f"--detector-weights {weights} is not a file; give {what}")


def weights_sha256(weights: str) -> str:
    """Return the SHA-256 of a file of weights.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    try:
        status = Path(weights).stat()
        return _hashed(weights, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UsageError(
            f"--detector-weights {weights} cannot be read ({error.strerror}); give another file"
        ) from error


@lru_cache(maxsize=8)
def _hashed(weights: str, size: int, changed: int) -> str:
    from pipelines.files import hash_file

    return hash_file(Path(weights))


def load_detector(name: str, confidence: float, weights: str = "") -> Detector:
    """Return a face detector by name; made once in each process.

    Parameters
    ----------
    name
        A key of `DETECTORS`.
    confidence
        Least confidence of a face.
    weights
        Path of its weights; empty where it brings its own.

    Raises
    ------
    UnknownName
        If there is none of that name.
    UsageError
        If the weights are missing or not its own.
    MissingDependency
        If it needs a package that is not installed.
    """
    check_weights(name, weights)
    # A network does not survive a fork: each process has its own.
    return _loaded(name, confidence, weights, os.getpid())


@lru_cache(maxsize=2)
def _loaded(name: str, confidence: float, weights: str, process: int) -> Detector:
    make = DETECTORS[name]
    return make(confidence, weights) if weights else make(confidence)
