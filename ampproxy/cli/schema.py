"""``ampproxy schema``: the configuration as a JSON Schema, for editors."""

from __future__ import annotations

import json

import click

from ampproxy.config.json_schema import schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the configuration file, for editors and other tools.

    Editors with a YAML language server complete and explain each setting once the file's first line names it:
    "# yaml-language-server: $schema=ampproxy.schema.json".
    """
    click.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
