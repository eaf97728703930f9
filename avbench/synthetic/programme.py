"""Plan and draw made videos: one talking head, or a programme of several shots.

A programme is a row of shots joined by hard cuts and dissolves. In a shot, one face speaks
(speaking), or moves its mouth to another sentence than is heard (dubbed), or all are silent while
somebody outside the picture speaks (off-screen), or nobody speaks (silent).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from avbench.data import JSON, FloatArray, UInt8Array
from avbench.distort import rng_for
from avbench.errors import UsageError
from avbench.synthetic.backdrop import Backdrop, draw_backdrop
from avbench.synthetic.look import draw_look
from avbench.synthetic.mouth import mouth_curves
from avbench.synthetic.occluder import draw_occluder
from avbench.synthetic.paint import drift
from avbench.synthetic.pools import check_pool
from avbench.synthetic.presets import DEFAULT_PRESET, Preset, find_preset
from avbench.synthetic.scene import Actor, Scene
from avbench.synthetic.sound import NOISES, background, in_room
from avbench.synthetic.truth import FaceTruth, ShotTruth, Truth
from avbench.synthetic.voice import Phone, Speech, draw_voice, speak_for
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

MAX_OFFSET = 50
"""Largest planted offset in frames, a shot's own and the file's together."""
_MARGIN = MAX_OFFSET + 5
"""Frames of speech beyond both ends of a shot, for displaced sound."""
_FADE_S = 0.01
_TALKING_SIZES = ((256, 256), (256, 288), (240, 320), (272, 272))
_PROGRAMME_SIZE = (360, 640)


@dataclass(frozen=True)
class ShotPlan:
    """One shot before it is drawn; frames count from the start of the video."""

    start: int
    stop: int
    """Half-open range that the truth gives to the shot."""
    first: int
    last: int
    """Half-open range in which it is seen at all, its dissolves included."""
    kind: str
    identities: tuple[str, ...]
    """Who is seen, left to right."""
    speaker: int | None
    """Which of them moves the mouth to speech."""
    heads: tuple[tuple[float, float, float], ...]
    """x, y of the middle and height of each head in pixels."""
    backdrop: Backdrop
    offset: int


@dataclass(frozen=True, eq=False)
class Rendered:
    """A made video: its sound, its truth, and its pictures whenever they are asked for."""

    audio: FloatArray
    """Mono at 16 kHz in [-1, 1]; shape (T * 640,), float32."""
    truth: Truth
    _scenes: tuple[Scene, ...]
    _plans: tuple[ShotPlan, ...]

    def __len__(self) -> int:
        return self.truth.num_frames

    def pictures(self) -> Iterator[UInt8Array]:
        """Draw the pictures in order, the same every time; RGB, shape (H, W, 3)."""
        streams = [scene.frames() for scene in self._scenes]
        for t in range(len(self)):
            seen = [i for i, plan in enumerate(self._plans) if plan.first <= t < plan.last]
            images = [next(streams[i]) for i in seen]
            if len(images) == 1:
                yield images[0]
            else:
                old, new = self._plans[seen[0]], self._plans[seen[1]]
                share = (t - new.first + 1) / (old.last - new.first + 1)
                yield np.asarray(cv2.addWeighted(images[0], 1 - share, images[1], share, 0))

    @property
    def frames(self) -> UInt8Array:
        """All pictures at once; shape (T, H, W, 3), uint8. A programme's take much memory."""
        return np.stack(list(self.pictures()))


