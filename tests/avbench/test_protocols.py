from __future__ import annotations

import pytest
import simulated
from click.testing import CliRunner

from avbench import protocols
from avbench.alignment_task import AlignmentTask, task_of
from avbench.benchmark import evaluate
from avbench.cli import main
from avbench.errors import UnknownName, UsageError
from avbench.tasks import OffsetTask, measurable
from baselines.constant import Constant
from baselines.diag_avg import DiagAvg
from baselines.sync_cls import SyncCls

PM = protocols.get("pm-window-15")


def test_every_protocol_has_a_name_a_version_and_a_source() -> None:
    for name in protocols.available():
        found = protocols.get(name)
        assert found.name == name
        assert found.version >= 1
        assert found.source.endswith(".")
        assert found.describe()["name"] == name


def test_a_name_says_the_search_range() -> None:
    assert protocols.get("kim-strict-8").search == 8
    assert protocols.get("kim-strict-8").name == "kim-strict-8"
    assert protocols.get("pm-window-15").search == 15


@pytest.mark.parametrize("name", ["kim-strict", "kim-strict-0", "kim-strict-05", "redub-5", "x-5"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownName, match="kim-strict-5"):
        protocols.get(name)


def test_numbers_of_different_rules_are_not_ranked_together() -> None:
    protocols.check_same([("kim-strict-5", 1), ("kim-strict-5", 1)])
    with pytest.raises(UsageError, match=r"kim-strict-5 v1, pm-window-15 v1.*move a score"):
        protocols.check_same([("kim-strict-5", 1), ("pm-window-15", 1)])
    with pytest.raises(UsageError, match=r"kim-strict-5 v1, kim-strict-5 v2"):
        protocols.check_same([("kim-strict-5", 1), ("kim-strict-5", 2)])


def test_a_task_follows_its_protocol() -> None:
    for name in measurable():
        rules = protocols.get(name)
        task = task_of(rules)
        assert (task.protocol, task.version, task.lengths) == (name, rules.version, rules.lengths)
        if rules.lengths:
            assert task_of(rules, lengths=(99,), repeats=2, search=None).lengths == (99,)
    assert task_of(protocols.get("kim-strict-5")) == OffsetTask()
    assert task_of(protocols.get("tae-local")) == AlignmentTask()
    for name in set(protocols.available()) - set(measurable()):
        with pytest.raises(UsageError):
            OffsetTask.of(protocols.get(name))


def test_perfect_match_asks_every_window_with_the_truth_in_the_middle() -> None:
    task = OffsetTask.of(PM, lengths=(7,))
    clip = simulated.clip(0, num_frames=60, offset=2)
    asked = task.questions(clip)
    assert [question.start for question in asked] == list(range(17, 60 - 7 - 13 + 1))
    assert {(q.offset, q.displacement, q.repeat) for q in asked} == {(0, -2, 0)}
    assert [q.window for q in asked] == list(range(len(asked)))


@pytest.mark.parametrize("offset", [0, 3, -4])
def test_sound_around_the_window_reaches_the_candidates(offset: int) -> None:
    class Outside(simulated.Simulated):
        hears_outside = True

        def compare(self, video, audio):  # type: ignore[no-untyped-def]
            assert audio.shape[1] == video.shape[1] + 2 * self.search
            from avbench.similarity import diagonal_means, similarity_matrix

            return diagonal_means(similarity_matrix(audio, video), self.search, self.search)

    clips = [simulated.clip(number, 60, offset) for number in range(6)]
    task = OffsetTask.of(PM, lengths=(5, 15))
    outcome = evaluate([Outside("clear", noise=0.0, search=15)], clips, task, reference=None)
    assert (outcome.predictions["predicted"] == 0).all()
    noisy = evaluate([Outside("noisy", noise=2.0, search=15)], clips, task, reference=None)
    right = (noisy.predictions["predicted"] == 0).groupby(noisy.predictions["length"]).mean()
    assert 1 / 31 < right[5] < right[15] < 1


def test_a_method_that_cannot_hear_around_the_window_is_refused() -> None:
    with pytest.raises(UsageError, match=r"constant cannot be asked under pm-window-15"):
        evaluate([Constant()], [simulated.clip(0)], OffsetTask.of(PM))
    assert DiagAvg.hears_outside
    assert not getattr(SyncCls, "hears_outside", False)


def test_single_shift_asks_both_signs() -> None:
    task = OffsetTask.of(protocols.get("tae-single-25"), repeats=20)
    clips = [simulated.clip(number, 150) for number in range(8)]
    outcome = evaluate([simulated.Simulated(noise=0.0, search=25)], clips, task, reference=None)
    assert (outcome.predictions["predicted"] == outcome.predictions["offset"]).all()
    assert outcome.predictions["offset"].min() < -15
    assert outcome.predictions["offset"].max() > 15


def test_the_command_lists_them_and_tells_the_rules_of_one() -> None:
    done = CliRunner().invoke(main, ["protocols"])
    assert done.exit_code == 0
    for name in protocols.available():
        assert name in done.output
    done = CliRunner().invoke(main, ["protocols", "kim-strict-7"])
    assert "search            7" in done.output
    done = CliRunner().invoke(main, ["protocols", "kim-strikt-5"])
    assert done.exit_code == 2
    assert "Did you mean 'kim-strict-5'?" in done.output
