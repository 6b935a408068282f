"""CLIProxyAPI 8's layout of the file, read as 7.1's: one table says where each setting stood before.

Both may stand in one file. A value at its new place wins by being there, also where it is false, empty or
null; one at its old place is then ignored, with a warning. Every node keeps the key under which the user
wrote it, so that complaints name that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from msgspec.structs import replace

from ampproxy.config.document import KINDS, Entry, Node, Scalar, Sequence, below, is_null
from ampproxy.config.document import YamlMapping as Tree
from ampproxy.config.parsing import ParseContext, suggest
from ampproxy.config.sections import ROOT

#: The number of this layout, as ``config-version`` has it.
VERSION = "8"

#: The sections of the new layout, with those of their keys that stood at the top level before.
_SECTIONS: Mapping[str, str] = {
    "server": "host port tls trusted-proxies commercial-mode discovery",
    "access": "api-keys",
    "routing": "force-model-prefix",
    "routing.retry": "request-retry max-retry-credentials max-retry-interval",
    "routing.cooldown": "disable-cooling save-cooldown-status transient-error-cooldown-seconds",
    "requests": "proxy-url passthrough-headers nonstream-keepalive-interval streaming payload",
    "oauth": "auth-dir auth-auto-refresh-workers",
    "oauth.providers.aistudio": "ws-auth",
    "oauth.providers": "codex claude antigravity xai devin",
    "upstream": "codex claude xai",
    "multimedia": "disable-image-generation gpt-image-2-base-model video-result-auth-cache-ttl",
    "observability.logs": "debug logging-to-file logs-max-total-size-mb request-log error-logs-max-files",
    "observability.usage": "usage-statistics-enabled redis-usage-queue-retention-seconds",
    "observability": "accounting-outbox pprof",
}
#: New place -> old place, which always is a key of the top level.
PLACES: Mapping[str, str] = {
    **{f"{section}.{key}": key for section, keys in _SECTIONS.items() for key in keys.split()},
    "management": "remote-management",
    "credentials.concurrency": "credential-concurrency",
    "credentials.in-flight": "credential-in-flight",
    "oauth.model-alias": "oauth-model-alias",
    "oauth.excluded-models": "oauth-excluded-models",
    "oauth.request-scoped-errors": "oauth-request-scoped-errors",
    "oauth.settings": "oauth-settings",
    "client": "client",
}

#: The families of accounts below ``api-keys`` -> the lists that they were.
FAMILIES: Mapping[str, str] = {
    **{
        name: f"{name}-api-key"
        for name in ("gemini", "interactions", "vertex", "codex", "claude", "xai", "meta")
    },
    "openai-compatibility": "openai-compatibility",
}

#: What the keys of a group share. Anything else beside ``name``, ``base-url`` and ``keys`` is an error there.
SHARED = (
    "priority",
    "prefix",
    "proxy-url",
    "headers",
    "models",
    "excluded-models",
    "disable-cooling",
    "learning",
    "answers-without-end",
    "request-retry",
    "request-scoped-errors",
)

#: The database index that CLIProxyAPI's panel leaves in its files.
_INDEX = ("auth-index", "auth_index")
#: Settings whose members move one by one: what only the old section says stays in force.
_BY_MEMBER = ("tls", "streaming", "payload")
#: Sections of the new layout that are sections of ours, too: what is left in them is read as ever.
_BOTH = ("routing", "oauth")


def in_old_layout(root: Tree, reading: ParseContext) -> Tree:
    """The file with every setting where 7.1 had it.

    :param reading: gets an error for what cannot be read so, and a warning for each value that another hides
        and each unknown key of the new sections.
    """
    root = _without_version(root, reading)
    root = _with_families(root, reading)
    for new, old in PLACES.items():
        root, found = _taken(root, new.split("."), new, reading)
        if found is not None:
            root = _placed(root, old, found, reading)
    return _without_rest(root, reading)


def _without_version(root: Tree, reading: ParseContext) -> Tree:
    entry = root.get("config-version")
    if entry is None:
        return root
    node = entry.node
    if not (isinstance(node, Scalar) and node.type == "int" and node.text == VERSION):
        reading.complain(entry.line, "config-version", f"expected the number {VERSION}, or leave it out")
    return _without(root, entry)


def _without(tree: Tree, entry: Entry) -> Tree:
    return Tree(tree.line, tuple(other for other in tree if other is not entry))


def _taken(tree: Tree, parts: list[str], shown: str, reading: ParseContext) -> tuple[Tree, Entry | None]:
    """The tree without the entry at a path, and that entry under its whole key."""
    entry = tree.get(parts[0])
    if entry is None:
        return tree, None
    if len(parts) == 1:
        return _without(tree, entry), replace(entry, shown=shown)
    if not isinstance(entry.node, Tree):
        return tree, None
    inner, found = _taken(entry.node, parts[1:], shown, reading)
    if found is None:
        return tree, None
    kept = replace(entry, node=inner)
    return Tree(tree.line, tuple(kept if other is entry else other for other in tree)), found


def _placed(root: Tree, old: str, found: Entry, reading: ParseContext) -> Tree:
    """The tree with an entry of the new layout at its old place."""
    if old not in ROOT.names:
        reading.warn(found.line, found.shown, ROOT.without_effect(old))
        return root
    before = root.get(old)
    if before is not None and old in _BY_MEMBER:
        found, before = _merged(found, before, reading), None
    if before is not None:
        reading.warn(before.line, old, f"is ignored, because {found.shown} is set: remove it")
    kept = (other for other in root if other.key != old)
    return Tree(root.line, (*kept, replace(found, key=old)))


def _merged(new: Entry, old: Entry, reading: ParseContext) -> Entry:
    """The entry with what only its old place says, member by member."""
    if not isinstance(old.node, Tree):
        reading.warn(old.line, old.key, f"is ignored, because {new.shown} is set: remove it")
        return new
    if not isinstance(new.node, Tree):
        return replace(old, shown=old.key) if is_null(new.node) else new
    mine = {entry.key: entry for entry in new.node}
    kept = []
    for entry in old.node:
        shown = below(old.key, entry.key)
        if entry.key in mine:
            here = below(new.shown, entry.key)
            reading.warn(entry.line, shown, f"is ignored, because {here} is set: remove it")
        else:
            kept.append(replace(entry, shown=shown))
    return replace(new, node=Tree(new.node.line, (*new.node, *kept)))


def _without_rest(root: Tree, reading: ParseContext) -> Tree:
    """Complain of what is left in sections of the new layout, and take it out."""
    for section in dict.fromkeys(new.partition(".")[0] for new in PLACES):
        entry = root.get(section)
        if entry is None:
            continue
        if section in _BOTH:
            root = _without_inner_rest(root, entry, reading)
            continue
        root = _without(root, entry)
        _warn_unknown(entry.node, section, entry.line, reading)
    return root


def _without_inner_rest(root: Tree, entry: Entry, reading: ParseContext) -> Tree:
    """The same within a section that stays."""
    if not isinstance(entry.node, Tree):
        return root
    inner = entry.node
    for name in _groups(entry.key):
        found = inner.get(name)
        if found is not None:
            _warn_unknown(found.node, f"{entry.key}.{name}", found.line, reading)
            inner = _without(inner, found)
    return Tree(root.line, tuple(replace(e, node=inner) if e is entry else e for e in root))


def _groups(section: str) -> list[str]:
    """The new layout's sections within one: ``retry`` and ``cooldown`` of ``routing``."""
    paths = [new.split(".") for new in PLACES if new.startswith(f"{section}.")]
    return list(dict.fromkeys(path[1] for path in paths if len(path) > 2))


