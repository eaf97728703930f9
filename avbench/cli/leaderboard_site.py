"""``avbench leaderboard site``: the leaderboard as static pages."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("site")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write: new, empty, or an earlier site.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Leaderboards folder.  [default: leaderboards/ of the checkout]",
)
def site(out: Path, folder: Path | None) -> None:
    r"""Write the leaderboard as pages that open without a server.

    Open index.html in a browser, or put the folder on any web host. Nothing in it loads anything
    from elsewhere, and the same numbers give the same bytes.

    \b
    Examples:
      avbench leaderboard site --out site
      avbench leaderboard site --folder leaderboards --out public/leaderboard
    """
    from avbench.leaderboard import checkout_folder
    from avbench.leaderboard.site import write_site

    written = write_site(folder or checkout_folder(), out)
    click.echo(f"{out / 'index.html'} ({len(written)} files)")
