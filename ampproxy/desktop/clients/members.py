"""A member deep in a settings file of JSON, by its path; values as JSON text. All else of the file stays."""

from __future__ import annotations

from collections.abc import Sequence

from ampproxy.wire import jsonc

#: Stands between the names of a path. None of a client's settings has it in its name.
_BETWEEN = "/"


def path_of(*names: str) -> str:
    """The path of a member, as one text."""
    return _BETWEEN.join(names)


def put(data: bytes, path: str, value: str) -> bytes:
    """The file with a value there; objects on the way are made.

    :raises ampproxy.wire.jsonc.BadJsonc: it is no such file, or something else than an object is on the way.
    """
    return _put(data, path.split(_BETWEEN), value.encode())


def get(data: bytes, path: str) -> str | None:
    """The value there, as JSON text; ``None`` if there is none.

    :raises ampproxy.wire.jsonc.BadJsonc: as :func:`put`.
    """
    found: bytes | None = data
    for name in path.split(_BETWEEN):
        found = jsonc.read(found).get(name) if found else None
    return None if found is None else found.decode()


def back(data: bytes, path: str, old: bytes | None) -> bytes:
    """The file with what stood there in ``old``, without objects that are empty now and were not there."""
    before = None if old is None else get(old, path)
    if before is not None:
        return put(data, path, before)
    names = path.split(_BETWEEN)
    data = _remove(data, names)
    for depth in range(len(names) - 1, 0, -1):
        outer = path_of(*names[:depth])
        was = None if old is None else get(old, outer)
        now = get(data, outer)
        if was is not None or now is None or jsonc.read(now.encode()):
            break
        data = _remove(data, names[:depth])
    return data


def _put(data: bytes, names: Sequence[str], value: bytes) -> bytes:
    name, *inner = names
    held = jsonc.read(data).get(name) if inner else None
    if held is not None:
        value = _put(held, inner, value)
    else:
        for each in reversed(inner):
            value = b"{" + jsonc.quoted(each) + b": " + value + b"}"
    return jsonc.put(data, name, value)


def _remove(data: bytes, names: Sequence[str]) -> bytes:
    name, *inner = names
    held = jsonc.read(data).get(name)
    if held is None:
        return data
    return jsonc.put(data, name, _remove(held, inner)) if inner else jsonc.remove(data, name)
