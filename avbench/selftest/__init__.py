"""A conformance suite: whether a method keeps the contract that the benchmark relies on.

Each check is a function that returns a `Finding`: what is right or wrong, what was measured, what
usually causes it and how to mend it. `run` runs them all and returns a `Report`.

A method that may see more than faces declares ``any_sync = True``; one that is shown the truth
declares ``sees_truth = True``; one that decodes files itself offers ``decode(path)``, which returns
RGB pictures of shape (T, H, W, 3).
"""

from avbench.selftest.report import Finding, Report, Status
from avbench.selftest.runner import run

__all__ = ["Finding", "Report", "Status", "run"]
