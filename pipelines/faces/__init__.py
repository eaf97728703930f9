"""Face detection: an interface, and the detectors that fit it.

Detectors see one picture at a time and keep no state between pictures, so that a box never
depends on what was looked at before. Whoever drew it, a box covers a face as WIDER FACE annotates
it (see `pipelines.faces.boxes`).
"""

from .blazeface import BlazeFace, corners, face_box, squares
from .boxes import (
    PAD_VALUE,
    CloseDetector,
    Detections,
    Detector,
    assign,
    assign_again,
    iou,
    merge,
)
from .registry import DETECTORS, WEIGHTS, check_weights, load_detector, weights_sha256

__all__ = [
    "DETECTORS",
    "PAD_VALUE",
    "WEIGHTS",
    "BlazeFace",
    "CloseDetector",
    "Detections",
    "Detector",
    "assign",
    "assign_again",
    "check_weights",
    "corners",
    "face_box",
    "iou",
    "load_detector",
    "merge",
    "squares",
    "weights_sha256",
]
