"""What differs between two configurations, setting by setting, for people. Shows no secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs

from ampproxy.config.accounts import ACCOUNT_SETTINGS
from ampproxy.config.parsing import Section, Setting
from ampproxy.config.schema import (
    ALLOW,
    Account,
    Config,
    FallbackRule,
    ModelAlias,
    ModelMapping,
    ModelName,
    OAuth,
    Tls,
)
from ampproxy.config.sections import ROOT
from ampproxy.model.clients import ClientKey
from ampproxy.model.neo import Neo
from ampproxy.wire.redact import Secret

_NOTHING = "none"
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_TIMES = ((86400, "d"), (3600, "h"), (60, "m"))
#: What is said at the top and kept with the vendor that it is about -> how the vendor's section names it.
_OF_LOGINS = {"aliases": "aliases", "exclusions": "excluded_models"}
#: What of an account is told as it was and as it is; of all else only that it changed.
_SHOWN = ("priority", "prefix", "base_url", "disable_cooling", "weight")
#: Settings whose changes take effect at the next restart.
_AFTER_RESTART = ("state_dir", "workers")


def changes(old: Config, new: Config) -> tuple[str, ...]:
    """One line for each setting that is another one now: ``timeouts.connect: 10s -> 5s``.

    Secrets are only said to have changed. Accounts are told by label, mappings by line.
    """
    skipped = {row.name for row in ACCOUNT_SETTINGS}
    rows = Section(ROOT.build, tuple(row for row in ROOT.rows if row.name not in skipped))
    return (*_section(rows, "", old, new), *_accounts(old.accounts, new.accounts))


def in_truth(change: str, given: str) -> str:
    """A change as people are told of it: where ``given`` sets where to listen, a change of that has no
    effect.

    :param given: ``--listen`` or ``systemd``; empty: the configuration sets it.
    """
    setting = change.partition(":")[0]
    without = setting in ("host", "port") or (given == "--listen" and setting.partition(".")[0] == "tls")
    return f"{change} (without effect: {given} sets where to listen)" if given and without else change


def _section(section: Section, path: str, old: Any, new: Any) -> Iterator[str]:
    for row in section.rows:
        name = f"{path}.{row.name}" if path else new.spelled(row.name)
        if row.field in _OF_LOGINS:
            yield from _of_logins(name, _OF_LOGINS[row.field], old.oauth, new.oauth)
            continue
        before, after = _field(old, row), _field(new, row)
        if before == after or (row.field == "fallback" and _rules(before) == _rules(after)):
            continue
        if row.field == "neo" and before is not None and after is not None:
            yield from _neo(row.reader, name, before, after)
        elif row.field == "state" and isinstance(row.reader, Section):
            yield from (f"{change} (after a restart)" for change in _inner(row.reader, name, before, after))
        elif isinstance(row.reader, Section):
            yield from _inner(row.reader, name, before, after)
        elif row.field == "clients":
            yield from (f"{name}: {change}" for change in _clients(before, after))
        elif row.field == "mappings":
            yield from _mappings(name, before or (), after or ())
        else:
            later = " (after a restart)" if row.field in _AFTER_RESTART else ""
            yield f"{name}: {_difference(row, before, after)}{later}"


def _inner(section: Section, name: str, before: Any, after: Any) -> Iterator[str]:
    """What changed within a section. One whose value is not made of fields is told by its own rows."""
    if before is None or after is None:
        yield f"{name}: {'switched on' if before is None else 'switched off'}"
    if _has_fields(before) or _has_fields(after):
        yield from _section(section, name, before, after)
        yield from _pems(name, before, after)
    else:
        for row in section.rows:
            yield f"{name}.{row.name}: {_difference(row, before, after)}"


def _has_fields(value: Any) -> bool:
    """Whether a value is made of fields: what a section of the file becomes."""
    return isinstance(value, Struct)


def _of_logins(name: str, field: str, old: OAuth, new: OAuth) -> Iterator[str]:
    """What is said of the models of all logins at a vendor."""
    for vendor in OAuth.__struct_fields__:
        before, after = (getattr(getattr(oauth, vendor), field) for oauth in (old, new))
        if before != after:
            yield f"{name}.{vendor}: {_listed(before)} -> {_listed(after)}"


def _listed(items: Iterable[str | ModelAlias]) -> str:
    texts = (item if isinstance(item, str) else _alias(item) for item in items)
    return ", ".join(texts) or _NOTHING


def _alias(alias: ModelAlias) -> str:
    return f"{alias.name} as {alias.alias}" + (" (fork)" if alias.fork else "")


def _field(value: Any, row: Setting) -> Any:
    return getattr(value, row.field, None)


def _pems(name: str, before: Any, after: Any) -> Iterator[str]:
    if not (isinstance(before, Tls) and isinstance(after, Tls)):
        return
    if (before.cert, before.key) == (after.cert, after.key):
        yield f"{name}: the certificate files have changed"


def _difference(row: Setting, before: Any, after: Any) -> str:
    if isinstance(before, Secret) or isinstance(after, Secret):
        return _of_secret(before, after)
    if _is_secrets(before) or _is_secrets(after):
        return _of_secrets(before or (), after or ())
    texts = _text(row.reader.type, before), _text(row.reader.type, after)
    if row.field == "fallback":
        texts = _fallback(before), _fallback(after)
    if None in texts or texts[0] == texts[1]:
        return "changed"
    return f"{texts[0]} -> {texts[1]}"


def _of_secret(before: Any, after: Any) -> str:
    if not before:
        return "set"
    return "changed" if after else "removed"


def _is_secrets(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, Secret) for item in value)


def _of_secrets(before: Iterable[Secret], after: Iterable[Secret]) -> str:
    old, new = set(before), set(after)
    parts = [(len(new - old), "added"), (len(old - new), "removed")]
    return ", ".join(f"{count} {what}" for count, what in parts if count) or "changed"


def _clients(old: tuple[ClientKey, ...], new: tuple[ClientKey, ...]) -> Iterator[str]:
    """What differs between the clients' keys; those with a name are told by it."""
    before = {client.name: client for client in old if client.name}
    after = {client.name: client for client in new if client.name}
    bare = [tuple(client for client in clients if not client.name) for clients in (old, new)]
    found = [f"{name} removed" for name in before if name not in after]
    found += [f"{name} added" for name in after if name not in before]
    for name, client in before.items():
        if name in after and client != after[name]:
            found.append(f"{name}: {', '.join(_client(client, after[name]))}")
    if set(bare[0]) != set(bare[1]):
        found.append(_of_secrets(*(_secrets(clients) for clients in bare)))
    yield "; ".join(found) or "in another order"


