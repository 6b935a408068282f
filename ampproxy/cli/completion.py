"""``ampproxy completion``: what has a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

#: Where each shell looks for it.
_PLACES = {
    "bash": "ampproxy completion bash > ~/.local/share/bash-completion/completions/ampproxy",
    "zsh": "ampproxy completion zsh > ~/.zfunc/_ampproxy     (with fpath+=(~/.zfunc) before compinit)",
    "fish": "ampproxy completion fish > ~/.config/fish/completions/ampproxy.fish",
}


@click.command(
    "completion",
    help="Print what has SHELL complete verbs and options.\n\n\b\n" + "\n".join(_PLACES.values()),
)
@click.argument("shell", type=click.Choice(list(_PLACES)))
def command(shell: str) -> None:
    """Print the script."""
    from ampproxy.cli import main

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "ampproxy", "_AMPPROXY_COMPLETE").source())
