"""Putting a stored picture and a stored sound into one file, as they are coded."""

from __future__ import annotations

import io
from contextlib import ExitStack
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from avbench.errors import DataError


def join(video: bytes, sound: bytes | None) -> bytes:
    """Return an MP4 with the picture of one file and the sound of another, neither coded anew.

    Both decode to the same bits as before, and start at the same instant. The same input gives
    the same bytes.

    Parameters
    ----------
    video
        A file whose first video stream is taken.
    sound
        A file whose first audio stream is taken, such as FLAC, which browsers play in MP4; None
        for the picture alone.

    Raises
    ------
    DataError
        If either is no such file, or holds no such stream.
    """
    held = io.BytesIO()
    # FLAC in MP4 is a published standard that libavformat still asks to be told twice.
    options = {"fflags": "+bitexact", "strict": "experimental"}
    try:
        with ExitStack() as stack:
            opened = [stack.enter_context(av.open(io.BytesIO(video), "r"))]
            if sound is not None:
                opened.append(stack.enter_context(av.open(io.BytesIO(sound), "r")))
            inputs = tuple(zip(opened, ("video", "audio"), strict=False))
            streams = [(container, _first(container, kind)) for container, kind in inputs]
            with av.open(held, "w", format="mp4", container_options=options) as out:
                timed: list[tuple[Fraction, int, Packet[Stream]]] = []
                for order, (container, stream) in enumerate(streams):
                    target = out.add_stream_from_template(stream)
                    for packet in container.demux(stream):
                        if packet.dts is not None and packet.time_base is not None:
                            time = packet.dts * packet.time_base
                            packet.stream = target
                            timed.append((time, order, packet))
                for _, _, packet in sorted(timed, key=lambda entry: entry[:2]):
                    out.mux(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"the clip cannot be read ({error}); build it again") from error
    return held.getvalue()


def _first(container: InputContainer, kind: str) -> Stream:
    found = next((stream for stream in container.streams if stream.type == kind), None)
    if found is None:
        raise DataError(f"the clip holds no {kind} stream; build it again")
    return found
