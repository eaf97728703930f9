"""The same sentences said by ten speakers, for retiming one speaker's picture to another's voice.

Video ``index`` is sentence ``index // 10`` by speaker ``index % 10``. All ten have one accent, so
that they say the same phones, each at a speed and with pauses of their own, faster in some words
and slower in others; a speaker has one face and one voice in all sentences. What one speaker's
picture must show for another's voice follows from the phones in the two truth files
(`avbench.redub.truth`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import accumulate

import numpy as np

from avbench.data import FloatArray
from avbench.distort import rng_for
from avbench.synthetic.backdrop import draw_backdrop
from avbench.synthetic.look import draw_look
from avbench.synthetic.mouth import mouth_curves
from avbench.synthetic.occluder import draw_occluder
from avbench.synthetic.plan import TALKING_SIZES, Plan, Recipe, ShotPlan
from avbench.synthetic.presets import find_preset
from avbench.synthetic.scene import Actor, Scene
from avbench.synthetic.script import draw_text
from avbench.synthetic.sound import NOISES, background, in_room
from avbench.synthetic.truth import FaceTruth, ShotTruth, Truth
from avbench.synthetic.voice import Phone, Speech, Voice, draw_voice, speak
from avbench.timing import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

SPEAKERS = 10
"""Speakers of every sentence."""
ACCENT = "en-us"
TEMPO, TEMPO_KEPT = 0.3, 0.5
"""Standard deviation of the logarithm of a word's speed, and what the next word keeps of it. People
who read the same text are not the faster and the slower by one factor throughout."""
FEASIBLE = (80, 400)
"""Words per minute that espeak-ng speaks."""
_WORDS_PER_S = 2.6
_SPEED = (150, 185)
"""Words per minute: no two speakers drift apart by much more than a second."""
_SILENCE_S = (0.25, 0.5)
"""Before and after the speech; espeak-ng's own pauses come on top."""


def sentence_of(index: int) -> int:
    """Return the number of the sentence that a video says."""
    return index // SPEAKERS


def speaker_of(index: int) -> int:
    """Return the number of the speaker of a video."""
    return index % SPEAKERS


@lru_cache(maxsize=8)
def voices(seed: int, pool: str) -> tuple[Voice, ...]:
    """Draw the voices of the speakers, all of one accent and no two of one variant."""
    rng = rng_for(seed, "redub voices", pool)
    found: dict[str, Voice] = {}
    while len(found) < SPEAKERS:
        voice = draw_voice(rng, pool)
        slow, fast = _SPEED
        if voice.accent == ACCENT and slow <= voice.speed <= fast:
            found.setdefault(voice.variant, voice)
    return tuple(found.values())


def tempo(speed: int, words: int, rng: np.random.Generator) -> list[int]:
    """Draw the words per minute of every word of a sentence.

    Their logarithms wander about that of the speaker's own speed and have it as their mean, so that
    speakers are ahead of each other in one place and behind in another.
    """
    steps = rng.normal(0.0, TEMPO * np.sqrt(1 - TEMPO_KEPT**2), words)
    steps[0] = rng.normal(0.0, TEMPO)
    wander = np.array(list(accumulate(steps, lambda last, new: TEMPO_KEPT * last + new)))
    paces = speed * np.exp(wander - wander.mean())
    return [int(x) for x in np.rint(paces.clip(*FEASIBLE))]


def say(recipe: Recipe) -> Speech:
    """Speak a video's sentence, with silence before and after it."""
    rng = rng_for(recipe.seed, "redub sentence", recipe.pool, sentence_of(recipe.index))
    text = draw_text(rng, recipe.pool, max(3, round(recipe.seconds * _WORDS_PER_S)))
    voice = voices(recipe.seed, recipe.pool)[speaker_of(recipe.index)]
    words = sum(len(sentence.split()) for sentence in text)
    spoken = speak(text, voice, recipe.rng("heard"), tempo(voice.speed, words, recipe.rng("tempo")))
    before, after = recipe.rng("silence").uniform(*_SILENCE_S, 2)
    length = len(spoken.audio) / SAMPLE_RATE
    num_frames = int(np.ceil((before + length + after) * FPS))
    phones = [Phone("_", 0.0, before)]
    phones += [
        replace(p, start_s=p.start_s + before, stop_s=p.stop_s + before) for p in spoken.phones
    ]
    phones.append(Phone("_", before + length, num_frames / FPS))
    audio = np.zeros(num_frames * SAMPLES_PER_FRAME)
    first = round(before * SAMPLE_RATE)
    audio[first : first + len(spoken.audio)] = spoken.audio
    return Speech(audio, tuple(phones), spoken.text)


def make(recipe: Recipe) -> tuple[FloatArray, Truth, Plan, Scene]:
    """Return the sound, the truth, the plan and the scene of a video."""
    speech = say(recipe)
    num_frames = len(speech.audio) // SAMPLES_PER_FRAME
    preset, voice = find_preset(recipe.preset), voices(recipe.seed, recipe.pool)
    identity = f"redub-{recipe.pool}-speaker-{speaker_of(recipe.index)}"
    plan = _plan(recipe, num_frames, identity)
    shot = plan.shots[0]
    rng = recipe.rng("shot", 0)
    look = draw_look(recipe.seed, recipe.pool, identity)
    mouth = mouth_curves(
        speech.phones, num_frames, start_s=0.0, effort=look.effort, preset=preset, rng=rng
    )
    occluder = draw_occluder(rng, num_frames, preset.occluder_probability)
    actor = Actor(look, shot.heads[0][:2], shot.heads[0][2], mouth, occluder)
    scene = Scene(
        (actor,), shot.backdrop, plan.size, num_frames, image_noise=preset.image_noise, rng=rng
    )
    noise_rng = recipe.rng("noise")
    snr_db = float(noise_rng.uniform(*preset.snr_db))
    noise = NOISES[int(noise_rng.integers(len(NOISES)))]
    audio = in_room(speech.audio, recipe.rng("room"))
    audio += background(len(audio), snr_db, noise, noise_rng)
    face = FaceTruth(look, "speaking", speech.text, scene.faces[0], mouth, occluder)
    truth = Truth(
        key=recipe.key,
        recipe=recipe.to_json(),
        num_frames=num_frames,
        height=plan.size[0],
        width=plan.size[1],
        cuts=(),
        dissolves=(),
        snr_db=snr_db,
        noise=noise,
        shots=(
            ShotTruth(
                start=0,
                stop=num_frames,
                kind="speaking",
                offset=0,
                faces=(face,),
                speaker=identity,
                voice=voice[speaker_of(recipe.index)],
                text=speech.text,
                phones=speech.phones,
            ),
        ),
    )
    return np.clip(audio, -0.99, 0.99).astype(np.float32), truth, plan, scene


def _plan(recipe: Recipe, num_frames: int, identity: str) -> Plan:
    """Place one head before a background, as in a talking video."""
    rng = recipe.rng("plan")
    size = TALKING_SIZES[int(rng.integers(len(TALKING_SIZES)))]
    x, y = size[1] * rng.uniform(0.42, 0.58), size[0] * rng.uniform(0.44, 0.5)
    head = (float(x), float(y), float(size[0] * rng.uniform(0.40, 0.58)))
    shot = ShotPlan(
        start=0,
        stop=num_frames,
        first=0,
        last=num_frames,
        kind="speaking",
        identities=(identity,),
        speaker=0,
        heads=(head,),
        backdrop=draw_backdrop(rng),
        offset=0,
    )
    return Plan(recipe, size, (shot,))