def _warn_unknown(node: Node, path: str, line: int, reading: ParseContext) -> None:
    if is_null(node):
        return
    if not isinstance(node, Tree):
        reading.complain(line, path, f"expected keys and values, found {KINDS[type(node)]}")
        return
    known = [new[len(path) + 1 :] for new in PLACES if new.startswith(f"{path}.")]
    inner = {name.partition(".")[0] for name in known if "." in name}
    for entry in node:
        if entry.key in inner:
            _warn_unknown(entry.node, f"{path}.{entry.key}", entry.line, reading)
            continue
        words = partial(_unknown, entry.key, [name for name in known if "." not in name])
        reading.warn(entry.line, below(path, entry.key), words)


def _unknown(key: str, known: list[str]) -> str:
    return f"is not a known setting and has no effect{suggest(key, known)}"


def _with_families(root: Tree, reading: ParseContext) -> Tree:
    """The groups of keys below ``api-keys`` as the lists that they were; a list of client keys stays."""
    keys = root.get("api-keys")
    if keys is None or not isinstance(keys.node, Tree):
        return root
    root = _without(root, keys)
    for entry in keys.node:
        old, shown = FAMILIES.get(entry.key), below("api-keys", entry.key)
        if old is None:
            reading.warn(entry.line, shown, partial(_unknown, entry.key, list(FAMILIES)))
            continue
        node = _accounts(entry, shown, reading) if old in ROOT.names else entry.node
        if node is not None:
            root = _placed(root, old, Entry(old, entry.line, node, shown=shown), reading)
    return root


