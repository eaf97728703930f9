"""RetinaFace on a ResNet-50, through the package retinaface-pytorch: a detector for a GPU.

Reference: Deng, Guo, Zhou, Yu, Kotsia and Zafeiriou, "RetinaFace: single-shot multi-level face
localisation in the wild", CVPR 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from avbench.data import UInt8Array
from avbench.errors import MissingDependency, UsageError

from .boxes import Detections, merge
from .state import load_state

NAME = "resnet50_2020-07-20"
"""The one model that the package has weights for."""
LONGEST = 960
"""Pictures are scaled to this many pixels, the package's own choice."""
OVERLAP = 0.4
"""Boxes of a greater IoU show the same face, the package's own choice."""
REMEDY = (
    "pip install --no-deps retinaface-pytorch==0.0.8, and beside it albumentations and the "
    "torchvision that belongs to the installed torch"
)


class RetinaFace:
    """The package's predictor, on the GPU where there is one.

    Parameters
    ----------
    confidence
        Least confidence of a face.
    weights
        A file with the state dict of its ResNet-50; where None, the package loads its own into
        PyTorch's cache, from the network the first time.

    Raises
    ------
    MissingDependency
        If the package, or what it needs, is not installed or does not work.
    UsageError
        If the weights are not its own or cannot be loaded.
    """

    def __init__(self, confidence: float, weights: Path | None = None) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            # A torchvision that was built for another torch raises RuntimeError.
            from retinaface.pre_trained_models import get_model
            from retinaface.predict_single import Model
        except (ImportError, RuntimeError) as error:
            raise MissingDependency(
                f"The face detector 'retinaface' needs the package retinaface-pytorch; {REMEDY}"
            ) from error
        self._confidence = confidence
        if weights is None:
            try:
                self._model: Any = get_model(NAME, max_size=LONGEST, device=device)
            except OSError as error:
                raise UsageError(
                    f"The weights {NAME} of the face detector 'retinaface' cannot be loaded from "
                    "the network; give a file of them with --detector-weights"
                ) from error
        else:
            self._model = Model(max_size=LONGEST, device=device)
            load_state(
                weights,
                self._model.load_state_dict,
                f"does not hold the weights of retinaface-pytorch's {NAME}; give another file "
                "with --detector-weights, or leave it out",
            )
        self._model.eval()

    def __call__(self, image: UInt8Array) -> Detections:
        """Find the faces of an RGB picture; shape (H, W, 3)."""
        found = self._model.predict_jsons(
            np.ascontiguousarray(image),
            confidence_threshold=self._confidence,
            nms_threshold=OVERLAP,
        )
        # A picture without faces gives one face without a box.
        faces = [face for face in found if len(face["bbox"])]
        boxes = np.array([face["bbox"] for face in faces], np.float64).reshape(-1, 4)
        scores = np.array([face["score"] for face in faces], np.float64)
        # Eyes, nose and ends of the mouth, the picture's left first.
        points = np.array([face["landmarks"] for face in faces], np.float64).reshape(-1, 5, 2)
        return merge(Detections(boxes, scores, points[:, 3:].mean(axis=1), points[:, :2]))
