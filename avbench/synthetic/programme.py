"""Make whole videos in memory: pictures, sound and truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from avbench.data import FloatArray, UInt8Array
from avbench.distort import rng_for
from avbench.synthetic import redub
from avbench.synthetic.look import draw_look
from avbench.synthetic.mouth import mouth_curves
from avbench.synthetic.occluder import draw_occluder
from avbench.synthetic.plan import KINDS, MAX_OFFSET, Plan, Recipe, ShotPlan, make_plan
from avbench.synthetic.presets import DEFAULT_PRESET, find_preset
from avbench.synthetic.scene import Actor, Scene
from avbench.synthetic.sound import NOISES, background, in_room
from avbench.synthetic.truth import FaceTruth, ShotTruth, Truth
from avbench.synthetic.voice import Phone, Speech, Voice, draw_voice, speak_for
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

_MARGIN = MAX_OFFSET + 5
"""Frames of speech beyond both ends of a shot, for displaced sound."""
_FADE_S = 0.01


@dataclass(frozen=True, eq=False)
class Rendered:
    """A made video: its sound, its truth, and its pictures whenever they are asked for."""

    audio: FloatArray
    """Mono at 16 kHz in [-1, 1]; shape (T * 640,), float32."""
    truth: Truth
    _plan: Plan
    _scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return self.truth.num_frames

    def pictures(self) -> Iterator[UInt8Array]:
        """Draw the T pictures in order, the same every time; RGB, shape (H, W, 3)."""
        streams = [scene.frames() for scene in self._scenes]
        shots = self._plan.shots
        for t in range(len(self)):
            seen = [i for i, shot in enumerate(shots) if shot.first <= t < shot.last]
            images = [next(streams[i]) for i in seen]
            if len(images) == 1:
                yield images[0]
            else:
                start, stop = shots[seen[1]].first, shots[seen[0]].last
                share = (t - start + 1) / (stop - start + 1)
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
    seconds: float = KINDS["talking"],
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
    return render(Recipe("talking", index, seed, pool, preset, seconds, offset))


def render_programme(
    index: int,
    *,
    seed: int = 0,
    pool: str = "train",
    preset: str = DEFAULT_PRESET,
    seconds: float = KINDS["programme"],
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
    return render(Recipe("programme", index, seed, pool, preset, seconds, offset, shot_offsets))


def render(recipe: Recipe) -> Rendered:
    """Make the video of a recipe; its pictures are drawn when they are asked for."""
    if recipe.kind == "redub":
        audio, truth, plan, scene = redub.make(recipe)
        return Rendered(audio, truth, plan, (scene,))
    plan = make_plan(recipe)
    preset = find_preset(recipe.preset)
    rng = recipe.rng("noise")
    snr_db, noise = float(rng.uniform(*preset.snr_db)), NOISES[int(rng.integers(len(NOISES)))]
    made = [_make_shot(plan, number) for number in range(len(plan.shots))]
    track = np.zeros((recipe.num_frames + 2 * _MARGIN) * SAMPLES_PER_FRAME)
    shots = []
    for number, (_, shot, heard) in enumerate(made):
        phones = () if heard is None else _lay_speech(track, heard, plan, number)
        shots.append(replace(shot, phones=phones))
    track += background(len(track), snr_db, noise, rng)
    begin = (_MARGIN + recipe.offset) * SAMPLES_PER_FRAME
    audio = track[begin : begin + recipe.num_frames * SAMPLES_PER_FRAME]
    truth = Truth(
        key=recipe.key,
        recipe=recipe.to_json(),
        num_frames=recipe.num_frames,
        height=plan.size[0],
        width=plan.size[1],
        cuts=plan.cuts,
        dissolves=plan.dissolves,
        snr_db=snr_db,
        noise=noise,
        shots=tuple(shots),
    )
    scenes = tuple(scene for scene, _, _ in made)
    return Rendered(np.clip(audio, -0.99, 0.99).astype(np.float32), truth, plan, scenes)


def _make_shot(plan: Plan, number: int) -> tuple[Scene, ShotTruth, Speech | None]:
    """Return a shot's pictures, its truth without phones, and what is heard, if anything."""
    recipe, shot = plan.recipe, plan.shots[number]
    preset = find_preset(recipe.preset)
    speaker, voice, heard, mouthed = _speak(recipe, shot, number)
    rng = recipe.rng("shot", number)
    actors = []
    for position, (identity, head) in enumerate(zip(shot.identities, shot.heads, strict=True)):
        look = draw_look(recipe.seed, recipe.pool, identity)
        mouth = mouth_curves(
            mouthed.phones if mouthed is not None and position == shot.speaker else (),
            len(shot),
            start_s=_MARGIN / FPS,
            effort=look.effort,
            preset=preset,
            rng=rng,
        )
        occluder = draw_occluder(rng, len(shot), preset.occluder_probability)
        actors.append(Actor(look, head[:2], head[2], mouth, occluder))
    scene = Scene(
        tuple(actors),
        shot.backdrop,
        plan.size,
        len(shot),
        image_noise=preset.image_noise,
        rng=rng,
    )
    faces = []
    for position, (drawn, actor) in enumerate(zip(scene.faces, actors, strict=True)):
        role, text = "silent", None
        if mouthed is not None and position == shot.speaker:
            role, text = shot.kind, mouthed.text
        face = FaceTruth(actor.look, role, text, drawn, actor.mouth, actor.occluder)
        faces.append(face.cut(shot.start - shot.first, shot.stop - shot.first))
    truth = ShotTruth(
        start=shot.start,
        stop=shot.stop,
        kind=shot.kind,
        offset=shot.offset + recipe.offset,
        faces=tuple(faces),
        speaker=speaker,
        voice=voice,
        text=None if heard is None else heard.text,
        phones=(),
    )
    return scene, truth, heard


