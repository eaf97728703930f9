"""``avbench pages``: a built set as pages that open from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from avbench.pages.write import Films


@click.command("pages")
@click.argument("shards", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write: new, empty, or earlier pages.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="ID",
    help="Write the page of this source video only; repeat for more. Its id is what the keys of "
    "its clips begin with.",
)
@click.option(
    "--clips",
    "films",
    type=click.Choice(["auto", "embed", "beside"]),
    default="auto",
    show_default=True,
    help="Where clips play from: inside each page, which then works alone, or files beside it, "
    "which keeps the pages of long programmes small; auto: inside, up to 64 MiB a page.",
)
@click.option(
    "--curves",
    is_flag=True,
    help="Measure and draw the distance of picture and sound at every offset, of each clip as it "
    "is stored (slow: every clip goes through SyncNet).",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="With --curves: a SyncNet from 'avbench train'; the shipped one where not given.",
)
def command(
    shards: Path,
    out: Path,
    sources: tuple[str, ...],
    films: Films,
    curves: bool,
    checkpoint: Path | None,
) -> None:
    r"""Write one page per source video of a set, and an index with the yield.

    A page shows shots and tracks over time, what was kept and what was rejected and why, and
    every kept clip: stills, player with sound, measured sync. All of it comes from the set, its
    ledger and the receipts below SHARDS/work; the source videos are not needed. What is no
    longer known is named. Open index.html in a browser; nothing is loaded from elsewhere.

    \b
    Examples:
      avbench pages shards --out pages
      avbench pages shards --out pages --source my-video --curves
      avbench pages shards --out pages --clips beside
    """
    from avbench.errors import UsageError
    from avbench.pages import write_pages
    from avbench.pages.clips import measure_with

    if checkpoint is not None and not curves:
        raise UsageError("--checkpoint is for --curves; give both or neither")
    measure = measure_with(None if checkpoint is None else str(checkpoint)) if curves else None
    written = write_pages(shards, out, sources=sources, films=films, measure=measure)
    click.echo(f"{out / 'index.html'} ({len(written)} files)")
