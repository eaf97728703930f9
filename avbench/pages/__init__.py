"""A built set as pages that open from the disk: one per source video, and an index.

Everything on a page stands in it, style, script, pictures and (unless asked otherwise) the clips
with their sound. The same set gives the same bytes: there is no clock in it.
"""

from __future__ import annotations

from avbench.pages.write import write_pages

__all__ = ["write_pages"]