def _accounts(family: Entry, shown: str, reading: ParseContext) -> Node | None:
    """The groups of a family as a list of accounts; ``None``: something is wrong and was reported."""
    if is_null(family.node):
        return Sequence(family.line, ())
    if not isinstance(family.node, Sequence):
        reading.complain(
            family.line, shown, f"expected a list of groups of keys, found {KINDS[type(family.node)]}"
        )
        return None
    expand = _server if family.key == "openai-compatibility" else _keyed
    items: list[tuple[Node, str]] = []
    for index, group in enumerate(family.node.items):
        at = f"{shown}[{index}]"
        keys = _keys_of(group, at, reading)
        if keys is not None and isinstance(group, Tree):
            items.extend(expand(group, keys, at, reading))
    return Sequence(family.node.line, tuple(node for node, _ in items), tuple(name for _, name in items))


def _keys_of(group: Node, at: str, reading: ParseContext) -> Entry | None:
    """The ``keys`` of a group, each of them a mapping."""
    if not isinstance(group, Tree):
        reading.complain(group.line, at, f"expected a group of keys, found {KINDS[type(group)]}")
        return None
    keys = group.get("keys")
    if keys is None:
        reading.complain(group.line, f"{at}.keys", "is missing, expected a list of keys, each with api-key")
        return None
    if not isinstance(keys.node, Sequence):
        reading.complain(keys.line, f"{at}.keys", f"expected a list of keys, found {KINDS[type(keys.node)]}")
        return None
    wrong = [(i, node) for i, node in enumerate(keys.node.items) if not isinstance(node, Tree)]
    for index, node in wrong:
        reading.complain(
            node.line, f"{at}.keys[{index}]", f"expected a key with api-key, found {KINDS[type(node)]}"
        )
    return None if wrong else keys


def _keyed(group: Tree, keys: Entry, at: str, reading: ParseContext) -> Iterator[tuple[Node, str]]:
    """One account a key; what the group says holds where the key says nothing."""
    for entry in group:
        if entry.key not in ("name", "base-url", "keys", *SHARED):
            reading.complain(
                entry.line,
                below(at, entry.key),
                "is not allowed for a group of keys: write it with each key",
            )
    common = [
        replace(entry, shown=below(at, entry.key)) for entry in group if entry.key in ("base-url", *SHARED)
    ]
    assert isinstance(keys.node, Sequence)
    for index, node in enumerate(keys.node.items):
        assert isinstance(node, Tree)
        shown = f"{at}.keys[{index}]"
        misplaced = node.get("base-url")
        if misplaced is not None:
            reading.complain(misplaced.line, f"{shown}.base-url", "belongs to the group: write it there")
        own = [entry for entry in node if entry.key not in ("base-url", *_INDEX) and not is_null(entry.node)]
        named = {entry.key for entry in own}
        yield Tree(node.line, (*(entry for entry in common if entry.key not in named), *own)), shown


def _server(group: Tree, keys: Entry, at: str, reading: ParseContext) -> Iterator[tuple[Node, str]]:
    """One entry a group: ``keys`` are what ``api-key-entries`` was."""
    assert isinstance(keys.node, Sequence)
    cleaned = tuple(
        Tree(node.line, tuple(entry for entry in node if entry.key not in _INDEX))
        for node in keys.node.items
        if isinstance(node, Tree)
    )
    moved = Entry("api-key-entries", keys.line, Sequence(keys.node.line, cleaned), shown=f"{at}.keys")
    kept = (entry for entry in group if entry.key not in ("keys", "api-key-entries", *_INDEX))
    double = group.get("api-key-entries")
    if double is not None:
        reading.warn(double.line, f"{at}.api-key-entries", f"is ignored, because {at}.keys is set: remove it")
    yield Tree(group.line, (*kept, moved)), at
