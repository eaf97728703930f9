"""Two-stream networks of published size, built from the tables in `avbench.models.architectures`.

The first video layer spans five frames and no later one spans more than one, so running the video
stream over a clip gives exactly the rows of its five-frame windows. The audio stream is run window
by window: run over a whole clip it would see 35 feature frames, not 20.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from avbench import features
from avbench.data import JSON, FloatArray, UInt8Array
from avbench.models import spectra
from avbench.models.architectures import Config, GeometryConfig, Layer, PaperConfig
from avbench.models.geometry import LipGeometryNet
from avbench.models.trainset import Front
from avbench.models.two_stream import Network, TwoStream


class PaperTwoStream(Network):
    """Video and audio streams of convolutions, each with fully connected layers behind it.

    Modules are numbered as in the released SyncNet, so that its weights fit name by name (see
    `avbench.models.released`).
    """

    chunk: ClassVar[int] = 16
    """Windows per forward pass in an `Extractor`, which bounds its memory (about 20 MB each)."""
    single_thread: ClassVar[bool] = False
    sound_axis: ClassVar[int] = 0
    sound_window: ClassVar[tuple[int, int]] = (1, 1)

    config: PaperConfig

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        self.video = _trunk(config.video, config.channels, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)
        self.video_head = _head(config.video[-1].filters, config.head)
        self.audio = _trunk(config.audio, 1, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.audio_head = _head(config.audio[-1].filters, config.head)

    @property
    def front(self) -> Front:
        """How clips are kept to train it."""
        config = self.config
        return Front(
            partial(face_pictures, config=config),
            partial(spectra.sound_windows, kind=config.sound, local=config.local),
            self.sound_axis,
            self.sound_window,
            255.0,
        )

    def describe(self) -> dict[str, JSON]:
        """Return the settings of the features that the network was made for."""
        mouth: dict[str, JSON] = {}
        if self.config.region == "mouth":
            mouth["mouth"] = [*features.MOUTH_CENTRE, features.MOUTH_SIDE]
        return {"window": features.WINDOW, **mouth, **spectra.describe(self.config.sound)}

    def read_pictures(self, frames: UInt8Array) -> torch.Tensor:
        """Return what `embed_video` takes: RGB face crops as pictures, uint8 (T, P, P, C)."""
        return torch.from_numpy(face_pictures(frames, self.config))

    def read_sound(self, audio: FloatArray) -> torch.Tensor:
        """Return what `embed_audio` takes: sound pictures of all windows; shape (N, R, 20)."""
        config = self.config
        return torch.from_numpy(spectra.sound_windows(audio, config.sound, local=config.local))

    def embed_video(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of pictures.

        Parameters
        ----------
        pictures
            Values 0 to 255, of any type; shape (B, T, P, P, C).

        Returns
        -------
        torch.Tensor
            Shape (B, T - 4, D).
        """
        white = self.config.brightest / 255
        inputs = pictures.permute(0, 4, 1, 2, 3).float()
        mid = self.video(inputs if white == 1 else inputs * white)  # (B, F, T - 4, 1, 1)
        rows = mid.flatten(2).transpose(1, 2)
        out: torch.Tensor = self.video_head(rows.flatten(0, 1))
        return out.view(*rows.shape[:2], -1)

    def embed_audio(self, sound: torch.Tensor) -> torch.Tensor:
        """Embed every window of sound.

        Parameters
        ----------
        sound
            From `avbench.models.spectra.sound_windows`; shape (B, N, R, 20).

        Returns
        -------
        torch.Tensor
            Shape (B, N, D).
        """
        batch, rows = sound.shape[:2]
        inputs = sound.flatten(0, 1).unsqueeze(1)
        if self.config.sound == "log-mel":
            # The released trainer normalises each band over its whole clip, which reaches outside
            # a window. One level and one contrast per window do not.
            mean = inputs.mean(dim=(2, 3), keepdim=True)
            inputs = (inputs - mean) / (inputs.std(dim=(2, 3), keepdim=True) + 1e-3)
        if edge := self.config.reflect:
            inputs = nn.functional.pad(inputs, (0, 0, edge, edge), mode="reflect")
        out: torch.Tensor = self.audio_head(self.audio(inputs).flatten(1))
        return out.view(batch, rows, -1)


def build(config: Config) -> Network:
    """Make a network with random weights; an imported or trained one gets its own."""
    if isinstance(config, PaperConfig):
        return PaperTwoStream(config)
    if isinstance(config, GeometryConfig):
        return LipGeometryNet(config)
    return TwoStream(config)


def face_pictures(frames: UInt8Array, config: PaperConfig) -> UInt8Array:
    """Bring RGB face crops into the shape that a network sees.

    Parameters
    ----------
    frames
        RGB face crops; shape (T, H, W, 3).
    config
        Says region, size and order of colours.

    Returns
    -------
    UInt8Array
        Shape (T, P, P, 1 or 3).
    """
    import cv2

    side = config.pixels
    if config.region == "mouth":
        return features.mouth_pictures(frames, pixels=side)[..., None]
    if frames.shape[1:3] != (side, side):
        smaller = side < min(frames.shape[1:3])
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        frames = np.stack([cv2.resize(f, (side, side), interpolation=how) for f in frames])
    if config.colour == "grey":
        grey = [cv2.cvtColor(np.ascontiguousarray(f), cv2.COLOR_RGB2GRAY) for f in frames]
        return np.stack(grey)[..., None].astype(np.uint8)
    return np.ascontiguousarray(frames[..., ::-1] if config.colour == "bgr" else frames)


def _trunk(
    layers: tuple[Layer, ...],
    inputs: int,
    convolution: type[nn.Conv2d] | type[nn.Conv3d],
    norm: type[nn.BatchNorm2d] | type[nn.BatchNorm3d],
    pool: type[nn.MaxPool2d] | type[nn.MaxPool3d],
) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        shape = (layer.kernel, layer.stride, layer.padding)
        if layer.filters:
            made = convolution(inputs, layer.filters, *shape)  # type: ignore[arg-type]
            modules += [made, norm(layer.filters), nn.ReLU(inplace=True)]
            inputs = layer.filters
        else:
            modules.append(pool(*shape))
    return nn.Sequential(*modules)


def _head(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for width in widths[:-1]:
        modules += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*modules, nn.Linear(inputs, widths[-1]))
