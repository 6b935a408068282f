"""``ampproxy help``: the same as ``--help`` behind the verb."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("verbs", metavar="[VERB]...", nargs=-1)
@click.pass_context
def command(context: click.Context, verbs: tuple[str, ...]) -> None:
    """Show the help of a VERB, such as check, or models update; without one, the list of them."""
    above = context.parent
    assert above is not None
    for verb in verbs:
        group = above.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{above.command_path} has no verbs", above)
        _, found, _ = group.resolve_command(above, [verb])
        assert found is not None
        above = click.Context(found, info_name=verb, parent=above)
    click.echo(above.get_help(), color=above.color)
