"""Decoding packet by packet: what is damaged is counted and passed over, and time runs unbroken.

Three kinds of container need help with their clock before a frame's time means anything:

* MPEG transport and programme streams may jump (a recording that was cut, two files joined end to
  end); the parts are joined so that sound and picture keep their distance, as a player does;
* AVI has no presentation times, only a slot for each packet; pictures take the slots in the order
  in which they are shown;
* a raw video stream has no times at all; its pictures follow each other at the nominal rate (see
  `avbench.media.decode`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain

from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.error import MemoryError as OutOfMemory
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avbench.media.source import Source

LONGEST_PAUSE_S = 10
"""A decoding clock that leaps ahead by more than this from one packet to the next has jumped."""
LONGEST_RETURN_S = Fraction(1, 2)
"""A decoding clock that falls back by more than this has jumped."""
MAX_READ_ERRORS = 16
"""Errors of the container after which the rest of a file is given up."""
JUMPING_FORMATS = ("mpegts", "mpeg")
"""Containers whose clock may jump within one file."""
INDEXED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers that say when each of their pictures is shown, and where their keyframes lie."""
STEPS_BACK_S = (0, 2, 10, 60)
"""How far before an instant its keyframe is asked for: an index may go by the decoding clock."""


@dataclass
class Damage:
    """What was wrong with an input, collected while it is read."""

    packets: int = 0
    """Packets that did not decode."""
    concealed: int = 0
    """Pictures that the decoder flagged as damaged."""
    disordered: int = 0
    """Frames left out because their time runs backwards or far ahead."""
    jumps: int = 0
    """Places where the clock of the file jumps and its parts were joined."""
    resized: int = 0
    """Pictures scaled because their size differs from the first one's."""
    notes: list[str] = field(default_factory=list)
    """Everything else, one sentence each."""

    def sentences(self) -> list[str]:
        """Return one sentence per kind of damage."""
        counted = (
            (self.packets, "packet(s) did not decode"),
            (self.concealed, "picture(s) decoded with concealed damage"),
            (self.disordered, "frame(s) left out, their times run backwards or far ahead"),
            (self.jumps, "jump(s) of the file's clock, the parts were joined"),
            (self.resized, "picture(s) scaled to the size of the first one"),
        )
        return [f"{count} {what}" for count, what in counted if count] + self.notes


def decode_pictures(source: Source, damage: Damage) -> Iterator[VideoFrame]:
    """Yield every picture that decodes, in the order of presentation."""
    stream = source.picture
    slots = _Slots(stream) if source.format == "avi" else None
    for packet in packets_of(source, damage):
        if packet.stream_index != stream.index:
            continue
        if slots is not None:
            slots.take(packet)
        lost = damage.packets
        frames = frames_of(packet, damage)
        if slots is not None and damage.packets > lost:
            slots.give_up(packet)
        for frame in frames:
            if isinstance(frame, VideoFrame):
                if slots is not None:
                    slots.stamp(frame)
                yield frame


