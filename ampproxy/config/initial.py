"""The text of a first configuration: what was found on a machine, written as a user would write it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from ampproxy.config.edit import CannotEdit, additions, at, load, means, with_keys
from ampproxy.config.entries import add_entry
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.model.base import Value

#: What may go to Amp for credits, and whether Amp itself is reached at all.
AmpUse = Literal["never", "allow", "off"]

#: Variables of the environment that hold keys, by the section of the vendor.
VARIABLES: dict[str, tuple[str, ...]] = {
    "claude-api-key": ("ANTHROPIC_API_KEY",),
    "codex-api-key": ("OPENAI_API_KEY",),
    "gemini-api-key": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
#: Those of servers that speak OpenAI's dialect: name and address.
COMPATIBLE: dict[str, tuple[str, str]] = {
    "OPENROUTER_API_KEY": ("openrouter", "https://openrouter.ai/api/v1"),
    "XAI_API_KEY": ("xai", "https://api.x.ai/v1"),
    "DEEPSEEK_API_KEY": ("deepseek", "https://api.deepseek.com/v1"),
    "GROQ_API_KEY": ("groq", "https://api.groq.com/openai/v1"),
    "MISTRAL_API_KEY": ("mistral", "https://api.mistral.ai/v1"),
    "CEREBRAS_API_KEY": ("cerebras", "https://api.cerebras.ai/v1"),
}
#: What serves for the others' models, the best first: kind, its names as Amp asks for them, and a model.
_STAND_INS = (
    ("claude", "^claude-", "claude-sonnet-4-6"),
    ("codex", "^gpt-", "gpt-5.4"),
    ("gemini", "^gemini-(?!.*image)", "gemini-3.1-pro-preview"),
)
#: In the names of models that make vectors, sort texts or write down speech: none of these answers Amp.
_NO_CHAT = ("embed", "rerank", "bge-", "minilm", "whisper")
_LISTENS = """\
# Where it listens: this machine alone.
host: 127.0.0.1
port: 8317"""
_AMP = """
# Amp itself: threads, settings, sign-in. fallback decides which models may be asked of Amp, where each
# request costs credits: never, allow, or rules (docs/credits.md).
ampcode:
  upstream-url: https://ampcode.com
  fallback: {fallback}
