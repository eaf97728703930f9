"""One contract for the four methods that compare embeddings, on small untrained networks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from avbench import methods
from avbench.data import Alignment, Clip
from avbench.errors import AvbenchError, DataError, UsageError
from avbench.methods import EmbeddingMethod, Trainable
from avbench.models import checkpoint as checkpoints
from avbench.models.losses import cosine_matrix
from avbench.models.pattern import PatternClassifier, PatternConfig, pattern_loss
from avbench.models.training import new_network
from avbench.models.two_stream import Extractor, TwoStreamConfig
from avbench.similarity import normalise
from baselines.diag_avg import DiagAvg
from baselines.sync_cls import SyncCls
from baselines.sync_e2e import SyncE2E
from baselines.syncnet import SyncNet

NAMES = ("syncnet", "diag-avg", "sync-cls", "sync-e2e")
TRAINABLE = ("syncnet", "sync-cls", "sync-e2e")
STREAMS = TwoStreamConfig(video=(4, 8, 8, 8, 16), audio=(4, 8, 8, 8, 16), dim=16)
HEADS = PatternConfig(widths=(8, 16, 16))


def aligned_rows(rng, count, rows, dim=16, noise=0.3):
    """Unit vectors of pictures and sound that share their content, row by row."""
    shared = rng.standard_normal((count, rows, dim))
    return tuple(
        normalise(shared + noise * rng.standard_normal(shared.shape)).astype(np.float32)
        for _ in range(2)
    )


def blinking(key="clip", num_frames=40, seed=0):
    """A synced clip whose picture is as bright as its sound is loud, frame by frame."""
    rng = np.random.default_rng([seed, *key.encode()])
    level = rng.random(num_frames)
    frames = (255 * level).astype(np.uint8)[:, None, None, None]
    loud = np.repeat(level, 640)
    audio = (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32)
    pictures = np.broadcast_to(frames, (num_frames, 32, 32, 3)).copy()
    return Clip(key, pictures, audio, Alignment.from_offset(0, num_frames))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """One checkpoint per method: random streams, and heads that know straight lines."""
    folder = tmp_path_factory.mktemp("checkpoints")
    rng = np.random.default_rng(0)
    syncnet = SyncNet.start(rng=rng, config=STREAMS)
    syncnet.save(folder / "syncnet.safetensors")
    classifier = new_network(lambda: PatternClassifier(HEADS), rng)
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=1e-2)
    for _ in range(60):
        video, audio = aligned_rows(rng, 8, 24)
        similarity = cosine_matrix(torch.from_numpy(audio), torch.from_numpy(video))
        optimiser.zero_grad()
        pattern_loss(classifier, similarity, 8, rng).backward()
        optimiser.step()
    network = checkpoints.load(folder / "syncnet.safetensors").extractor
    for method in (SyncCls, SyncE2E):
        method(Extractor(network), classifier).save(folder / f"{method.name}.safetensors")
    return {
        "syncnet": folder / "syncnet.safetensors",
        "diag-avg": folder / "syncnet.safetensors",
        "sync-cls": folder / "sync-cls.safetensors",
        "sync-e2e": folder / "sync-e2e.safetensors",
    }


@pytest.fixture(params=NAMES)
def method(request, files):
    return methods.load(request.param, files[request.param])


def test_it_is_an_embedding_method(method):
    assert isinstance(method, EmbeddingMethod)
    assert method.BIBTEX.startswith("@inproceedings{")
    assert method.name in NAMES


@pytest.mark.parametrize("rows", [7, 9, 11, 16])
def test_early_sound_scores_at_a_positive_offset(method, rows):
    video, audio = aligned_rows(np.random.default_rng(1), 1, 40)
    offsets = np.arange(-5, 6)
    pictures = np.stack([video[0, 12 : 12 + rows]] * 11)
    sounds = np.stack([audio[0, 12 + k : 12 + k + rows] for k in offsets])
    scores = method.compare(pictures, sounds)
    assert scores.shape == (11, 11)
    assert (scores.argmax(axis=1) - 5).tolist() == offsets.tolist()


@pytest.mark.parametrize("rows", [7, 16])
def test_a_batch_is_many_single_windows(method, rows):
    video, audio = aligned_rows(np.random.default_rng(2), 5, rows)
    whole = method.compare(video, audio)
    single = np.concatenate([method.compare(video[i : i + 1], audio[i : i + 1]) for i in range(5)])
    assert whole == pytest.approx(single, abs=1e-5)


@pytest.mark.parametrize(("start", "length", "offset"), [(3, 11, 2), (10, 20, -5), (0, 15, 5)])
def test_a_window_is_predicted_as_its_slice_of_the_clip(method, start, length, offset):
    clip = blinking()
    whole = method.embed(clip)
    rows = length - 4
    expected = method.compare(
        whole.video[None, start : start + rows],
        whole.audio[None, start + offset : start + offset + rows],
    )[0]
    found = method.predict(clip.window(start, length, offset).without_truth())
    assert found.scores == pytest.approx(expected, abs=1e-5)
    assert found.key == clip.key
    assert len(found.alignment) == length


def test_it_repeats_itself_also_from_another_process(method):
    clip = blinking().without_truth()
    copy = pickle.loads(pickle.dumps(method))
    assert copy.extractor == method.extractor
    for other in (method, copy):
        again = other.predict(clip)
        assert np.array_equal(again.scores, method.predict(clip).scores)
        assert again.offset == method.predict(clip).offset


def test_it_predicts_the_shortest_window_and_long_clips(method):
    for length in (11, 12, 40):
        prediction = method.predict(blinking().window(0, length))
        assert -5 <= prediction.offset <= 5
        assert prediction.scores.shape == (11,)
        assert prediction.confidence >= 0


def test_a_smaller_search_gives_fewer_candidates(method, files):
    narrow = methods.load(method.name, files[method.name], search=3)
    clip = blinking()
    assert narrow.predict(clip).scores == pytest.approx(method.predict(clip).scores[2:-2], abs=1e-6)


def test_confidence_is_best_minus_median(method):
    prediction = method.predict(blinking())
    scores = prediction.scores
    assert prediction.confidence == pytest.approx(scores.max() - np.median(scores))


@pytest.mark.parametrize("name", ["sync-cls", "sync-e2e"])
def test_a_long_clip_is_read_window_by_window(name, files):
    method = methods.load(name, files[name])
    video, audio = aligned_rows(np.random.default_rng(3), 2, 18)
    parts = [method.compare(video[:, s : s + 16], audio[:, s : s + 16]) for s in range(3)]
    assert method.compare(video, audio) == pytest.approx(np.mean(parts, axis=0), abs=1e-5)


@pytest.mark.parametrize("name", ["sync-cls", "sync-e2e"])
def test_classifiers_refuse_what_they_cannot_tell(name, files):
    with pytest.raises(UsageError, match="up to 5 frames"):
        methods.load(name, files[name], search=6)
    with pytest.raises(UsageError, match="holds no classifier"):
        methods.load(name, files["syncnet"])
    method = methods.load(name, files[name])
    with pytest.raises(DataError, match=r"10 frames; .* needs 11"):
        method.predict(blinking(num_frames=10))
    scores = method.compare(*aligned_rows(np.random.default_rng(0), 2, 7))
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(2))


def test_the_edge_policy_is_a_choice_of_syncnet(files):
    clip = blinking().window(0, 11)
    zero = SyncNet.load(files["syncnet"])
    valid = SyncNet.load(files["syncnet"], edge="valid")
    assert (zero.edge, valid.edge) == ("zero", "valid")
    assert zero.predict(clip).scores[5] == pytest.approx(valid.predict(clip).scores[5])
    assert zero.predict(clip).scores[0] != pytest.approx(valid.predict(clip).scores[0])
    with pytest.raises(UsageError, match="edge 'wrap'"):
        SyncNet.load(files["syncnet"], edge="wrap")


@pytest.mark.parametrize("name", ["diag-avg", "sync-cls", "sync-e2e", "syncnet"])
def test_only_the_direction_of_embeddings_matters_where_cosines_are_compared(name, files):
    options = {"unit": True} if name == "syncnet" else {}
    method = methods.load(name, files[name], **options)
    video, audio = aligned_rows(np.random.default_rng(4), 2, 9)
    scores = method.compare(video, audio)
    assert method.compare(3 * video, 0.1 * audio) == pytest.approx(scores, abs=1e-5)


def test_syncnet_compares_embeddings_as_they_leave_the_network(files):
    method, clip = SyncNet.load(files["syncnet"]), blinking().window(0, 12)
    video, audio = method.embed(clip)
    assert np.linalg.norm(video, axis=1) != pytest.approx(np.ones(8), abs=0.1)
    padded = np.pad(audio, [(5, 5), (0, 0)])
    expected = [
        -np.mean([np.linalg.norm(video[v] - padded[v + 5 - k]) for v in range(8)])
        for k in range(-5, 6)
    ]
    assert method.compare(video[None], audio[None])[0] == pytest.approx(expected, abs=1e-5)


def start(name, files, seed=0):
    rng = np.random.default_rng(seed)
    if name == "syncnet":
        return SyncNet.start(rng=rng, config=STREAMS)
    init = files["syncnet" if name == "sync-cls" else "sync-cls"]
    config = HEADS if name == "sync-cls" else None
    return methods.load_class(name).start(init, rng=rng, config=config)


def fit(method, seed=0, steps=6, state=None):
    clips = [blinking(f"clip-{i}") for i in range(4)]
    method.fit(clips, rng=np.random.default_rng(seed), steps=steps, bfloat16=False, state=state)
    return method


@pytest.mark.parametrize("name", TRAINABLE)
def test_training_is_decided_by_the_seed(name, files, tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        trained = fit(start(name, files, seed), seed, steps=2)
        assert isinstance(trained, Trainable)
        trained.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    assert methods.load(name, paths[0]).predict(blinking()).offset is not None


@pytest.mark.parametrize("name", TRAINABLE)
def test_training_lowers_the_loss(name, files):
    trained = start(name, files)
    clips = [blinking(f"clip-{i}") for i in range(8)]
    trained.fit(clips, rng=np.random.default_rng(0), steps=40, rate=5e-3, bfloat16=False)
    assert trained.report.loss < trained.report.first_loss


def test_only_joint_training_changes_the_extractor(files):
    before = methods.load("syncnet", files["syncnet"]).extractor
    assert fit(start("sync-cls", files), steps=2).extractor == before
    assert fit(start("sync-e2e", files), steps=2).extractor != before


def test_bfloat16_training_works_and_is_recorded(files):
    trained = start("syncnet", files)
    trained.fit([blinking()], rng=np.random.default_rng(0), steps=1, bfloat16=True)
    assert trained.report.recipe["bfloat16"] is True
    assert np.isfinite(trained.report.loss)


def test_methods_that_share_an_extractor_say_so(files):
    ids = {name: methods.load(name, files[name]).extractor for name in NAMES}
    assert ids["syncnet"] == ids["diag-avg"] == ids["sync-cls"]


@pytest.mark.parametrize("cls", [SyncNet, DiagAvg, SyncCls, SyncE2E])
def test_an_absent_checkpoint_is_explained(cls, tmp_path):
    with pytest.raises(AvbenchError, match="there is no checkpoint"):
        cls.load(tmp_path / "absent.safetensors")
