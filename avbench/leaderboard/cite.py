"""BibTeX of the sources that rows come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from avbench.leaderboard.reported import load
from avbench.leaderboard.rows import MEASURED, Row


def bibtex(folder: Path, rows: Iterable[Row]) -> str:
    """Return the BibTeX entries of the sources of rows.

    Parameters
    ----------
    folder
        The leaderboards folder that the rows were read from.
    rows
        Of which the reported ones have a source to cite.

    Returns
    -------
    str
        One entry for each source, in the order of the files; where a source has none, a comment
        that gives its citation and address.

    Raises
    ------
    DataError
        If a file of reported rows is damaged.
    """
    wanted = {row.source for row in rows if row.kind not in (MEASURED, "chance")}
    entries: dict[str, None] = {}
    for path in sorted((folder / "reported").glob("*.json")):
        content, _ = load(path)
        if content["source"] in wanted:
            cited = content.get("bibtex")
            address = f" {content['url']}" if "url" in content else ""
            entry = "\n".join(cited) if cited else f"% {content['citation']}{address}"
            entries[f"{entry}\n"] = None
    return "\n".join(entries)
