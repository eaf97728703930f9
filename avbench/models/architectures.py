"""The networks that can be trained or loaded, by name: layer tables and what each looks at.

``small``, ``medium`` and ``late-fusion`` are avbench's own (see `avbench.models.two_stream`):
``medium`` has about twice the filters and pads no sound in time, so that a step of training costs
the same; ``late-fusion`` has as many and looks at each picture by itself before it puts five
together, so that it can be taught what mouths do in single frames. The others have the size and
the inputs of published ones:

``syncnet-2016``
    Chung and Zisserman, "Out of time", 2016: five grey mouth pictures of 111 x 111, 13 MFCC x 20
    steps, 256 numbers. The figure with the layers gives no strides; those here bring 111 to the
    109 of the released model after its first layer, and its widths are used from there on. The
    paper reflects the top and bottom three rows of the MFCC picture: here they stand in for the
    zero padding of rows in the first three audio convolutions, so that 13 rows come out again.
``syncnet-v2``
    The released model, which is not the paper's: whole faces of 224 x 224, 1,024 numbers,
    13,631,616 parameters.
``two-stream``
    The extractor of Kim et al., 2021: RGB faces of 224 x 224, 40 log-mel bands x 20 steps. The
    paper prints no layers; these are the authors' released trainer's, with 128 numbers as in the
    paper that it refers to.
``two-stream-2020``
    The same as printed by Chung et al., "Seeing voices and hearing voices", 2020, Table 1: other
    audio layers. The table gives kernels and widths but no strides and no padding; those here
    bring 40 x 20 to the 3 x 3 of its last kernel, with the temporal stride of 4 that its text
    states.
``tae-2020``
    Shalev and Wolf, "End to End Lip Synchronization with a Temporal AutoEncoder", 2020: five grey
    mouth pictures of 120 x 120, 13 MFCC x 20 steps, 1,024 numbers. The paper says SyncNet's
    layers; these are the released code's. Mouths are cut out as everywhere here, not turned
    upright by landmarks.

All see five frames and 0.2 seconds, window by window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from avbench.data import JSON
from avbench.errors import UnknownName
from avbench.models.two_stream import TwoStreamConfig


@dataclass(frozen=True)
class Layer:
    """A convolution with batch normalisation and ReLU, or a max-pooling.

    Sizes are (height, width) for sound, where height counts rows of the feature picture, and
    (time, height, width) for pictures.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    filters: int = 0
    """Of a convolution; 0 makes it a max-pooling."""

    def size(self, before: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size after this layer."""
        return tuple(
            (n + 2 * p - k) // s + 1
            for n, k, s, p in zip(before, self.kernel, self.stride, self.padding, strict=True)
        )


@dataclass(frozen=True)
class PaperConfig:
    """Layers and inputs of a network of published size."""

    name: str
    region: Literal["face", "mouth"]
    pixels: int
    """Side of a picture."""
    colour: Literal["grey", "rgb", "bgr"]
    brightest: float
    """Value of a white pixel as the network sees it: 255 or 1."""
    sound: Literal["mfcc", "log-mel"]
    reflect: int
    """Rows of the sound picture that are mirrored at its top and bottom."""
    video: tuple[Layer, ...]
    audio: tuple[Layer, ...]
    head: tuple[int, ...]
    """Fully connected layers, the same for both streams; the last is the embedding."""
    local: bool = True
    """Whether a row hears 0.2 s only, or, as the released code does, 15 ms more on the right."""

    def __post_init__(self) -> None:
        ends = {self.picture_sizes()[-1][-2:], self.sound_sizes()[-1]}
        if not self.head or ends != {(1, 1)}:
            raise ValueError(f"got layers of {self.name} that end in sizes {ends}, expected 1 x 1")
        if self.region == "mouth" and self.colour != "grey":
            raise ValueError(f"got {self.colour} mouths for {self.name}, expected grey ones")

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.head[-1]

    @property
    def channels(self) -> int:
        """Colours of a picture."""
        return 1 if self.colour == "grey" else 3

    @property
    def rows(self) -> int:
        """Rows of the sound picture, before any is mirrored."""
        return 13 if self.sound == "mfcc" else 40

    def picture_sizes(self) -> list[tuple[int, ...]]:
        """Return (time, height, width) of five frames after each layer, the input first."""
        return _sizes((5, self.pixels, self.pixels), self.video)

    def sound_sizes(self) -> list[tuple[int, ...]]:
        """Return (rows, steps) of one window after each layer, the input first."""
        return _sizes((self.rows + 2 * self.reflect, 20), self.audio)

    def to_json(self) -> dict[str, JSON]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> PaperConfig:
        """Read what `to_json` returned, after any trip through JSON."""
        layers = {
            stream: tuple(Layer(**tuples(layer)) for layer in found[stream])
            for stream in ("video", "audio")
        }
        return cls(**{**found, **layers, "head": tuple(found["head"])})


@dataclass(frozen=True)
class GeometryConfig:
    """Size of a network on the geometry of the lips."""

    hidden: int = 512
    dim: int = 128
    """Length of an embedding."""
    dropout: float = 0.3
    gradient: float = 3.0
    """Weight of the change between frames against the shapes themselves."""
    refined: bool = False
    """Whether the landmarker looks at the lips more closely."""


Config: TypeAlias = "TwoStreamConfig | PaperConfig | GeometryConfig"


def _sizes(size: tuple[int, ...], layers: tuple[Layer, ...]) -> list[tuple[int, ...]]:
    out = [size]
    for layer in layers:
        out.append(layer.size(out[-1]))
    return out


def _conv(
    filters: int,
    kernel: tuple[int, ...],
    stride: tuple[int, ...] | None = None,
    padding: tuple[int, ...] | None = None,
) -> Layer:
    ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
    return Layer(kernel, stride or ones, padding or zeros, filters)


def _pool(kernel: tuple[int, ...], stride: tuple[int, ...], *padding: int) -> Layer:
    return Layer(kernel, stride, padding or (0,) * len(kernel))


def _video(first: Layer) -> tuple[Layer, ...]:
    """Return the video layers of the released model after a first one that ends in 109 x 109."""
    return (
        first,
        _pool((1, 3, 3), (1, 2, 2)),  # 54
        _conv(256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),  # 26
        _pool((1, 3, 3), (1, 2, 2), 0, 1, 1),  # 13
        _conv(256, (1, 3, 3), None, (0, 1, 1)),
        _conv(256, (1, 3, 3), None, (0, 1, 1)),
        _conv(256, (1, 3, 3), None, (0, 1, 1)),
        _pool((1, 3, 3), (1, 2, 2)),  # 6
        _conv(512, (1, 6, 6)),
    )


def _audio(rows: tuple[int, int, int]) -> tuple[Layer, ...]:
    """Return the audio layers of the released model; ``rows``: padding of rows in the first."""
    return (
        _conv(64, (3, 3), None, (rows[0], 1)),
        _pool((1, 1), (1, 1)),
        _conv(192, (3, 3), None, (rows[1], 1)),
        _pool((3, 3), (1, 2)),
        _conv(384, (3, 3), None, (rows[2], 1)),  # 11 x 9
        _conv(256, (3, 3), None, (1, 1)),
        _conv(256, (3, 3), None, (1, 1)),
        _pool((3, 3), (2, 2)),  # 5 x 4
        _conv(512, (5, 4)),
    )


SYNCNET_2016 = PaperConfig(
    name="syncnet-2016",
    region="mouth",
    pixels=111,
    colour="grey",
    brightest=1,
    sound="mfcc",
    reflect=3,
    video=_video(_conv(96, (5, 3, 3))),
    audio=_audio((0, 0, 0)),
    head=(256,),
)
SYNCNET_V2 = PaperConfig(
    name="syncnet-v2",
    region="face",
    pixels=224,
    colour="bgr",
    brightest=255,
    sound="mfcc",
    reflect=0,
    video=_video(_conv(96, (5, 7, 7), (1, 2, 2))),
    audio=_audio((1, 1, 1)),
    head=(512, 1024),
)
TWO_STREAM = PaperConfig(
    name="two-stream",
    region="face",
    pixels=224,
    colour="rgb",
    brightest=1,
    sound="log-mel",
    reflect=0,
    video=SYNCNET_V2.video,
    audio=(
        _conv(96, (5, 7), None, (2, 2)),  # 40 x 18
        _pool((1, 3), (1, 2)),  # 40 x 8
        _conv(256, (5, 5), (2, 1), (1, 1)),  # 19 x 6
        _pool((3, 3), (2, 1)),  # 9 x 4
        _conv(384, (3, 3), None, (1, 1)),
        _conv(256, (3, 3), None, (1, 1)),
        _conv(256, (3, 3), None, (1, 1)),
        _pool((3, 3), (2, 2)),  # 4 x 1
        _conv(512, (4, 1)),
    ),
    head=(512, 128),
)
TWO_STREAM_2020 = replace(
    TWO_STREAM,
    name="two-stream-2020",
    audio=(
        _conv(64, (3, 3)),  # 38 x 18
        _pool((1, 1), (1, 1)),
        _conv(192, (3, 3)),  # 36 x 16
        _pool((3, 3), (4, 2)),  # 9 x 7
        _conv(384, (3, 3), None, (1, 1)),
        _conv(256, (3, 3), None, (1, 1)),
        _conv(256, (3, 3), None, (1, 1)),
        _pool((3, 3), (3, 2)),  # 3 x 3
        _conv(512, (3, 3)),
    ),
)
TAE_2020 = PaperConfig(
    name="tae-2020",
    region="mouth",
    pixels=120,
    colour="grey",
    brightest=255,
    sound="mfcc",
    reflect=0,
    video=(
        _conv(96, (5, 3, 3)),  # 118
        _pool((1, 3, 3), (1, 2, 2)),  # 58
        _conv(256, (1, 3, 3), (1, 2, 2), (0, 1, 1)),  # 29
        _pool((1, 3, 3), (1, 2, 2), 0, 1, 1),  # 15
        _conv(256, (1, 3, 3), None, (0, 1, 1)),
        _conv(256, (1, 3, 3), None, (0, 1, 1)),
        _conv(256, (1, 3, 3)),  # 13
        _pool((1, 3, 3), (1, 2, 2)),  # 6
        _conv(2048, (1, 6, 6)),
    ),
    audio=(*_audio((1, 1, 1))[:-1], _conv(2048, (5, 4))),
    head=(2048, 1024),
)
_PUBLISHED = (SYNCNET_2016, SYNCNET_V2, TWO_STREAM, TWO_STREAM_2020, TAE_2020)
ARCHITECTURES: Mapping[str, Config] = {
    "small": TwoStreamConfig(),
    "medium": TwoStreamConfig((64, 96, 128, 160, 384), (48, 64, 96, 128, 384), dense=True),
    "late-fusion": TwoStreamConfig(
        (64, 96, 128, 160, 384), (48, 64, 96, 128, 384), dense=True, late=True
    ),
    **{config.name: config for config in _PUBLISHED},
    "lip-geometry": GeometryConfig(refined=True),
}
"""Every network by name."""


def get(name: str) -> Config:
    """Return the sizes of a network.

    Raises
    ------
    UnknownName
        If there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise UnknownName("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def name_of(config: Config) -> str:
    """Return the name of the architecture that a configuration belongs to, whatever its widths."""
    if isinstance(config, PaperConfig):
        return config.name
    if isinstance(config, GeometryConfig):
        return "lip-geometry"
    if config.late:
        return "late-fusion"
    return "medium" if config == ARCHITECTURES["medium"] else "small"


def narrow(config: PaperConfig, width: int, dim: int) -> PaperConfig:
    """Return the same layers with at most ``width`` filters each, for trials on small machines."""

    def cut(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        return tuple(replace(layer, filters=min(layer.filters, width)) for layer in layers)

    hidden = tuple(min(size, width) for size in config.head[:-1])
    return replace(config, video=cut(config.video), audio=cut(config.audio), head=(*hidden, dim))


def config_from_json(name: str, found: Mapping[str, Any]) -> Config:
    """Read the sizes that a checkpoint holds.

    Raises
    ------
    UnknownName
        If there is no architecture of that name.
    """
    if isinstance(get(name), PaperConfig):
        return PaperConfig.from_json(found)
    if isinstance(get(name), GeometryConfig):
        return GeometryConfig(**found)
    return TwoStreamConfig(**tuples(found))


def tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return sizes that were in JSON with tuples in place of lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