"""


class Server(Value, frozen=True):
    """A server of models on this machine.

    :param url: the base URL of its OpenAI-compatible API.
    :param models: what it lists.
    """

    name: str
    url: str
    models: tuple[str, ...] = ()


class Found(Value, frozen=True):
    """What was found on a machine.

    :param keys: section -> how its key is written: ``${NAME}``, or the key itself.
    :param compatible: the same for servers elsewhere that speak OpenAI's dialect: name, address, key.
    :param servers: those on this machine.
    :param logins: kinds of which there is a login in ``auth-dir`` already.
    :param other: the text of another gateway's configuration that this one reads; empty: none.
    """

    keys: dict[str, str] = msgspec.field(default_factory=dict)
    compatible: tuple[tuple[str, str, str], ...] = ()
    servers: tuple[Server, ...] = ()
    logins: tuple[str, ...] = ()
    other: str = ""


def configuration(
    found: Found, key_hash: str, amp: AmpUse, read: Callable[[str], Config], header: str
) -> tuple[str, tuple[str, ...]]:
    """The text of the file, and what of it has no place in the other gateway's.

    :param key_hash: of the owner's client key.
    :param read: gives what a text means; raises ``ConfigError`` where it is wrong.
    :param header: a comment, a line.
    :raises ConfigError: the other gateway's text is wrong.
    """
    text = f"# {header}\n{found.other.rstrip() or _LISTENS}\n"
    left = []
    for name, path, item in _items(found, grouped=_is_grouped(text)):
        added = _with_item(text, path, item, read) if found.other else f"{text}{_spaced(text, path, item)}"
        left += [] if added else [name]
        text = added or text
    kinds = {account.kind for account in read(text).accounts} | set(found.logins)
    section = _amp(found, kinds, amp)
    if "ampcode" not in load(text):
        text = f"{text.rstrip()}\n{section}"
    return add_entry(text, {"name": "owner", "key-hash": f"sha256:{key_hash}"}), tuple(left)


def _is_grouped(text: str) -> bool:
    """Whether a file has the layout of CLIProxyAPI 8, whose accounts stand below ``api-keys`` by vendor."""
    found = load(text)
    return isinstance(found.get("api-keys"), dict) or "config-version" in found


def _items(found: Found, *, grouped: bool) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """What is added: its name for people, the path of its list, and the entry as YAML in one line.

    What stands in the other gateway's file already is not added once more.
    """
    for section, key in found.keys.items():
        family = section.partition("-")[0]
        yield (
            (key, ("api-keys", family), f"{{name: environment, keys: [{{api-key: {_quoted(key)}}}]}}")
            if grouped
            else (key, (section,), f"{{api-key: {_quoted(key)}}}")
        )
    path = ("api-keys", "openai-compatibility") if grouped else ("openai-compatibility",)
    for name, url, key in found.compatible:
        keys = f"{'keys' if grouped else 'api-key-entries'}: [{{api-key: {_quoted(key)}}}]"
        if url not in found.other:
            yield name, path, f"{{name: {name}, base-url: {_quoted(url)}, {keys}}}"
    for server in found.servers:
        if urlsplit(server.url).netloc not in found.other:
            keys = ", keys: []" if grouped else ""
            yield server.name, path, f"{{name: {server.name}, base-url: {_quoted(server.url)}{keys}}}"


def _spaced(text: str, path: tuple[str, ...], item: str) -> str:
    """An entry of a new file: below its section, which begins with a blank line."""
    section = f"{path[0]}:\n"
    return f"  - {item}\n" if f"\n{section}" in text else f"\n{section}  - {item}\n"


def _with_item(text: str, path: tuple[str, ...], item: str, read: Callable[[str], Config]) -> str:
    """The text with one more entry in a list; empty: there is no place for it, or it would mean nothing."""
    before, value = load(text), yaml.safe_load(item)
    known = len(read(text).warnings)
    try:
        wanted = with_keys(before, path, [value, *(at(before, path) or [])])
        appended = with_keys(before, path, [*(at(before, path) or []), value])
    except (CannotEdit, TypeError):
        return ""
    for changed in additions(text, path, item):
        if not means(changed, wanted, path) and not means(changed, appended, path):
            continue
        try:
            if len(read(changed).warnings) <= known:
                return changed
        except ConfigError:
            continue
    return ""


def _amp(found: Found, kinds: Collection[str], amp: AmpUse) -> str:
    """Amp, and what serves what Amp asks for and no account here has."""
    rows = list(_mappings(found, kinds))
    if amp == "off":
        text = "\nampcode:\n" if rows else ""
    else:
        text = _AMP.format(fallback=amp)
    if rows:
        text += "  model-mappings:   # what Amp asks for and no account here has -> what serves it\n"
        text += "".join(f"    - {row}\n" for row in rows)
    return text


def _mappings(found: Found, kinds: Collection[str]) -> Iterator[str]:
    there = [row for row in _STAND_INS if row[0] in kinds]
    listed = (model for server in found.servers for model in server.models)
    local = next((model for model in listed if not any(word in model.lower() for word in _NO_CHAT)), "")
    model = there[0][2] if there else local
    for kind, pattern, _ in _STAND_INS:
        if model and kind not in kinds:
            yield f"{{from: {_quoted(pattern)}, to: {_quoted(model)}, regex: true}}"
    if "gemini" in kinds:
        yield "{role: painter, to: gemini-3-pro-image}"


def _quoted(text: str) -> str:
    """A text as YAML: in JSON's quotes, which YAML reads."""
    return json.dumps(text)
