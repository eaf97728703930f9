"""What a self-test says: findings in words, and the report they make up."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from avbench.data import JSON

Status = Literal["pass", "fail", "warn", "not-applicable"]

STATUSES: tuple[Status, ...] = ("pass", "fail", "warn", "not-applicable")
_WIDTH = 100
_LABELS: Mapping[Status, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "warn": "warn",
    "not-applicable": "n/a",
}
_COUNTED: Mapping[Status, str] = {
    "pass": "passed",
    "fail": "failed",
    "warn": "with a warning",
    "not-applicable": "not applicable",
}


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    """Short name of the check, stable between versions."""
    status: Status
    sentence: str
    """What is right or wrong, in one or two sentences."""
    measured: Mapping[str, JSON] = field(default_factory=dict)
    """The numbers behind it, by name; units are in the names where they are not frames."""
    remedy: str = ""
    """How to mend it; empty where nothing is wrong."""
    cause: str = ""
    """What usually causes it; empty where nothing is wrong."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"got status {self.status!r}, expected one of {', '.join(STATUSES)}")

    def to_text(self, indent: int) -> str:
        """Return the finding as lines, the words after the name ``indent`` columns in."""
        head = f"{_LABELS[self.status]:<6}{self.name}"
        lines = [_wrap(self.sentence, indent, first=head)]
        if self.status in ("fail", "warn"):
            if self.measured:
                shown = ", ".join(f"{name} {_show(v)}" for name, v in self.measured.items())
                lines.append(_wrap(f"Measured: {shown}.", indent))
            if self.cause:
                lines.append(_wrap(f"Usual cause: {self.cause}", indent))
            if self.remedy:
                lines.append(_wrap(f"Remedy: {self.remedy}", indent))
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """All findings about one method."""

    method: str
    about: Mapping[str, JSON]
    """What was tested and on what: class, checkpoint, options, material, seconds."""
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed, in order."""
        return [finding.name for finding in self.findings if finding.status == "fail"]

    @property
    def warned(self) -> list[str]:
        """Names of the checks that warn, in order."""
        return [finding.name for finding in self.findings if finding.status == "warn"]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    def __getitem__(self, name: str) -> Finding:
        """Return the finding of the check called ``name``.

        Raises
        ------
        KeyError
            If there is no such check.
        """
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(f"no check is called {name!r}: {[f.name for f in self.findings]}")

    def to_text(self) -> str:
        """Return the report in words, wrapped for a terminal."""
        indent = 8 + max(len(finding.name) for finding in self.findings)
        counts = Counter(finding.status for finding in self.findings)
        total = ", ".join(f"{counts[s]} {_COUNTED[s]}" for s in STATUSES if counts[s])
        if not self.ok:
            verdict = f"{self.method} does not pass: mend {', '.join(self.failed)}, in this order."
        elif self.about.get("checks", "all") == "all":
            verdict = f"{self.method} keeps the contract of a method."
        else:
            verdict = f"{self.method} passes these checks."
        return "\n".join(
            [
                _wrap(f"Self-test of {self.method} on {self.about.get('material', 'clips')}", 0),
                "",
                *(finding.to_text(indent) for finding in self.findings),
                "",
                f"{total}, in {self.about.get('seconds', 0):.0f} s. {verdict}",
            ]
        )

    def to_json(self) -> dict[str, JSON]:
        """Return the report as a JSON object."""
        return {
            "format": "avbench-selftest-1",
            "method": self.method,
            "ok": self.ok,
            "failed": self.failed,
            "warned": self.warned,
            "about": _plain(dict(self.about)),
            "findings": [_plain(asdict(finding)) for finding in self.findings],
        }


def _plain(value: JSON) -> JSON:
    """Return what JSON can hold: numbers that are none by name, NumPy's as Python's."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _wrap(text: str, indent: int, first: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{first:<{indent}}",
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _show(value: JSON) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_show, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_show(v)}" for k, v in value.items()) + "}"
    return str(value)
