"""What every metric is called, in which unit it comes and which way is better.

Tables, figures and leaderboards look a metric up here, by the name it has in the results. A name
ends in ``@`` and a parameter where it has one: ``accuracy@1`` is accuracy within one frame,
``perceptual@ebu-r37`` the share inside a window of `avbench.metrics.perceptual`, ``recall@10`` the
share among the first ten. The version is raised whenever the same answers could get another value;
where a quantity has several definitions, it names the one that avbench computes.
"""

from __future__ import annotations

from dataclasses import dataclass

from avbench.errors import UnknownName
from avbench.metrics.perceptual import WINDOWS


@dataclass(frozen=True)
class Metric:
    """One metric, as tables and leaderboards print it."""

    name: str
    version: str
    """Definition and its number, such as ``mcd/np-freqt@1``."""
    unit: str
    """``fraction`` (tables print percent), ``frames``, ``dB``, ``distance``, ``per 100 frames``."""
    higher_is_better: bool
    source: str
    """Where the definition comes from."""
    summary: str
    """One sentence."""

    @property
    def is_proportion(self) -> bool:
        """Whether it is a share of questions answered well, so that a binomial interval fits."""
        return self.name.partition("@")[0] in ("accuracy", "perceptual", "recall")


_KIM = "Kim et al. 2021"
_TAE = "Shalev and Wolf 2020"
_SYNCNET = "Chung and Zisserman 2016"
_WAV2LIP = "Prajwal et al. 2020 (Wav2Lip)"


def _metric(
    name: str, unit: str, higher_is_better: bool, source: str, summary: str, version: str = ""
) -> Metric:
    return Metric(
        name, version or f"{name.removesuffix('@')}/1", unit, higher_is_better, source, summary
    )


_METRICS = (
    _metric(
        "accuracy@",
        "fraction",
        True,
        f"{_KIM}, section 3",
        "Share of questions whose answer is off by at most {} frame(s).",
    ),
    _metric(
        "accuracy",
        "fraction",
        True,
        "avbench.metrics.verification.binary_accuracy",
        "Share of decisions that are right, such as in sync or not.",
        "binary-accuracy/1",
    ),
    _metric(
        "rer@",
        "fraction",
        True,
        f"{_KIM}, Tables 2 and 3",
        "Share of the reference method's errors, by more than {} frame(s), that is gone.",
    ),
    _metric(
        "recall@",
        "fraction",
        True,
        "Chung, Chung and Kang 2019",
        "Share of queries whose right candidate is among the first {}.",
    ),
    *(
        _metric(
            f"perceptual@{name}",
            "fraction",
            True,
            window.source,
            f"Share of questions left within {window.lag_ms:+g} .. {window.lead_ms:+g} ms "
            f"(positive: audio leads): {window.meaning}.",
        )
        for name, window in WINDOWS.items()
    ),
    *(
        _metric(
            f"{name}_absolute_error",
            "frames",
            False,
            f"{_TAE}, Tables 2 and 3",
            f"{title} absolute shift error over the answered questions.",
        )
        for name, title in (
            ("mean", "Mean"),
            ("median", "Median"),
            ("p95", "95th percentile of the"),
            ("max", "Largest"),
        )
    ),
    _metric(
        "perceptual_score",
        "fraction",
        True,
        "avbench's own, from the bounds of BT.1359",
        "Mean of 1 where nobody detects the error, 0 where nobody accepts it, smooth between.",
    ),
    _metric(
        "auroc",
        "fraction",
        True,
        "Hanley and McNeil 1982",
        "Chance that a right answer has more confidence than a wrong one.",
    ),
    _metric(
        "aurc",
        "fraction",
        False,
        "Geifman, Uziel and El-Yaniv 2019",
        "Mean share of wrong answers among the surest, over all coverages.",
    ),
    _metric(
        "ece",
        "fraction",
        False,
        "Guo et al. 2017",
        "Mean gap between stated probability and accuracy, over 15 bins.",
    ),
    _metric(
        "equal_error_rate",
        "fraction",
        False,
        "syncnet_trainer; Chung, Kang and Chung 2020",
        "Larger error rate at the threshold where false accepts and false rejects balance.",
    ),
    _metric(
        "f1",
        "fraction",
        True,
        f"{_SYNCNET}, Table 3",
        "F1 of frames taken for speech, threshold set on another speaker.",
        "asd/columbia@1",
    ),
    _metric(
        "mean_average_precision",
        "fraction",
        True,
        "Roth et al. 2020 (AVA)",
        "Precision averaged over recall, then over videos or classes.",
    ),
    _metric(
        "pairwise_accuracy",
        "fraction",
        True,
        "AV-SyncBench",
        "Share of originals that score strictly higher than their perturbed copy.",
    ),
    _metric(
        "lse_d",
        "distance",
        False,
        _WAV2LIP,
        "Mean over clips of the least mean distance; comparable for one checkpoint only.",
    ),
    _metric(
        "lse_c",
        "distance",
        True,
        _WAV2LIP,
        "Mean over clips of median minus least mean distance; comparable for one checkpoint only.",
    ),
    *(
        _metric(f"{name}", "per 100 frames", better, f"{_TAE}, Table 5", summary)
        for name, better, summary in (
            ("duplicated", False, "Output frames that show a source frame shown already."),
            ("deleted", False, "Source frames that no output frame shows."),
            ("consecutive", True, "Output frames that show the source frame after the last one."),
            ("unique", True, "Source frames that some output frame shows."),
        )
    ),
    _metric(
        "mouth_height_correlation",
        "fraction",
        True,
        f"{_TAE}, Table 4",
        "Mean over videos of the Pearson correlation of mouth heights.",
        "mouth/axis@1",
    ),
    _metric(
        "mouth_width_correlation",
        "fraction",
        True,
        f"{_TAE}, Table 4",
        "Mean over videos of the Pearson correlation of mouth widths.",
        "mouth/axis@1",
    ),
    _metric(
        "mcd",
        "dB",
        False,
        f"{_TAE}, Table 6; Kubichek 1993",
        "Mel-cepstral distortion, frame by frame.",
        "mcd/np-freqt@1",
    ),
    _metric(
        "mcd_dtw",
        "dB",
        False,
        f"{_TAE}, Table 6; Kubichek 1993",
        "Mel-cepstral distortion along the best time warp.",
        "mcd-dtw/np-freqt@1",
    ),
)
CATALOGUE = {metric.name: metric for metric in _METRICS}
"""Every metric by name; those with a free parameter end in ``@``."""


def lookup(name: str) -> Metric:
    """Return the metric that a name in the results stands for.

    Raises
    ------
    UnknownName
        If there is none.

    >>> lookup("accuracy@1").summary
    'Share of questions whose answer is off by at most 1 frame(s).'
    >>> lookup("mcd").unit, lookup("mcd").higher_is_better
    ('dB', False)
    """
    if name in CATALOGUE and not name.endswith("@"):
        return CATALOGUE[name]
    stem, at, parameter = name.partition("@")
    general = CATALOGUE.get(stem + at)
    if general is None or not parameter.isdecimal():
        raise UnknownName("metric", name, [n + "1" if n.endswith("@") else n for n in CATALOGUE])
    return Metric(
        name,
        general.version,
        general.unit,
        general.higher_is_better,
        general.source,
        general.summary.format(parameter),
    )
