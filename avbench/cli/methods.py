"""``avbench methods``: list what is installed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avbench.errors import AvbenchError

if TYPE_CHECKING:
    from avbench.methods import Method


@click.command("methods")
@click.option("--bibtex", is_flag=True, help="Print the entries to cite instead.")
def command(bibtex: bool) -> None:
    r"""List the installed methods, and whether each is ready to predict.

    A method comes from any installed package that offers one, see CONTRIBUTING.md.

    \b
    Examples:
      avbench methods
      avbench methods --bibtex > methods.bib
    """
    from avbench import methods

    found: dict[str, type[Method]] = {}
    for name in methods.available():
        try:
            found[name] = methods.load_class(name)
        except (AvbenchError, ImportError) as error:
            click.echo(f"{name} cannot be imported: {error}", err=True)
    if bibtex:
        entries = dict.fromkeys(cls.BIBTEX.strip() for cls in found.values())
        click.echo("\n\n".join(filter(None, entries)))
        return
    width = max(map(len, found), default=0)
    for name, cls in found.items():
        click.echo(f"{name:<{width}}  {_first_line(cls)}")
        click.echo(f"{'':<{width}}  {_state(name, cls)}")


def _first_line(cls: type[Method]) -> str:
    return (inspect.getdoc(cls) or "no description").partition("\n")[0]


def _state(name: str, cls: type[Method]) -> str:
    """Say whether the method can predict as it is installed, by loading it."""
    import avbench
    from avbench import methods

    try:
        method = methods.load(name)
    except AvbenchError as error:
        return f"not ready: {error}"
    if (Path(avbench.__file__).parent / "checkpoints" / f"{name}.safetensors").is_file():
        return "ready, with the shipped checkpoint"
    if hasattr(method, "extractor"):
        return "ready, with the shipped embeddings of another method"
    return "ready, nothing to train"
