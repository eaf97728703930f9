"""The two-stream network: five frames of a mouth, and their sound, into one space.

A small relative of the VGG-M streams of SyncNet and its successors (Chung and Zisserman, 2016; Kim
et al., 2021): the first video layer sees all five frames at once, the audio stream sees 40 log-mel
bands. Windows are cut before the network, so a row is a function of its own five frames and
nothing else (see `avbench.features`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from avbench import features
from avbench.data import JSON, Embeddings, FloatArray, UInt8Array
from avbench.errors import DataError
from avbench.models import streams
from avbench.models.trainset import MOUTHS, Front

if TYPE_CHECKING:
    from avbench.models.architectures import Config


@dataclass(frozen=True)
class TwoStreamConfig:
    """Size of a two-stream network."""

    video: tuple[int, int, int, int, int] = (32, 64, 96, 96, 256)
    """Filters of the five convolutions of the video stream."""
    audio: tuple[int, int, int, int, int] = (32, 48, 64, 96, 256)
    """Filters of the five convolutions of the audio stream."""
    dim: int = 128
    """Length of an embedding."""
    dense: bool = False
    """Whether the layers of the audio stream pad nothing in time, so that overlapping windows share
    their work: the same rows for a quarter of the cost."""
    late: bool = False
    """Whether each picture is looked at by itself; see `avbench.models.streams.LateFusion`."""

    def __post_init__(self) -> None:
        for widths in (self.video, self.audio):
            if len(widths) != 5 or min(widths) < 1 or self.dim < 1:
                raise ValueError(f"got {self}, expected five positive widths a stream and dim >= 1")


class Network(nn.Module):
    """What every two-stream network has, whatever it looks at."""

    chunk: ClassVar[int]
    """Windows per forward pass in an `Extractor`, which bounds its memory."""
    single_thread: ClassVar[bool]
    """Whether it is so small that it is fastest on one thread."""
    sound_axis: ClassVar[int]
    """Axis of time in what `read_sound` returns."""
    sound_window: ClassVar[tuple[int, int]]
    """Length of a window on that axis, and the step to the next."""
    config: Config
    video: nn.Module
    audio: nn.Module

    @property
    def front(self) -> Front:
        """How clips are kept to train it."""
        raise NotImplementedError

    def describe(self) -> dict[str, JSON]:
        """Return the settings of the features that it was made for."""
        raise NotImplementedError

    def read_pictures(self, frames: UInt8Array) -> torch.Tensor:
        """Return what `embed_video` takes of RGB face crops, without its first axis."""
        raise NotImplementedError

    def read_sound(self, audio: FloatArray) -> torch.Tensor:
        """Return what `embed_audio` takes of mono sound, without its first axis."""
        raise NotImplementedError

    def embed_video(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of pictures; (B, T, ...) to (B, T - 4, D)."""
        raise NotImplementedError

    def embed_audio(self, sound: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of sound; to (B, T - 4, D)."""
        raise NotImplementedError


class TwoStream(Network):
    """Video and audio streams that end in embeddings of one length (not normalised)."""

    chunk: ClassVar[int] = 128
    single_thread: ClassVar[bool] = True
    sound_axis: ClassVar[int] = 1
    sound_window: ClassVar[tuple[int, int]] = (features.WINDOW_MELS, features.MELS_PER_FRAME)

    config: TwoStreamConfig

    def __init__(self, config: TwoStreamConfig) -> None:
        super().__init__()
        self.config = config
        see = streams.LateFusion if config.late else streams.video_stream
        hear = streams.dense_audio_stream if config.dense else streams.audio_stream
        self.video = see(config.video, config.dim)
        self.audio = hear(config.audio, config.dim)

    @property
    def front(self) -> Front:
        """How clips are kept to train it."""
        return MOUTHS

    def describe(self) -> dict[str, JSON]:
        """Return the settings of the features that the network was made for."""
        return features.describe()

    def read_pictures(self, frames: UInt8Array) -> torch.Tensor:
        """Return the grey mouth pictures of RGB face crops; (T, H, W, 3) to (T, 48, 48)."""
        return torch.from_numpy(features.mouth_pictures(frames)).float().div_(255)

    def read_sound(self, audio: FloatArray) -> torch.Tensor:
        """Return the log-mel frames of mono sound; (T * 640,) to (40, 4 T - 2)."""
        with one_thread():
            return features.log_mel(audio)

    def embed_video(self, pictures: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of grey mouth pictures.

        Parameters
        ----------
        pictures
            Float in [0, 1]; shape (B, T, 48, 48).

        Returns
        -------
        torch.Tensor
            Shape (B, T - 4, D).
        """
        if self.config.late:
            fused: torch.Tensor = self.video(pictures)
            return fused
        # Unfolding puts the five frames last, which is the channels-last layout that CPUs prefer.
        windows = pictures.unfold(1, features.WINDOW, 1)  # (B, N, 48, 48, 5)
        batch, rows = windows.shape[:2]
        windows = windows - windows.mean(dim=(2, 3, 4), keepdim=True)
        stacked = windows.flatten(0, 1).contiguous().permute(0, 3, 1, 2)
        out: torch.Tensor = self.video(stacked)
        return out.view(batch, rows, -1)

    def embed_audio(self, mels: torch.Tensor) -> torch.Tensor:
        """Embed every five-frame window of log-mel frames.

        Parameters
        ----------
        mels
            Shape (B, 40, M), M = 4 T - 2 for T video frames.

        Returns
        -------
        torch.Tensor
            Shape (B, T - 4, D).
        """
        if self.config.dense:
            together: torch.Tensor = self.audio(0.3 * mels.unsqueeze(1))
            return together
        windows = features.mel_windows(mels)
        batch, rows = windows.shape[:2]
        out: torch.Tensor = self.audio(0.3 * windows.flatten(0, 1).unsqueeze(1))
        return out.view(batch, rows, -1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread for a while.

    Networks this small gain little from more, and lose a lot where other processes keep the other
    processors busy: the threads of one layer wait for the slowest of them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Extractor:
    """A trained two-stream network that embeds clips."""

    def __init__(self, network: Network) -> None:
        self.network = network.eval()
        self.id = fingerprint(network)
        """Identity of the embedding: hash of weights, sizes and feature settings."""

    @property
    def local(self) -> bool:
        """Whether a row sees nothing outside its five frames and 0.2 s."""
        return bool(getattr(self.network.config, "local", True))

    def embed(self, frames: UInt8Array, audio: FloatArray, *, unit: bool = True) -> Embeddings:
        """Embed every five-frame window of a clip.

        Parameters
        ----------
        frames
            RGB face crops at 25 fps; shape (T, H, W, 3), T >= 5.
        audio
            Mono sound at 16 kHz; shape (T * 640,).
        unit
            Scale rows to unit length, as the angular loss sees them; else they keep the length
            that the network gives them.

        Returns
        -------
        Embeddings
            float32; row t sees video frames t .. t + 4 and audio samples
            640 t .. 640 t + 3200 only; shape (T - 4, D) each.

        Raises
        ------
        DataError
            If the clip is shorter than one window.
        """
        video = self.embed_pictures(frames, unit=unit)
        return Embeddings(video=video, audio=self.embed_sound(audio, unit=unit))

    def embed_pictures(self, frames: UInt8Array, *, unit: bool = True) -> FloatArray:
        """Embed every five-frame window of a picture alone, as `embed` does with its sound.

        Parameters
        ----------
        frames, unit
            As in `embed`.

        Returns
        -------
        FloatArray
            float32; shape (T - 4, D).

        Raises
        ------
        DataError
            If the clip is shorter than one window.
        """
        return self.embed_pieces([frames], unit=unit)

    def embed_pieces(self, pieces: Iterable[UInt8Array], *, unit: bool = True) -> FloatArray:
        """Embed every five-frame window of a picture that comes in pieces, one after the other.

        Parameters
        ----------
        pieces
            Each as ``frames`` in `embed`, of any length; at least one.
        unit
            As in `embed`.

        Returns
        -------
        FloatArray
            As of `embed_pictures`, which it equals.

        Raises
        ------
        DataError
            If all of them are shorter than one window.
        """
        pictures = torch.cat([self.network.read_pictures(piece) for piece in pieces])
        if len(pictures) < features.WINDOW:
            raise DataError(
                f"got a clip of {len(pictures)} frames; an embedding needs {features.WINDOW}"
            )
        return self.embed_read(pictures, unit=unit)

    def embed_read(self, pictures: torch.Tensor, *, unit: bool = True) -> FloatArray:
        """Embed every five-frame window of pictures as the network reads them.

        Parameters
        ----------
        pictures
            As from `Network.read_pictures`, at least five; shape (T, ...).
        unit
            As in `embed`.

        Returns
        -------
        FloatArray
            float32; shape (T - 4, D).
        """
        network = self.network
        return _embed_rows(network, network.embed_video, pictures, 0, (features.WINDOW, 1), unit)

    def embed_sound(self, audio: FloatArray, *, unit: bool = True) -> FloatArray:
        """Embed every five-frame window of sound alone, as `embed` does with a picture.

        Parameters
        ----------
        audio
            Mono sound at 16 kHz, A >= 5 frames of it; shape (A * 640,).
        unit
            As in `embed`.

        Returns
        -------
        FloatArray
            float32; shape (A - 4, D).
        """
        network = self.network
        sound = network.read_sound(audio)
        axis, window = network.sound_axis, network.sound_window
        return _embed_rows(network, network.embed_audio, sound, axis, window, unit)


def _embed_rows(
    network: Network,
    stream: Callable[[torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    axis: int,
    window: tuple[int, int],
    unit: bool,
) -> FloatArray:
    """Embed windows of one size, one step apart along an axis, some at a time."""
    size, step = window
    count = (inputs.shape[axis] - size) // step + 1
    parts = []
    with torch.inference_mode(), one_thread() if network.single_thread else nullcontext():
        for start in range(0, count, network.chunk):
            length = (min(network.chunk, count - start) - 1) * step + size
            parts.append(stream(inputs.narrow(axis, start * step, length).unsqueeze(0))[0])
        rows = torch.cat(parts)
        return (F.normalize(rows, dim=-1) if unit else rows).numpy()


def fingerprint(network: Network) -> str:
    """Return a short hash of a network's weights and sizes and of its feature settings."""
    config = asdict(network.config)
    for younger in ("dense", "late", "refined"):  # than the first networks, which keep their names
        if not config.get(younger, True):
            del config[younger]
    return digest_of(network, {"config": config, "features": network.describe()})


def digest_of(module: nn.Module, about: JSON) -> str:
    """Return a short hash of the weights of a module, and of what else it depends on."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
