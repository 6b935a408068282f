"""Lists as files of CLIProxyAPI's first versions have them, read as today's."""

from __future__ import annotations

from ampproxy.config.document import Entry, Node, Scalar, Sequence, YamlMapping, below, is_null
from ampproxy.config.parsing import ParseContext

_GEMINI, _OLD_GEMINI = "gemini-api-key", "generative-language-api-key"
_SERVERS = "openai-compatibility"
_ALIASES, _OLD_ALIASES = "oauth-model-alias", "oauth-model-mappings"
_ENTRIES, _OLD_ENTRIES = "api-key-entries", "api-keys"
_CLIENTS = "api-keys"
_DEPRECATED = "is deprecated: write its keys under {}, each as api-key"


def with_older_lists(root: YamlMapping, reading: ParseContext) -> YamlMapping:
    """The file with the keys of older lists where they belong now, behind those that stand there.

    :param reading: gets a warning for each such list.
    """
    root = _renamed(_with_list(_with_clients(root, reading), _OLD_GEMINI, _GEMINI, "", reading), reading)
    servers = root.get(_SERVERS)
    if servers is None or not isinstance(servers.node, Sequence):
        return root
    shown = servers.shown or servers.key
    names = servers.node.shown or tuple(f"{shown}[{at}]" for at in range(len(servers.node.items)))
    items = tuple(
        _with_list(node, _OLD_ENTRIES, _ENTRIES, name, reading) if isinstance(node, YamlMapping) else node
        for node, name in zip(servers.node.items, names, strict=True)
    )
    changed = Entry(servers.key, servers.line, Sequence(servers.node.line, items, names), servers.shown)
    return YamlMapping(root.line, tuple(changed if entry is servers else entry for entry in root))


def _with_clients(root: YamlMapping, reading: ParseContext) -> YamlMapping:
    """The file with the client keys of ``auth.providers`` at their place of today. Where another provider
    than a list of keys is to let clients in, that is left to be complained of.
    """
    auth = root.get("auth")
    found = auth.node.get("providers") if auth is not None and isinstance(auth.node, YamlMapping) else None
    if found is None or root.get(_CLIENTS) is not None:
        return root
    node = found.node
    providers = node.items if isinstance(node, Sequence) else ()
    if isinstance(node, YamlMapping):
        providers = tuple(entry.node for entry in node)
    keys = [_keys_of(provider) for provider in providers]
    if not keys or not all(keys):
        return root
    items = tuple(key for some in keys for key in some)
    reading.warn(found.line, "auth.providers", f"is deprecated: write its keys as {_CLIENTS}: [KEY, ...]")
    fresh = Entry(_CLIENTS, found.line, Sequence(found.line, items), "auth.providers")
    return YamlMapping(root.line, tuple(fresh if entry is auth else entry for entry in root))


def _keys_of(provider: Node) -> list[Node]:
    """The keys of a provider, which are bare or entries."""
    entries = list(provider) if isinstance(provider, YamlMapping) else ()
    lists = [entry.node for entry in entries if entry.key in (_OLD_ENTRIES, _ENTRIES)]
    found: list[Node] = []
    for node in (item for each in lists if isinstance(each, Sequence) for item in each.items):
        entry = node.get("api-key") if isinstance(node, YamlMapping) else None
        found.append(node if entry is None else entry.node)
    return [node for node in found if _text(node)]


def _renamed(root: YamlMapping, reading: ParseContext) -> YamlMapping:
    """The file with other names of logins' models under the name that they have today."""
    found = root.get(_OLD_ALIASES)
    if found is None or root.get(_ALIASES) is not None:
        return root
    reading.warn(found.line, _OLD_ALIASES, f"is deprecated: write it as {_ALIASES}")
    renamed = Entry(_ALIASES, found.line, found.node, _OLD_ALIASES)
    return YamlMapping(root.line, tuple(renamed if entry is found else entry for entry in root))


def _with_list(tree: YamlMapping, old: str, new: str, path: str, reading: ParseContext) -> YamlMapping:
    """A mapping whose list of bare keys has become entries of today's list."""
    found = tree.get(old)
    if found is None:
        return tree
    shown = below(path, old)
    rest = YamlMapping(tree.line, tuple(entry for entry in tree if entry is not found))
    if is_null(found.node):
        return rest
    reading.warn(found.line, shown, _DEPRECATED.format(new))
    if not isinstance(found.node, Sequence):
        reading.complain(found.line, shown, "expected a list of keys")
        return rest
    keys = [(node, f"{shown}[{at}]") for at, node in enumerate(found.node.items)]
    return _with_more(rest, found.line, new, keys, path)


def _with_more(
    tree: YamlMapping, line: int, new: str, keys: list[tuple[Node, str]], path: str
) -> YamlMapping:
    """The same with more keys in its list; those that are in it already are not repeated."""
    current = tree.get(new)
    empty = current is None or is_null(current.node)
    if current is not None and not empty and not isinstance(current.node, Sequence):
        return tree  # it is wrong as a whole, and says so itself
    node = current.node if current is not None and isinstance(current.node, Sequence) else Sequence(line, ())
    name = new if current is None else current.shown or new
    before = node.shown or tuple(f"{below(path, name)}[{at}]" for at in range(len(node.items)))
    known = {_key(item) for item in node.items}
    more = [(_entry(key, shown), shown) for key, shown in keys if _text(key) not in known]
    items = (*node.items, *(entry for entry, _ in more))
    fresh = Entry(
        new,
        line if current is None else current.line,
        Sequence(node.line, items, (*before, *(shown for _, shown in more))),
        "" if current is None else current.shown,
    )
    return YamlMapping(tree.line, (*(entry for entry in tree if entry is not current), fresh))


def _entry(key: Node, shown: str) -> Node:
    """A bare key as an entry; one that is written as an entry already stays."""
    if isinstance(key, YamlMapping):
        return key
    return YamlMapping(key.line, (Entry("api-key", key.line, key, shown=shown),))


def _text(node: Node) -> str | None:
    return node.text.strip() if isinstance(node, Scalar) else None


def _key(node: Node) -> str | None:
    entry = node.get("api-key") if isinstance(node, YamlMapping) else None
    return None if entry is None else _text(entry.node)