def render_talking(
    index: int,
    *,
    seed: int = 0,
    pool: str = "train",
    preset: str = DEFAULT_PRESET,
    seconds: float = 6.0,
    offset: int = 0,
) -> Rendered:
    """Make a video of one head that speaks throughout.

    Parameters
    ----------
    index
        Number of the video within the pool.
    seed, pool
        Choose the streams of faces, voices and sentences; pools share none of them.
    preset
        Name of the difficulty, see `avbench.synthetic.presets`.
    seconds
        Length.
    offset
        Planted offset in frames (positive: audio leads); it displaces the sound alone.

    Raises
    ------
    UsageError
        If the length or the offset is out of range.
    UnknownName
        If the pool or preset does not exist.
    MissingDependency
        If espeakng-loader is not installed.
    """
    recipe = _recipe("talking", index, seed, pool, preset, seconds, offset, 0)
    num_frames = round(seconds * FPS)
    rng = rng_for(seed, "talking", pool, index, "plan")
    size = _TALKING_SIZES[int(rng.integers(len(_TALKING_SIZES)))]
    head = size[0] * rng.uniform(0.40, 0.58)
    middle = size[1] * rng.uniform(0.42, 0.58)
    plan = ShotPlan(
        start=0,
        stop=num_frames,
        first=0,
        last=num_frames,
        kind="speaking",
        identities=(f"{pool}-{index:06d}",),
        speaker=0,
        heads=((float(middle), float(size[0] * rng.uniform(0.44, 0.5)), float(head)),),
        backdrop=draw_backdrop(rng),
        offset=0,
    )
    return _render((plan,), (), (), size, recipe)


def _recipe(
    kind: str,
    index: int,
    seed: int,
    pool: str,
    preset: str,
    seconds: float,
    offset: int,
    shot_offsets: int,
) -> dict[str, JSON]:
    check_pool(pool)
    find_preset(preset)
    if not 1.0 <= seconds <= 3600.0:
        raise UsageError(f"cannot make {seconds} s of video; ask for 1 to 3600 seconds")
    if abs(offset) + shot_offsets > MAX_OFFSET or shot_offsets < 0:
        raise UsageError(
            f"cannot plant an offset of {abs(offset) + shot_offsets} frames; "
            f"stay within {MAX_OFFSET}"
        )
    return {
        "kind": kind,
        "index": index,
        "seed": seed,
        "pool": pool,
        "preset": preset,
        "seconds": seconds,
        "offset": offset,
        "shot_offsets": shot_offsets,
    }


def _render(
    plans: tuple[ShotPlan, ...],
    cuts: tuple[int, ...],
    dissolves: tuple[tuple[int, int], ...],
    size: tuple[int, int],
    recipe: dict[str, JSON],
) -> Rendered:
    seed, pool, index = recipe["seed"], recipe["pool"], recipe["index"]
    stream = (recipe["kind"], pool, index)
    preset = find_preset(recipe["preset"])
    num_frames = plans[-1].stop
    rng = rng_for(seed, *stream, "sound")
    snr_db, noise = float(rng.uniform(*preset.snr_db)), NOISES[int(rng.integers(len(NOISES)))]
    made = [
        _make_shot(plan, number, size, preset, seed, pool, stream)
        for number, plan in enumerate(plans)
    ]
    offset = int(recipe["offset"])
    track = np.zeros((num_frames + 2 * _MARGIN) * SAMPLES_PER_FRAME)
    shots = []
    for number, (plan, (_, truth, speech)) in enumerate(zip(plans, made, strict=True)):
        edges = number == 0, number == len(plans) - 1
        if speech is not None:
            truth = _place(track, speech, plan, truth, edges, offset, num_frames)
        shots.append(truth)
    track += background(len(track), snr_db, noise, rng)
    begin = (_MARGIN + offset) * SAMPLES_PER_FRAME
    audio = np.clip(track[begin : begin + num_frames * SAMPLES_PER_FRAME], -0.99, 0.99)
    truth = Truth(
        key=f"{recipe['kind']}-{pool}-{index:06d}",
        recipe=recipe,
        num_frames=num_frames,
        height=size[0],
        width=size[1],
        cuts=cuts,
        dissolves=dissolves,
        snr_db=snr_db,
        noise=noise,
        shots=tuple(shots),
    )
    scenes = tuple(scene for scene, _, _ in made)
    return Rendered(audio.astype(np.float32), truth, scenes, plans)


