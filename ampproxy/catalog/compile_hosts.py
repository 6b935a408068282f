"""``python -m ampproxy.catalog.compile_hosts``: make ``hosts.json`` of ``hosts.yaml``.

See :mod:`ampproxy.catalog.compile`, which does the same for the families of models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ampproxy.catalog.hosts import COMPILED_HOSTS, Hosts, HostTable

SOURCE_HOSTS = COMPILED_HOSTS.with_suffix(".yaml")
_OF_PROFILE = ("name", "source", "addresses")


def read_hosts(text: str) -> HostTable:
    """The table in a text.

    :raises ValueError: something in it is wrong; says what.
    """
    try:
        found = yaml.safe_load(text)
        table = msgspec.convert(
            {**found, "profiles": [_profile(row) for row in found["profiles"]]}, HostTable
        )
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise ValueError(f"not a table of hosts: {error}") from None
    Hosts(table)
    return table


def _profile(row: dict[str, Any]) -> dict[str, Any]:
    messages = {"messages": _profile(row.pop("messages"))} if "messages" in row else {}
    models = [_apart(model, ("names",)) for model in row.pop("models", ())]
    return {**_apart(row, _OF_PROFILE), "models": models, **messages}


def _apart(row: dict[str, Any], own: tuple[str, ...]) -> dict[str, Any]:
    """A row with what it says of the server apart from what is its own."""
    return {
        **{name: row[name] for name in own if name in row},
        "ways": {name: value for name, value in row.items() if name not in own},
    }


def compiled_hosts(text: str) -> bytes:
    """The compiled form of a text: JSON, a line for each profile.

    :raises ValueError: something in it is wrong.
    """
    table = read_hosts(text)
    encode = msgspec.json.encode
    return b'{"as-of":%b,"dialects":%b,"messages-dialects":%b,"profiles":[\n%b\n]}\n' % (
        encode(table.as_of),
        encode(table.dialects),
        encode(table.messages_dialects),
        b",\n".join(map(encode, table.profiles)),
    )


def main(source: Path = SOURCE_HOSTS, target: Path = COMPILED_HOSTS) -> None:
    """Write the compiled form."""
    try:
        target.write_bytes(compiled_hosts(source.read_text(encoding="utf-8")))
    except ValueError as error:
        sys.exit(f"{source.name}: {error}")


if __name__ == "__main__":
    main()
