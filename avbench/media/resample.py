"""Sound of any form to float32 mono at one rate, by libswresample in one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.filter import Graph

from avbench.data import FloatArray

_BATCH_S = 1


class Mixer:
    """Mixes decoded blocks of any form down to float32 mono at one rate.

    Channels with known places are weighted as libswresample does it, scaled so that equal channels
    keep their level and nothing clips; channels without places are averaged.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._form: tuple[str, str, int] | None = None
        self._converter: _Converter | None = None

    def mix(self, frame: AudioFrame) -> FloatArray:
        """Return one block; shape (S,), float32."""
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form == ("fltp", "mono", self._rate):
            return samples_of(frame)
        if self._converter is not None and form == self._form:
            return self._converter.push(frame)
        self._form = form
        try:
            self._converter = _Converter(frame, self._rate, mono=True)
            return self._converter.push(frame)
        except FFmpegError:  # this layout has no mix
            self._converter = _Converter(frame, self._rate, mono=False)
            return self._converter.push(frame)


def resampled(blocks: Iterable[FloatArray], rate: int, target: int) -> Iterator[FloatArray]:
    """Resample consecutive blocks of mono sound as one signal, without delay.

    Parameters
    ----------
    blocks
        Sound at ``rate``; shape (S,) each, float32. They are gathered to about a second each, which
        halves the time.
    rate, target
        Samples per second that come and that are wanted.
    """
    converter: _Converter | None = None
    for block in _gathered(blocks, rate * _BATCH_S):
        if rate == target:
            yield block
            continue
        frame = AudioFrame.from_ndarray(block[None, :], format="flt", layout="mono")
        frame.sample_rate = rate
        converter = converter or _Converter(frame, target, mono=True)
        yield converter.push(frame)
    if converter is not None:
        yield converter.push(None)


def samples_of(frame: AudioFrame) -> FloatArray:
    """Return the samples of a float block with one plane; shape (S,), float32."""
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)


class _Converter:
    """A filter graph from sound of one form to packed float32 at one rate."""

    def __init__(self, like: AudioFrame, rate: int, *, mono: bool) -> None:
        self._channels = 1 if mono else like.layout.nb_channels
        self._pushed = 0
        self._tick = Fraction(1, like.sample_rate)
        graph = Graph()
        graph.threads = 1
        source = graph.add_abuffer(
            sample_rate=like.sample_rate,
            format=like.format.name,
            layout=like.layout.name,
            time_base=self._tick,
        )
        # rematrix_maxval: float sound would otherwise be mixed without regard to clipping.
        layout = {"channel_layouts": "mono"} if mono else {}
        graph.link_nodes(
            source,
            graph.add("aresample", osr=str(rate), rematrix_maxval="1"),
            graph.add("aformat", sample_fmts="flt", sample_rates=str(rate), **layout),
            graph.add("abuffersink"),
        ).configure()
        self._graph = graph

    def push(self, frame: AudioFrame | None) -> FloatArray:
        """Convert one block, or with None what is left; shape (S,)."""
        if frame is not None:
            frame.pts, frame.time_base = self._pushed, self._tick
            self._pushed += frame.samples
        self._graph.push(frame)
        blocks = [np.zeros(0, np.float32)]
        while True:
            try:
                converted = self._graph.pull()
            except (BlockingIOError, EndOfStream):
                break
            assert isinstance(converted, AudioFrame)
            blocks.append(samples_of(converted))
        joined = blocks[1] if len(blocks) == 2 else np.concatenate(blocks)
        return joined if self._channels == 1 else joined.reshape(-1, self._channels).mean(1)


def _gathered(blocks: Iterable[FloatArray], least: int) -> Iterator[FloatArray]:
    """Join consecutive blocks until they have ``least`` samples; none that comes out is empty."""
    held: list[FloatArray] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size >= least:
            yield np.concatenate(held)
            held, size = [], 0
    if size:
        yield np.concatenate(held)