def _neo(section: Any, name: str, before: Neo, after: Neo) -> Iterator[str]:
    yield from _section(section, name, before, after)
    if before.client != after.client:
        yield f"{name}: {', '.join(_client(before.client, after.client))}"


def _secrets(clients: Iterable[ClientKey]) -> tuple[Secret, ...]:
    return tuple(client.secret for client in clients if client.secret is not None)


def _client(old: ClientKey, new: ClientKey) -> Iterator[str]:
    """What of an entry is another one."""
    if old.hashes != new.hashes:
        yield "another key"
    for field in ("expires", "models", "accounts", "routes", "limits", "concurrent", "amp", "upstream"):
        if getattr(old, field) != getattr(new, field):
            yield f"{field} changed"


def _text(type: str, value: Any) -> str | None:
    """A value as it could stand in the file; ``None`` if it is not to be shown, or too much for a line."""
    if type == "host" and value == "":
        return "every interface"
    if value is None or value == "" or value == ():
        return _NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if type == "duration":
        return _duration(value)
    if type.startswith("size"):
        return _size(value)
    if type.startswith("URL"):
        return _url(str(value))
    if isinstance(value, tuple):
        return ", ".join(value) if all(isinstance(item, str) for item in value) else None
    return None if _has_fields(value) else str(value)