def _make_shot(
    plan: ShotPlan,
    number: int,
    size: tuple[int, int],
    preset: Preset,
    seed: int,
    pool: str,
    stream: tuple[str, str, int],
) -> tuple[Scene, ShotTruth, Speech | None]:
    """Return a shot's pictures, its truth without phones, and what is heard, if anything."""
    num_frames = plan.last - plan.first
    rng = rng_for(seed, *stream, "shot", number)
    talker = None if plan.speaker is None else plan.identities[plan.speaker]
    heard_from = {"off-screen": f"{stream[1]}-{stream[2]:06d}-voice-over"}.get(plan.kind, talker)
    voice = spoken = heard = None
    if heard_from is not None:
        voice = draw_voice(rng_for(seed, "voice", pool, heard_from), pool)
        length = (num_frames + 2 * _MARGIN) / FPS
        heard = speak_for(length, voice, pool, rng_for(seed, *stream, "heard", number))
        spoken = heard
        if plan.kind == "dubbed":
            spoken = speak_for(length, voice, pool, rng_for(seed, *stream, "mouthed", number))
    actors = []
    for position, (identity, (x, y, height)) in enumerate(
        zip(plan.identities, plan.heads, strict=True)
    ):
        look = draw_look(seed, pool, identity)
        talks = position == plan.speaker and spoken is not None
        mouth = mouth_curves(
            spoken.phones if talks and spoken is not None else (),
            num_frames,
            start_s=_MARGIN / FPS,
            effort=look.effort,
            preset=preset,
            rng=rng,
        )
        occluder = draw_occluder(rng, num_frames, preset.occluder_probability)
        actors.append(Actor(look, (x, y), height, mouth, occluder))
    scene = Scene(
        tuple(actors), plan.backdrop, size, num_frames, image_noise=preset.image_noise, rng=rng
    )
    roles = {"speaking": "speaking", "dubbed": "dubbed"}
    faces = tuple(
        FaceTruth(
            identity,
            roles.get(plan.kind, "silent") if position == plan.speaker else "silent",
            drawn,
            actor.mouth,
            actor.occluder,
        ).cut(plan.start - plan.first, plan.stop - plan.first)
        for position, (identity, drawn, actor) in enumerate(
            zip(plan.identities, scene.faces, actors, strict=True)
        )
    )
    truth = ShotTruth(
        plan.start,
        plan.stop,
        plan.kind,
        plan.offset,
        faces,
        heard_from,
        voice,
        None if heard is None else heard.text,
        (),
    )
    room = rng_for(seed, *stream, "room", number)
    return scene, truth, None if heard is None else replace(heard, audio=in_room(heard.audio, room))


