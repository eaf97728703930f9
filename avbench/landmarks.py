"""Points of the face from MediaPipe's FaceMesh, frame by frame.

Every frame is looked at on its own, so that what is found in it depends on no other.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.errors import MissingDependency
from avbench.quiet import hushed

# fmt: off
OUTER_LIP = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)
"""Numbers of FaceMesh; in the order of points 48 to 59 of the iBUG scheme (0-based)."""
INNER_LIP = (78, 81, 13, 311, 308, 402, 14, 178)
"""In the order of points 60 to 67 of the iBUG scheme (0-based)."""
CHIN = (176, 148, 152, 377, 400)
EYES = (33, 133, 362, 263)
"""Corners: right outer, right inner, left inner, left outer."""
NOSE = (1,)
# fmt: on
_CONFIDENCE = 0.3
_local = threading.local()


def find(frames: UInt8Array, points: tuple[int, ...], *, refined: bool = False) -> FloatArray:
    """Find points of the one face in each picture.

    Parameters
    ----------
    frames
        RGB face crops; shape (T, H, W, 3).
    points
        Their numbers in FaceMesh.
    refined
        Look at lips and eyes more closely, with FaceMesh's networks for them; a fifth slower.

    Returns
    -------
    FloatArray
        x and y in units of the crop's width and height, float32, NaN where no face is found;
        shape (T, P, 2).

    Raises
    ------
    MissingDependency
        If mediapipe is not installed.
    """
    mesh = _mesh(refined)
    out = np.full((len(frames), len(points), 2), np.nan, np.float32)
    for index, frame in enumerate(frames):
        faces = mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks
        if faces:
            found = faces[0].landmark
            out[index] = [(found[point].x, found[point].y) for point in points]
    return out


class _Messages:
    """What mediapipe asks protobuf for, asked in the way that is not deprecated.

    Its own way warns with every picture, and a thread cannot silence a warning for itself alone.
    """

    def __init__(self) -> None:
        from google.protobuf import descriptor_pool, message_factory

        self.pool = descriptor_pool.Default()
        self.GetPrototype = message_factory.GetMessageClass

    def Default(self) -> _Messages:
        """Return the database of messages."""
        return self


def _mesh(refined: bool) -> Any:
    """Return this thread's landmarker: one is not safe in several."""
    name = "refined" if refined else "plain"
    if not hasattr(_local, name):
        with hushed():
            try:
                from mediapipe.python import packet_getter
                from mediapipe.python.solutions.face_mesh import FaceMesh
            except ImportError as error:
                raise MissingDependency(
                    "the face landmarks need the package mediapipe; install it with "
                    "pip install 'avbench[face]'"
                ) from error
            packet_getter.symbol_database = _Messages()
            mesh = FaceMesh(
                static_image_mode=True,
                max_num_faces=1,
                refine_landmarks=refined,
                min_detection_confidence=_CONFIDENCE,
            )
            # The first picture makes the networks announce themselves on standard error.
            mesh.process(np.zeros((32, 32, 3), np.uint8))
            setattr(_local, name, mesh)
    return getattr(_local, name)
