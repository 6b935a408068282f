"""``oauth-model-alias`` and ``oauth-excluded-models``: the models of logins, by the vendor they are at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ampproxy.config import fields
from ampproxy.config.parsing import ListOf, ParsedSection, Reads, Section, Setting
from ampproxy.config.schema import ModelAlias, OAuth

#: What CLIProxyAPI calls the kinds of login, and who serves them here.
_CHANNELS = {"claude": "claude", "codex": "codex", "gemini": "gemini", "gemini-cli": "gemini"}
_NOT_SERVED = "this kind of login is not served"
_ELSEWHERE = dict.fromkeys(("aistudio", "antigravity", "iflow", "kimi", "qwen", "vertex", "xai"), _NOT_SERVED)


_ALIAS = Section(
    lambda found: ModelAlias(**found.values),
    (
        Setting("name", fields.NAME, "The vendor's name for the model.", required=True),
        Setting("alias", fields.NAME, "The name that clients see and request.", required=True),
        Setting("fork", fields.FLAG, "Serve it under its own name, too.", "false"),
    ),
    {
        "display-name": "models are listed by their names",
        "force-mapping": "model-mappings in ampcode do this",
    },
)


def _by_vendor(found: ParsedSection) -> dict[str, tuple[Any, ...]]:
    values: dict[str, tuple[Any, ...]] = {}
    for channel, items in found.values.items():
        vendor = _CHANNELS[channel.replace("_", "-")]
        values[vendor] = (*values.get(vendor, ()), *items)
    return values


def _section(reader: Reads, doc: str) -> Section:
    rows = tuple(
        Setting(channel, reader, doc.format(vendor.capitalize())) for channel, vendor in _CHANNELS.items()
    )
    return Section(_by_vendor, rows, _ELSEWHERE)


ALIASES = _section(ListOf(_ALIAS, "a list of aliases"), "Aliases for models that logins at {} serve.")
EXCLUSIONS = _section(fields.WILDCARDS, "Models that logins at {} must not serve; `*` stands for anything.")


def with_models(
    oauth: OAuth,
    aliases: Mapping[str, tuple[ModelAlias, ...]],
    exclusions: Mapping[str, tuple[str, ...]],
) -> OAuth:
    """The section ``oauth`` with what is said elsewhere of each vendor's models."""
    for vendor in {*aliases, *exclusions}:
        client = replace(
            getattr(oauth, vendor),
            aliases=aliases.get(vendor, ()),
            excluded_models=exclusions.get(vendor, ()),
        )
        oauth = replace(oauth, **{vendor: client})
    return oauth
