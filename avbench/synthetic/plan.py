"""Decide what is in a made video, before anything is drawn.

A talking video is one shot of one head that speaks throughout. A programme is a row of shots
joined by hard cuts and dissolves. In a shot, one face speaks (speaking), or moves its mouth to
another sentence than is heard (dubbed), or all are silent while somebody outside the picture
speaks (off-screen), or nobody speaks (silent).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from avbench.data import JSON
from avbench.distort import draw_offset, rng_for
from avbench.errors import UsageError
from avbench.synthetic.backdrop import Backdrop, draw_backdrop
from avbench.synthetic.pools import check_pool
from avbench.synthetic.presets import DEFAULT_PRESET, find_preset
from avbench.timing import FPS

VERSION = 3
"""Goes up when the same recipe would give other bytes."""
KINDS = {"talking": 6.0, "programme": 30.0, "redub": 4.0}
"""Kind of video -> its usual length in seconds; of a redub, that of its speech, about."""
MAX_OFFSET = 50
"""Largest planted offset in frames, a shot's own and the file's together."""

TALKING_SIZES = ((256, 256), (256, 288), (240, 320), (272, 272))
_PROGRAMME_SIZE = (360, 640)
_SHOT_FRAMES = (60, 160)
_DISSOLVE_PROBABILITY = 0.25
_DISSOLVE_FRAMES = (8, 25)
_SAME_COLOURS_PROBABILITY = 0.5
_TWO_FACES_PROBABILITY = 0.35
_SHOT_KINDS = ("speaking", "dubbed", "off-screen", "silent")
_SHOT_KIND_ODDS = (0.6, 0.16, 0.16, 0.08)


@dataclass(frozen=True)
class Recipe:
    """The request that makes one video, and makes the same bytes every time.

    Raises
    ------
    UsageError
        If the kind, length or an offset is out of range.
    UnknownName
        If the pool or preset does not exist.
    """

    kind: str
    index: int
    """Number of the video within the pool."""
    seed: int = 0
    pool: str = "train"
    preset: str = DEFAULT_PRESET
    seconds: float = KINDS["talking"]
    offset: int = 0
    """Planted in the whole file, in frames (positive: audio leads)."""
    shot_offsets: int = 0
    """Every shot of a programme draws its own offset within this many frames, on top."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"no kind of video is called '{self.kind}'; choose {' or '.join(KINDS)}"
            )
        check_pool(self.pool)
        find_preset(self.preset)
        if not 1.0 <= self.seconds <= 3600.0:
            raise UsageError(f"cannot make {self.seconds} s of video; ask for 1 to 3600 seconds")
        if self.index < 0:
            raise UsageError(f"got video number {self.index}; numbers start at 0")
        if self.shot_offsets and self.kind != "programme":
            raise UsageError("only the shots of a programme can have offsets of their own")
        if self.kind == "redub" and self.offset:
            raise UsageError("a redub has no offset; what it is for is another speaker's voice")
        if self.shot_offsets < 0 or abs(self.offset) + self.shot_offsets > MAX_OFFSET:
            raise UsageError(
                f"cannot plant offsets of {self.offset} and {self.shot_offsets} frames; "
                f"together they must stay within {MAX_OFFSET}"
            )

    @property
    def key(self) -> str:
        """Name of the video."""
        return f"{self.kind}-{self.pool}-{self.index:06d}"

    @property
    def num_frames(self) -> int:
        """Length of the video."""
        return round(self.seconds * FPS)

    def rng(self, *key: str | int) -> np.random.Generator:
        """Return the random stream called ``key`` of this video.

        Neither the preset nor an offset changes it: the same faces say the same sentences.
        """
        return rng_for(self.seed, "synthetic", self.kind, self.pool, self.index, *key)

    def to_json(self) -> dict[str, JSON]:
        """Return the recipe as a JSON object, with the version of the recipe's meaning."""
        return {"version": VERSION, **asdict(self)}


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
    """The shot's own, in frames."""

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Plan:
    """A whole video before it is drawn."""

    recipe: Recipe
    size: tuple[int, int]
    """Height and width."""
    shots: tuple[ShotPlan, ...]
    cuts: tuple[int, ...] = ()
    """First frame of the new shot at every hard cut."""
    dissolves: tuple[tuple[int, int], ...] = ()
    """Half-open ranges in which one shot fades into the next."""


def make_plan(recipe: Recipe) -> Plan:
    """Plan the video that a recipe asks for."""
    return {"talking": _plan_talking, "programme": _plan_programme}[recipe.kind](recipe)


def _plan_talking(recipe: Recipe) -> Plan:
    rng = recipe.rng("plan")
    size = TALKING_SIZES[int(rng.integers(len(TALKING_SIZES)))]
    x, y = size[1] * rng.uniform(0.42, 0.58), size[0] * rng.uniform(0.44, 0.5)
    shot = ShotPlan(
        start=0,
        stop=recipe.num_frames,
        first=0,
        last=recipe.num_frames,
        kind="speaking",
        identities=(f"{recipe.key}-a",),
        speaker=0,
        heads=((float(x), float(y), float(size[0] * rng.uniform(0.40, 0.58))),),
        backdrop=draw_backdrop(rng),
        offset=0,
    )
    return Plan(recipe, size, (shot,))


def _plan_programme(recipe: Recipe) -> Plan:
    rng = recipe.rng("plan")
    offset_rng = recipe.rng("shot offsets")
    bounds, spans = _draw_bounds(recipe.num_frames, rng)
    cast = [f"{recipe.key}-{letter}" for letter in "abcde"[: int(rng.integers(2, 6))]]
    backdrop = draw_backdrop(rng)
    shots: list[ShotPlan] = []
    for start, stop in pairwise(bounds):
        # Half of the neighbours share their colours, as cameras in one studio do.
        if shots and rng.random() >= _SAME_COLOURS_PROBABILITY:
            backdrop = draw_backdrop(rng)
        kind = _SHOT_KINDS[int(rng.choice(len(_SHOT_KINDS), p=_SHOT_KIND_ODDS))]
        count = 2 if rng.random() < _TWO_FACES_PROBABILITY else 1
        shots.append(
            ShotPlan(
                start=start,
                stop=stop,
                first=spans.get(start, (start, start))[0],
                last=spans.get(stop, (stop, stop))[1],
                kind=kind,
                identities=tuple(cast[i] for i in rng.permutation(len(cast))[:count]),
                speaker=int(rng.integers(count)) if kind in ("speaking", "dubbed") else None,
                heads=_place_heads(count, rng),
                backdrop=backdrop,
                offset=draw_offset(offset_rng, recipe.shot_offsets),
            )
        )
    inner = bounds[1:-1]
    cuts = tuple(bound for bound in inner if bound not in spans)
    dissolves = tuple(spans[bound] for bound in inner if bound in spans)
    return Plan(recipe, _PROGRAMME_SIZE, tuple(shots), cuts, dissolves)


def _draw_bounds(
    num_frames: int, rng: np.random.Generator
) -> tuple[list[int], dict[int, tuple[int, int]]]:
    """Draw where shots meet, and for each bound that is a dissolve its half-open range."""
    shortest, longest = _SHOT_FRAMES
    bounds = [0]
    while num_frames - bounds[-1] > 2 * shortest:
        most = min(longest, num_frames - bounds[-1] - shortest)
        bounds.append(bounds[-1] + int(rng.integers(shortest, most + 1)))
    bounds.append(num_frames)
    spans = {}
    for bound in bounds[1:-1]:
        if rng.random() < _DISSOLVE_PROBABILITY:
            length = int(rng.integers(*_DISSOLVE_FRAMES))
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
