"""The ``ampproxy`` command: one module per verb, imported only when that verb is asked for.

A verb is a row of :data:`VERBS` and a module of that name in this package, with a
:class:`click.Command` called ``command``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

from ampproxy import __version__

#: The verbs, in the order in which help lists them. One whose module is not there does not appear.
VERBS: dict[str, str] = {
    "setup": "Point Amp's clients on this machine at the gateway, or revert that.",
    "key": "Create, list, change, rotate and revoke client keys.",
    "neo": "Let Amp's cloud call your accounts, for Amp's present generation (experimental).",
    "doctor": "Diagnose the path from Amp's clients to the models.",
    "check": "Validate a configuration file.",
    "schema": "Print the JSON Schema of the configuration file, for editors.",
    "explain": "Explain how a request for a model would be routed.",
    "models": "List the models that clients see, and the accounts that serve them.",
    "accounts": "List the accounts and their state: which are cooling down, why, and until when.",
    "credits": "List Amp-credit limits and today's use.",
    "usage": "Show token usage and cost by model, account, client, thread, role, day or route.",
    "reload": "Reload the running service's configuration and print what changed.",
    "restart": "Restart the running service without dropping connections.",
    "login": "Log in with a subscription at Anthropic, OpenAI or Google.",
    "logout": "Remove a login.",
    "demo": "Serve mock models, to try clients without any account.",
    "translate": "Translate a request or an answer from one dialect to another.",
}


def _module(verb: str) -> str:
    return f"{__name__}.{verb}"


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is used, and for help none at all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs whose modules are there."""
        return [verb for verb in VERBS if find_spec(_module(verb)) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command; ``None`` if there is no such verb."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(_module(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb]) for verb in self.list_commands(ctx)])


@click.group(cls=Verbs)
@click.version_option(__version__, prog_name="ampproxy")
def main() -> None:
    """Run the Amp coding agent on the model accounts you already have.

    The service itself is started by twistd: twistd -n ampproxy --help
    """