def decode_from(source: Source, instant: Fraction, damage: Damage) -> Iterator[VideoFrame] | None:
    """Seek, and return the pictures from a keyframe on that is shown at an instant or before it.

    Pictures that are coded after the keyframe and shown before it lean on what is left out, and may
    show anything. Where the decoder needs more than a keyframe to begin, so may the next ones.

    Returns
    -------
    iterator or None
        None where no such keyframe is found; the container is then somewhere else than before.
    """
    stream = source.picture
    tick = stream.time_base
    if source.format not in INDEXED_FORMATS or tick is None:
        return None
    for back in STEPS_BACK_S:
        try:
            source.container.seek(int((instant - back) // tick), stream=stream)
        except FFmpegError:
            continue
        packets = (p for p in packets_of(source, damage) if p.stream_index == stream.index)
        key = next(packets, None)
        if key is None or key.pts is None or not key.is_keyframe or key.pts * tick > instant:
            continue
        frames = (f for packet in chain([key], packets) for f in frames_of(packet, damage))
        return (frame for frame in frames if isinstance(frame, VideoFrame))
    return None


def decode_sound(source: Source, damage: Damage) -> Iterator[AudioFrame]:
    """Yield every block of sound that decodes; nothing where there is no sound stream."""
    if source.sound is None:
        return
    for packet in packets_of(source, damage):
        if packet.stream_index == source.sound.index:
            yield from (f for f in frames_of(packet, damage) if isinstance(f, AudioFrame))


def time_of(frame: VideoFrame | AudioFrame) -> Fraction | None:
    """Return a frame's presentation time in seconds, or None where it carries none."""
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None or frame.time_base is None:
        return None
    return stamp * frame.time_base


def packets_of(source: Source, damage: Damage) -> Iterator[Packet[Stream]]:
    """Yield the packets of picture and sound on one unbroken clock, then one to flush each.

    Both streams are always read, so that both meet the same jumps.
    """
    streams: list[Stream] = [s for s in (source.picture_or_none, source.sound) if s is not None]
    joiner = _Joiner(damage) if source.format in JUMPING_FORMATS else None
    for _ in range(MAX_READ_ERRORS):
        try:
            for packet in source.container.demux(streams):
                if joiner is not None:
                    joiner.join(packet)
                yield packet
            return
        except IndexError:
            return  # PyAV trips over a stream that appeared late, once all others are flushed
        except FFmpegError as error:
            reason = error.strerror or "unknown error"
    damage.notes.append(f"reading stopped early ({reason})")
    for stream in streams:
        flush: Packet[Stream] = Packet()
        flush.stream = stream
        if stream.time_base is not None:
            flush.time_base = stream.time_base
        yield flush


def frames_of(packet: Packet[Stream], damage: Damage) -> list[object]:
    """Decode one packet; a failure is counted, other than one of this machine."""
    try:
        return list(packet.decode())
    except OutOfMemory as error:
        raise MemoryError("the decoder asked for more memory than there is") from error
    except (FFmpegError, ValueError):
        damage.packets += 1
        return []


class _Joiner:
    """Moves the packets after a jump of the clock so that each stream goes on where it was."""

    def __init__(self, damage: Damage) -> None:
        self._damage = damage
        self._shift = Fraction(0)
        self._due: dict[int, Fraction] = {}

    def join(self, packet: Packet[Stream]) -> None:
        """Shift ``packet`` by all jumps so far, after looking whether it jumps itself."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not packet.size:
            return
        now = stamp * packet.time_base + self._shift
        due = self._due.get(packet.stream_index, now)
        if not -LONGEST_RETURN_S <= now - due <= LONGEST_PAUSE_S:
            self._shift += due - now
            self._damage.jumps += 1
            now = due
        self._due[packet.stream_index] = now + (packet.duration or 0) * packet.time_base
        if self._shift:
            ticks = round(self._shift / packet.time_base)
            if packet.pts is not None:
                packet.pts += ticks
            if packet.dts is not None:
                packet.dts += ticks


class _Slots:
    """Gives each picture shown the earliest slot that was taken by a packet and not yet used."""

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        self._free: list[int] = []

    def take(self, packet: Packet[Stream]) -> None:
        """Note the slot of a packet; one that led to no picture is forgotten in time."""
        if packet.dts is None or not packet.size:
            return
        heapq.heappush(self._free, packet.dts)
        while len(self._free) > self._context.reorder_depth + 2:
            heapq.heappop(self._free)

    def give_up(self, packet: Packet[Stream]) -> None:
        """Forget the slot of a packet that did not decode."""
        if packet.dts in self._free:
            self._free.remove(packet.dts)
            heapq.heapify(self._free)

    def stamp(self, frame: VideoFrame) -> None:
        """Set the time of a picture."""
        frame.pts = heapq.heappop(self._free) if self._free else None