def _speak(
    recipe: Recipe, shot: ShotPlan, number: int
) -> tuple[str | None, Voice | None, Speech | None, Speech | None]:
    """Return who is heard, with what voice, what is heard, and what a mouth in the shot says."""
    if shot.kind == "silent":
        return None, None, None, None
    speaker = f"{recipe.key}-unseen"
    if shot.speaker is not None:
        speaker = shot.identities[shot.speaker]
    voice = draw_voice(rng_for(recipe.seed, "voice", recipe.pool, speaker), recipe.pool)
    seconds = (len(shot) + 2 * _MARGIN) / FPS
    clean = speak_for(seconds, voice, recipe.pool, recipe.rng("heard", number))
    mouthed = None if shot.speaker is None else clean
    if shot.kind == "dubbed":
        mouthed = speak_for(seconds, voice, recipe.pool, recipe.rng("mouthed", number))
    heard = replace(clean, audio=in_room(clean.audio, recipe.rng("room", number)))
    return speaker, voice, heard, mouthed


def _lay_speech(track: FloatArray, speech: Speech, plan: Plan, number: int) -> tuple[Phone, ...]:
    """Add a shot's speech to the track; return the phones that the file lets hear.

    The track begins `_MARGIN` frames before the first picture. The first and last shots' speech
    runs on beyond the video, so that a sound displaced as a whole needs no padding.
    """
    shot, num_frames = plan.shots[number], plan.recipe.num_frames
    begin = -_MARGIN if number == 0 else shot.start
    end = num_frames + _MARGIN if number == len(plan.shots) - 1 else shot.stop
    # Frame _MARGIN of the speech belongs to the first picture in which the shot is seen.
    source = begin - shot.first + _MARGIN + shot.offset
    begin, source = begin - min(source, 0), max(source, 0)
    length = min(end - begin, len(speech.audio) // SAMPLES_PER_FRAME - source)
    span = slice(source * SAMPLES_PER_FRAME, (source + length) * SAMPLES_PER_FRAME)
    piece = speech.audio[span].astype(np.float64)
    fade = np.linspace(0, 1, round(_FADE_S * SAMPLE_RATE))
    piece[: len(fade)] *= fade
    piece[-len(fade) :] *= fade[::-1]
    at = (begin + _MARGIN) * SAMPLES_PER_FRAME
    track[at : at + len(piece)] += piece
    shift = (begin - source - plan.recipe.offset) / FPS
    low = max(0.0, (begin - plan.recipe.offset) / FPS)
    high = min(num_frames, begin + length - plan.recipe.offset) / FPS
    return tuple(
        Phone(phone.name, max(phone.start_s + shift, low), min(phone.stop_s + shift, high))
        for phone in speech.phones
        if phone.stop_s + shift > low and phone.start_s + shift < high
    )
