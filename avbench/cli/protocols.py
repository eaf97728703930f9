"""``avbench protocols``: list the rules under which numbers may be compared."""

from __future__ import annotations

import textwrap

import click


@click.command("protocols")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    r"""List the protocols, or every rule of one.

    Numbers of different protocols, or of different versions of one, are never ranked together. The
    number at the end of a name is the search range; another makes another protocol.

    \b
    Examples:
      avbench protocols
      avbench protocols pm-window-15
      avbench protocols kim-strict-15
    """
    from avbench import protocols

    if name:
        for rule, value in protocols.get(name).describe().items():
            click.echo(f"{rule:<17} {value}")
        return
    for found in map(protocols.get, protocols.available()):
        state = "" if found.measured else "  (reported numbers only)"
        click.echo(f"{found.name} v{found.version}{state}")
        click.echo(textwrap.indent(textwrap.fill(found.source, 92), "    "))
