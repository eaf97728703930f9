"""One contract for the trained aligners and their streams, on small networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avbench import methods
from avbench.alignment_task import AlignmentQuestion
from avbench.data import Alignment, Clip, Embeddings
from avbench.errors import DataError, UnknownName, UsageError
from avbench.methods import ClipAligner, EmbeddingMethod, Trainable
from avbench.models import training
from avbench.models.corrupt import damage
from avbench.models.crf_decoder import CrfDecoderConfig
from avbench.models.tae import SMALL, TaeConfig
from avbench.models.two_stream import TwoStreamConfig
from avbench.repairing.held import changes, held
from baselines import syncnet_local
from baselines.syncnet import SyncNet
from baselines.syncnet_local import SyncNetLocal, held_out, without_held_out
from baselines.tae import Forcing, Tae, TaeNoAttention
from baselines.tae_crf import TaeCrf

STREAMS = TwoStreamConfig(video=(4, 8, 8, 8, 16), audio=(4, 8, 8, 8, 16), dim=16)
TINY = replace(SMALL, hidden=12, embedding=8, attention=8, mlp=(16, 8))
CONFIGS = {
    Tae: TINY,
    TaeNoAttention: replace(TINY, attention=0),
    TaeCrf: CrfDecoderConfig(encoder=8, hidden=8, embedding=8, attention=8, mlp=16),
}
every = pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.name)


def blinking(key, num_frames=110):
    """A synced clip whose picture is as bright as its sound is loud, frame by frame."""
    rng = np.random.default_rng([*key.encode()])
    level = rng.random(num_frames)
    frames = np.broadcast_to(
        (255 * level).astype(np.uint8)[:, None, None, None], (num_frames, 32, 32, 3)
    )
    loud = np.repeat(level, 640)
    audio = (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32)
    return Clip(key, frames.copy(), audio, Alignment.from_offset(0, num_frames))


CLIPS = [blinking(f"clip-{i}") for i in range(5)]


@pytest.fixture(scope="session")
def streams(tmp_path_factory):
    path = tmp_path_factory.mktemp("streams") / "syncnet.safetensors"
    SyncNet.start(rng=np.random.default_rng(0), config=STREAMS).save(path)
    return path


def started(kind, streams, seed=0):
    return kind.start(streams, rng=np.random.default_rng(seed), config=CONFIGS[kind])


def rows(count, num_video, num_audio, seed=0, dim=16):
    rng = np.random.default_rng([seed, count])
    video = rng.standard_normal((count, num_video, dim)).astype(np.float32)
    first = (num_video - num_audio) // 2
    return video, video[:, first : first + num_audio]


@every
def test_it_is_a_trainable_aligner(kind, streams):
    method = started(kind, streams)
    assert isinstance(method, ClipAligner)
    assert isinstance(method, Trainable)
    assert not isinstance(method, EmbeddingMethod)
    assert methods.load_class(kind.name) is kind
    assert method.BIBTEX.startswith("@inproceedings{shalev2020")


@every
@pytest.mark.parametrize(("num_video", "num_audio"), [(75, 25), (71, 21), (30, 10), (25, 25)])
def test_answers_are_rows_and_posteriors_probabilities(kind, streams, num_video, num_audio):
    method = started(kind, streams)
    said = method.align(*rows(3, num_video, num_audio))
    assert said.index.shape == (3, num_audio)
    assert said.log_posterior.shape == (3, num_audio, num_video)
    np.testing.assert_allclose(np.exp(said.log_posterior).sum(-1), 1)
    np.testing.assert_array_equal(said.index, said.log_posterior.argmax(-1))
    shift = said.index - np.arange(num_audio) - (num_video - num_audio) // 2
    assert np.abs(shift).max() <= 25


@every
def test_a_smaller_search_bounds_the_answers(kind, streams, tmp_path):
    started(kind, streams).save(tmp_path / "m.safetensors")
    said = kind.load(tmp_path / "m.safetensors", search=2).align(*rows(4, 75, 25))
    assert np.abs(said.index - np.arange(25) - 25).max() <= 2
    with pytest.raises(UsageError, match="search 0"):
        kind.load(tmp_path / "m.safetensors", search=0)


@every
def test_windows_do_not_depend_on_their_batch(kind, streams):
    method = started(kind, streams)
    video, audio = rows(40, 75, 25)
    together = method.align(video, audio)
    alone = method.align(video[35:36], audio[35:36])
    assert np.array_equal(together.log_posterior[35], alone.log_posterior[0])


@every
def test_larger_windows_are_refused(kind, streams):
    method = started(kind, streams)
    for num_video, num_audio in ((76, 25), (75, 26), (20, 25)):
        with pytest.raises(DataError, match="at most 25 rows of sound"):
            method.align(
                *rows(1, num_video, min(num_video, num_audio))[:1], rows(1, 80, num_audio)[1]
            )


def test_an_untrained_field_finds_equal_rows(streams):
    """Before any training the field follows the cosines."""
    method = started(TaeCrf, streams)
    rng = np.random.default_rng(0)
    video, _ = rows(3, 75, 25)
    column = np.stack([np.cumsum(rng.integers(0, 3, 25)) + rng.integers(5, 20) for _ in range(3)])
    column = column.clip(max=70)
    audio = np.take_along_axis(video, column[..., None], 1)
    np.testing.assert_array_equal(method.align(video, audio).index, column)


class Planted(TaeCrf):
    """An untrained field on embeddings that are equal where picture and sound belong together."""

    shown: np.ndarray

    def embed(self, clip):
        series = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
        sound = series[: len(clip) - 4]
        return Embeddings(video=series[self.shown[2:-2] - 2], audio=sound)


@pytest.mark.parametrize("asks", ["sound", "picture"])
def test_a_constant_offset_is_found_from_both_sides(streams, asks):
    made = started(TaeCrf, streams)
    method = Planted(made._extractor, made._decoder, asks=asks)
    method.shown = np.arange(110) + 4  # sound frame a is shown at position a - 4
    said = method.predict(blinking("any")).alignment.video_index
    np.testing.assert_array_equal(said[8:-8], np.arange(8, 102) - 4)
    with pytest.raises(UnknownName, match="side that asks"):
        Planted(made._extractor, made._decoder, asks="nobody")


@every
def test_a_checkpoint_answers_as_the_method_did(kind, streams, tmp_path):
    method = started(kind, streams)
    method.save(tmp_path / "m.safetensors")
    again = kind.load(tmp_path / "m.safetensors")
    again.save(tmp_path / "n.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()
    one, other = (m.align(*rows(2, 75, 25)).log_posterior for m in (method, again))
    np.testing.assert_allclose(one, other, atol=0.05)  # weights are stored in half precision
    assert type(kind.start(tmp_path / "m.safetensors", rng=np.random.default_rng(0))) is kind


@every
def test_streams_alone_are_no_aligner(kind, streams):
    with pytest.raises(UsageError, match=f"holds no decoder.*--method {kind.name}"):
        kind.load(streams)


@every
def test_it_takes_clips_of_any_length(kind, streams):
    method = started(kind, streams)
    for num_frames in (5, 40, 110):
        clip = blinking("any", num_frames)
        said = method.predict(clip).alignment.video_index
        assert said.shape == (num_frames,)
        assert (np.diff(said) >= 0).all()
        assert 0 <= said.min() <= said.max() < num_frames


def fitted(kind, streams, state=None, stop_at=None, steps=6, **options):
    seen = []

    def log(name, value, step):
        seen.append((name, value, step))
        if step == stop_at:
            raise KeyboardInterrupt

    method = started(kind, streams) if kind in CONFIGS else kind.start(streams, rng=None)
    method.fit(
        CLIPS,
        rng=np.random.default_rng(1),
        steps=steps,
        state=state,
        log=log,
        bfloat16=False,
        **options,
    )
    return method, seen


SMALLER = {"batch": 4, "copies": 2}


@pytest.mark.parametrize("kind", [Tae, TaeCrf, SyncNetLocal], ids=lambda kind: kind.name)
def test_a_stopped_run_goes_on_to_the_same_bytes(kind, streams, tmp_path, monkeypatch):
    monkeypatch.setattr("avbench.models.training._SAVE_EVERY_S", 0.0)
    options = SMALLER if kind in CONFIGS else {"batch": 2}
    whole, seen = fitted(kind, streams, **options)
    whole.save(tmp_path / "whole.safetensors")
    assert [step for name, _, step in seen if name == "loss/train"] == [1, 2, 3, 4, 5, 6]
    state = tmp_path / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        fitted(kind, streams, state, stop_at=4, **options)
    assert state.exists()
    rest, seen = fitted(kind, streams, state, **options)
    assert seen[0][2] > 1, "it did not begin again"
    rest.save(tmp_path / "rest.safetensors")
    whole_bytes = (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "rest.safetensors").read_bytes() == whole_bytes
    assert rest.report.steps == 6


@every
def test_fitting_changes_the_decoder_and_leaves_the_streams(kind, streams):
    before = started(kind, streams)
    after, _ = fitted(kind, streams, **SMALLER)
    assert before._extractor.id == after._extractor.id
    one, other = (m.align(*rows(2, 75, 25)).log_posterior for m in (before, after))
    assert not np.allclose(one, other)
    assert after.report.recipe["copies"] == 2
    assert after.report.clips == 2, "of five clips, every fourth from the first"


def test_streams_change_and_stay_those_of_a_syncnet(streams, tmp_path):
    method, _ = fitted(SyncNetLocal, streams, steps=1, batch=2)
    method.save(tmp_path / "m.safetensors")
    assert SyncNet.load(streams).extractor != method.extractor
    assert SyncNet.load(tmp_path / "m.safetensors")
    assert method.report.clips == 3


def shown_again(shown, num_frames=110):
    """A clip whose pictures all differ by far, showing these frames, and its sound."""
    clip = blinking("any", num_frames)
    bright = 37 * np.arange(num_frames) % 256
    frames = np.broadcast_to(bright.astype(np.uint8)[:, None, None, None], clip.frames.shape)
    audio = clip.audio[: 640 * len(shown)]
    return Clip("any", frames[shown], audio)


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_damaged_clip_say_which_picture_is_shown(streams, seed):
    shown = damage(110, np.random.default_rng(seed), "tae2020").shown
    clip, method = shown_again(shown), started(TaeCrf, streams)
    method._decoder.drops.out.bias.data[0] = 100  # nothing was dropped
    frames, number = np.unique(shown, return_inverse=True)
    box = np.tile([0.0, 0, 32, 32], (len(clip), 1))
    np.testing.assert_array_equal(held(changes(clip.frames, box)), number)
    found = method.embed(clip)
    assert found.video.shape == found.audio.shape == (len(shown) - 4, 16 + 4)
    np.testing.assert_array_equal(found.video[:, 16], number[2:-2] + 1)
    np.testing.assert_allclose(np.exp(found.video[:, 17:]).sum(-1), 1, rtol=1e-5)
    assert not found.audio[:, 16:].any()
    # Sound is embedded as it is, and pictures as those of a clip without the copies.
    plain = Tae.embed(method, clip)
    np.testing.assert_array_equal(found.audio[:, :16], plain.audio)
    once = Tae.embed(method, shown_again(frames)).video  # from the third picture on
    inside = slice(*np.searchsorted(number, [2, len(frames) - 2]))
    one, other = found.video[inside.start - 2 : inside.stop - 2, :16], once[number[inside] - 2]
    np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-4)
    assert (np.diff(method.align_clip(found).video_index) >= 0).all()


def test_of_an_undamaged_clip_nothing_is_known(streams):
    clip, method = shown_again(np.arange(60)), started(TaeCrf, streams)
    found, plain = method.embed(clip), Tae.embed(method, clip)
    for side, expected in zip(found, plain, strict=True):
        np.testing.assert_array_equal(side[:, :16], expected)
        assert side.shape == (56, 20)
        assert not side[:, 16:].any()
    video, audio = found.video[None], found.audio[None, 20:40]
    said, alone = method.align(video, audio), method.align(video[..., :16], audio[..., :16])
    np.testing.assert_array_equal(said.log_posterior, alone.log_posterior)


def test_a_damaged_window_sees_nothing_outside_it(streams):
    shown = np.sort(np.random.default_rng(0).integers(20, 90, 79))
    question = AlignmentQuestion("any", 75, 0, 0, 20, 0, (*shown,), range(27, 52), (0,) * 25)
    clip, method = shown_again(np.arange(110)), started(TaeCrf, streams)
    outside = clip.frames.copy()
    outside[: shown[0]] = outside[shown[-1] + 1 :] = 255 - outside[0]
    audio = clip.audio.copy()
    audio[: 20 * 640] = audio[99 * 640 :] = 0.1
    other = Clip("other", outside, audio)
    one, same = (method.embed(question.cut(c)) for c in (clip, other))
    for side, again in zip(one, same, strict=True):
        assert side.shape == (75, 20)
        np.testing.assert_array_equal(side, again)
    # Nor does an answer depend on windows beside it, damaged or not, or on where it begins.
    later = one.video.copy()
    later[:, 16] += 40
    plain = method.embed(shown_again(np.arange(79)))
    video = np.stack([plain.video, one.video, later, plain.video])
    audio = np.stack([side[25:50] for side in (plain.audio, *[one.audio] * 2, plain.audio)])
    said = method.align(video, audio).log_posterior
    for at in range(4):
        alone = method.align(video[at : at + 1], audio[at : at + 1]).log_posterior[0]
        np.testing.assert_array_equal(said[at], alone)
    np.testing.assert_array_equal(said[1], said[2])
    last = np.diff(one.video[:, 16], append=np.inf) > 0
    assert np.isneginf(said[1][:, ~last]).all()


@pytest.mark.parametrize(("part", "step"), [("drops", 3), ("damaged", 0), ("damaged", 2)])
def test_a_run_stopped_in_a_later_part_goes_on_to_the_same_bytes(
    streams, tmp_path, monkeypatch, part, step
):
    monkeypatch.setattr(training, "_SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(TaeCrf, "DROPS", replace(TaeCrf.DROPS, steps=2, clips=1))
    done, stop, take = [], [(part, step)], training._step

    def watched(run, loss_of, data, recipe, watch):
        at = (watch.about.get("part", "decoder"), run.step)
        if at in stop:
            raise KeyboardInterrupt
        done.append(at)
        take(run, loss_of, data, recipe, watch)

    monkeypatch.setattr(training, "_step", watched)
    state = (folder := tmp_path / "state") / "run.unfinished"
    with pytest.raises(KeyboardInterrupt):
        fitted(TaeCrf, streams, state, steps=4, **SMALLER)
    before = ["decoder"] if part == "drops" else ["decoder", "drops"]
    assert all((folder / f"run.unfinished.{name}").exists() for name in before)
    stop.clear()
    rest, _ = fitted(TaeCrf, streams, state, steps=4, **SMALLER)
    every_step = [("decoder", i) for i in range(4)] + [("drops", i) for i in range(8)]
    assert done == [*every_step, *[("damaged", i) for i in range(4)]], "none is taken twice"
    assert not [*folder.iterdir()]
    whole, _ = fitted(TaeCrf, streams, steps=4, **SMALLER)
    whole.save(tmp_path / "whole")
    rest.save(tmp_path / "rest")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "rest").read_bytes()
    assert replace(rest.report, seconds=0.0) == replace(whole.report, seconds=0.0)


def test_a_finished_part_is_taken_up_by_its_own_run_alone(tmp_path):
    state, calls = tmp_path / "run", []
    report = training.FitReport(5, 1.0, 2.0, 3.0, 4, 5, 6, True, {"law": "both"}, ((1, 0.5),))

    def train(network, name="part", identity=None, where=state):
        def work(part):
            calls.append(part)
            torch.nn.init.constant_(network.weight, 2.0)
            return report

        return training.finished(network, name, work, where, identity or {"sizes": (1, 2)})

    assert train(torch.nn.Linear(2, 2), where=None) == report
    assert not [*tmp_path.iterdir()], "nothing is kept"
    assert train(first := torch.nn.Linear(2, 2)) == train(second := torch.nn.Linear(2, 2)) == report
    assert calls == [None, state]
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    with pytest.raises(UsageError, match=r"run\.part belongs to another training run"):
        train(third := torch.nn.Linear(2, 2), identity={"sizes": (1, 3)})
    assert not (third.weight == 2).any()
    train(third, "other")
    assert calls == [None, state, state]


def test_streams_and_decoders_share_no_clip():
    from avbench.models.trainset import MOUTHS, TrainingSet

    made = TrainingSet.read(CLIPS, min_frames=5, max_bytes=2**30, front=MOUTHS)
    one, other = without_held_out(made).clips, held_out(made).clips
    assert [clip in one for clip in made.clips] == [clip not in other for clip in made.clips]
    assert len(other) == -(-len(made) // syncnet_local.HELD_OUT)
    few = TrainingSet(made.clips[:2])
    assert held_out(few).clips == without_held_out(few).clips == few.clips


def test_fewer_and_fewer_true_answers_are_told():
    forcing = Forcing(0.5, 4)
    assert [forcing() for _ in range(6)] == [0.5, 0.375, 0.25, 0.125, 0, 0]
    assert Forcing(0.5, 4).eval()() == 0
    assert torch.equal(forcing.done, torch.tensor(6))


def test_a_decoder_of_the_papers_size_can_be_asked_for(streams):
    rng = np.random.default_rng(0)
    for kind, attention in ((Tae, 256), (TaeNoAttention, 0)):
        method = kind.start(streams, rng=rng, architecture="tae-2020")
        assert method._decoder.config == replace(TaeConfig(), attention=attention)
    for kind, name in ((TaeCrf, "tae-2020"), (Tae, "syncnet-2016")):
        with pytest.raises(UsageError, match=f"no decoder of architecture '{name}'"):
            kind.start(streams, rng=rng, architecture=name)