def _duration(seconds: float) -> str:
    for unit, name in _TIMES:
        if seconds and seconds % unit == 0:
            return f"{seconds // unit:.0f}{name}"
    return f"{seconds:.12g}s"


def _size(value: int) -> str:
    for unit, name in _UNITS:
        if value and value % unit == 0:
            return f"{value // unit}{name}"
    return str(value)


def _url(text: str) -> str:
    """Without what could be a credential."""
    parts = urlsplit(text)
    if not parts.netloc:
        return text
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _fallback(rules: tuple[FallbackRule, ...]) -> str:
    """``allow``, ``never``, or how many rules."""
    if rules == ALLOW:
        return "allow"
    if _rules(rules) == [FallbackRule(action="never")]:
        return "never"
    return f"{len(rules)} rule{'s' * (len(rules) != 1)}"


def _rules(rules: Iterable[FallbackRule]) -> list[FallbackRule]:
    """The same wherever they stand in the file."""
    return [structs.replace(rule, line=0) for rule in rules]


def _mappings(name: str, old: tuple[ModelMapping, ...], new: tuple[ModelMapping, ...]) -> Iterator[str]:
    """A mapping that only stands in another line now is the same one."""
    before = {_apart_from_line(mapping): mapping for mapping in old}
    after = {_apart_from_line(mapping): mapping for mapping in new}
    for key, mapping in before.items():
        if key not in after:
            yield f"{name}: removed {_mapping(mapping)} (it was in line {mapping.line})"
    for key, mapping in after.items():
        if key not in before:
            yield f"{name}: added {_mapping(mapping)} (line {mapping.line})"
    if [key for key in before if key in after] != [key for key in after if key in before]:
        yield f"{name}: in another order"


def _apart_from_line(mapping: ModelMapping) -> ModelMapping:
    return structs.replace(mapping, line=0)


def _mapping(mapping: ModelMapping) -> str:
    asked = mapping.source or "any model"
    if mapping.roles:
        asked += f" for {', '.join(mapping.roles)}"
    return f"{asked} -> {mapping.target}" + (" (regex)" if mapping.pattern is not None else "")


def _accounts(old: Iterable[Account], new: Iterable[Account]) -> Iterator[str]:
    """An account that only stands elsewhere now has another label, and no other change."""
    same = {account.label: account for account in old}
    left = {account.label for account in new if same.get(account.label) == account}
    before = {_bare(account): account for account in old if account.label not in left}
    after = {_bare(account): account for account in new if account.label not in left}
    gone = {account.label: account for key, account in before.items() if key not in after}
    come = {account.label: account for key, account in after.items() if key not in before}
    for key, account in before.items():
        now = after.get(key)
        if now is not None and now.label != account.label:
            yield f"{account.label} is {now.label} now"
    for label, account in gone.items():
        if label in come:
            yield f"{label}: {'; '.join(_account(account, come[label]))}"
        else:
            yield f"{label}: removed"
    for label in come:
        if label not in gone:
            yield f"{label}: added"


def _bare(account: Account) -> Account:
    return structs.replace(account, label="", line=0)


def _account(old: Account, new: Account) -> Iterator[str]:
    for field in Account.__struct_fields__:
        if field in ("label", "line"):
            continue
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        name = field.replace("_", "-")
        if field == "models":
            yield f"models {_models(before, after)}"
        elif field in _SHOWN:
            type = "URL" if field == "base_url" else ""
            yield f"{name} {_text(type, before)} -> {_text(type, after)}"
        else:
            yield f"{name} changed"


def _models(old: tuple[ModelName, ...], new: tuple[ModelName, ...]) -> str:
    before, after = {model.visible for model in old}, {model.visible for model in new}
    parts = [f"+{name}" for name in sorted(after - before)] + [f"-{name}" for name in sorted(before - after)]
    return " ".join(parts) or "changed"