def _place(
    track: FloatArray,
    speech: Speech,
    plan: ShotPlan,
    truth: ShotTruth,
    edges: tuple[bool, bool],
    offset: int,
    num_frames: int,
) -> ShotTruth:
    """Lay a shot's speech onto the track, and return the truth with the phones that are heard.

    The track begins `_MARGIN` frames before the first picture. The first and last shots' speech
    runs on beyond the video, so that a displaced sound needs no padding.
    """
    begin = -_MARGIN if edges[0] else plan.start
    end = num_frames + _MARGIN if edges[1] else plan.stop
    # The speech's own frame _MARGIN belongs to the first picture in which the shot is seen.
    source = begin - plan.first + _MARGIN + plan.offset
    begin, source = begin - min(source, 0), max(source, 0)
    length = min(end - begin, len(speech.audio) // SAMPLES_PER_FRAME - source)
    span = slice(source * SAMPLES_PER_FRAME, (source + length) * SAMPLES_PER_FRAME)
    piece = speech.audio[span].astype(np.float64)
    fade = np.linspace(0, 1, round(_FADE_S * SAMPLE_RATE))
    piece[: len(fade)] *= fade
    piece[-len(fade) :] *= fade[::-1]
    at = (begin + _MARGIN) * SAMPLES_PER_FRAME
    track[at : at + len(piece)] += piece
    shift = (begin - source - offset) / FPS
    low, high = (begin - offset) / FPS, (begin + length - offset) / FPS
    low, high = max(low, 0.0), min(high, num_frames / FPS)
    phones = tuple(
        Phone(phone.name, max(phone.start_s + shift, low), min(phone.stop_s + shift, high))
        for phone in speech.phones
        if phone.stop_s + shift > low and phone.start_s + shift < high
    )
    return replace(truth, phones=phones, offset=plan.offset + offset)


def render_programme(
    index: int,
    *,
    seed: int = 0,
    pool: str = "train",
    preset: str = DEFAULT_PRESET,
    seconds: float = 30.0,
    offset: int = 0,
    shot_offsets: int = 0,
) -> Rendered:
    """Make a video of several shots: cuts, dissolves, two-shots, dubbed and silent faces.

    Parameters
    ----------
    index, seed, pool, preset, seconds, offset
        As for `render_talking`.
    shot_offsets
        Every shot draws an offset of its own within this many frames, on top of ``offset``.

    Raises
    ------
    UsageError
        If the length or an offset is out of range.
    UnknownName
        If the pool or preset does not exist.
    MissingDependency
        If espeakng-loader is not installed.
    """
    recipe = _recipe("programme", index, seed, pool, preset, seconds, offset, shot_offsets)
    rng = rng_for(seed, "programme", pool, index, "plan")
    bounds, spans = _draw_bounds(round(seconds * FPS), rng)
    cast = [f"{pool}-{index:06d}-{letter}" for letter in "abcde"[: int(rng.integers(2, 6))]]
    backdrop = draw_backdrop(rng)
    plans: list[ShotPlan] = []
    for number, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        previous = plans[-1] if plans else None
        # Half of the neighbours share their colours, as cameras in one studio do.
        if previous is not None and rng.random() < 0.5:
            backdrop = draw_backdrop(rng)
        kind = _KINDS[int(rng.choice(len(_KINDS), p=_KIND_ODDS))]
        count = 2 if rng.random() < 0.35 else 1
        identities = tuple(cast[i] for i in rng.permutation(len(cast))[:count])
        plans.append(
            ShotPlan(
                start=start,
                stop=stop,
                first=spans.get(start, (start, start))[0],
                last=spans.get(stop, (stop, stop))[1],
                kind=kind,
                identities=identities,
                speaker=int(rng.integers(count)) if kind in ("speaking", "dubbed") else None,
                heads=_place_heads(count, rng),
                backdrop=backdrop,
                offset=int(rng.integers(-shot_offsets, shot_offsets + 1)),
            )
        )
    cuts = tuple(bound for bound in bounds[1:-1] if bound not in spans)
    dissolves = tuple(spans[bound] for bound in bounds[1:-1] if bound in spans)
    return _render(tuple(plans), cuts, dissolves, _PROGRAMME_SIZE, recipe)


_KINDS = ("speaking", "dubbed", "off-screen", "silent")
_KIND_ODDS = (0.6, 0.16, 0.16, 0.08)


def _draw_bounds(
    num_frames: int, rng: np.random.Generator
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Draw where shots meet, and for each bound that is a dissolve its half-open range."""
    bounds = [0]
    while num_frames - bounds[-1] > 2 * 60:
        longest = min(160, num_frames - bounds[-1] - 60)
        bounds.append(bounds[-1] + int(rng.integers(60, longest + 1)))
    bounds.append(num_frames)
    spans = {}
    for bound in bounds[1:-1]:
        if rng.random() < 0.25:
            length = int(rng.integers(8, 25))
            spans[bound] = (bound - length // 2, bound - length // 2 + length)
    return bounds, spans


def _place_heads(count: int, rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    height, width = _PROGRAMME_SIZE
    if count == 1:
        head = height * rng.uniform(0.35, 0.6)
        return ((float(width * rng.uniform(0.3, 0.7)), float(height * 0.46), float(head)),)
    return tuple(
        (
            float(width * (middle + rng.uniform(-0.04, 0.04))),
            float(height * rng.uniform(0.42, 0.5)),
            float(height * rng.uniform(0.32, 0.45)),
        )
        for middle in (0.28, 0.72)
    )
