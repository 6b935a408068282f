"""The kinds of files that are changed, seen alike: something is put under a name, and taken back.

A client's settings have members; the gateway's configuration has client keys. What is taken back is known
by its digest, so that what remembers it holds no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from ampproxy.config.edit import CannotEdit, add_client_key, client_keys, remove_client_key
from ampproxy.desktop.clients import dotenv, members, toml
from ampproxy.wire import jsonc

#: The CLI's settings, its keys, an editor's settings, the gateway's configuration; and of other agents:
#: members deep in JSON, variables, members of TOML.
Kind = Literal["settings", "secrets", "editor", "config", "members", "variables", "toml"]

#: The one name under which the configuration holds what is put there.
CLIENT_KEYS = "api-keys"


def digest(data: bytes) -> str:
    """What some bytes are known by."""
    return sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Form:
    """How files of one kind are changed. Bytes in, bytes out. All raise ``ValueError`` for a file that they
    cannot read or change; its message says why, and shows none of the values.

    :param put: gives the bytes with a text under a name.
    :param current: the text under a name, or ``None``. Of client keys only the first.
    :param ours: whether what stands there has this digest (see :func:`mark`).
    :param back: takes it back: gives the bytes with what stood there in ``old``.
    """

    put: Callable[[bytes, str, str], bytes]
    current: Callable[[bytes, str], str | None]
    ours: Callable[[bytes, str, str], bool]
    back: Callable[[bytes, str, str, bytes | None], bytes]


def mark(value: str) -> str:
    """The digest by which a text that was put somewhere is found again."""
    return digest(value.encode())


def _put_member(data: bytes, name: str, value: str) -> bytes:
    return jsonc.put(data, name, jsonc.quoted(value))


def _put_unmarked(data: bytes, name: str, value: str) -> bytes:
    jsonc.require_unmarked(data)
    return _put_member(data, name, value)


def _put_plain(data: bytes, name: str, value: str) -> bytes:
    if data:
        jsonc.require_plain(data)
    return _put_member(data, name, value)


def _member(data: bytes, name: str) -> str | None:
    found = jsonc.read(data).get(name)
    return None if found is None else (text if (text := jsonc.string(found)) is not None else found.decode())


def _is_ours(data: bytes, name: str, marked: str) -> bool:
    text = jsonc.string(jsonc.read(data).get(name))
    return text is not None and mark(text) == marked


def _member_back(data: bytes, name: str, marked: str, old: bytes | None) -> bytes:
    before = None if old is None else jsonc.read(old).get(name)
    return jsonc.remove(data, name) if before is None else jsonc.put(data, name, before)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise CannotEdit("it is not UTF-8 text") from None


def _put_key(data: bytes, name: str, value: str) -> bytes:
    return add_client_key(_text(data), value).encode("utf-8")


def _key(data: bytes, name: str) -> str | None:
    keys = client_keys(_text(data))
    return keys[0] if keys else None


def _marked_key(data: bytes, marked: str) -> str | None:
    return next((key for key in client_keys(_text(data)) if mark(key) == marked), None)


def _is_our_key(data: bytes, name: str, marked: str) -> bool:
    return _marked_key(data, marked) is not None


def _key_back(data: bytes, name: str, marked: str, old: bytes | None) -> bytes:
    key = _marked_key(data, marked)
    return data if key is None else remove_client_key(_text(data), key).encode("utf-8")


def _of_text(put: Callable[[str, str, str], str]) -> Callable[[bytes, str, str], bytes]:
    return lambda data, name, value: put(_text(data), name, value).encode("utf-8")


def _in_text(
    get: Callable[[str, str], str | None],
    put: Callable[[str, str, str], str],
    remove: Callable[[str, str], str],
) -> Form:
    """The form of files of text in which a value is found by its name."""

    def current(data: bytes, name: str) -> str | None:
        return get(_text(data), name)

    def ours(data: bytes, name: str, marked: str) -> bool:
        value = current(data, name)
        return value is not None and mark(value) == marked

    def back(data: bytes, name: str, marked: str, old: bytes | None) -> bytes:
        before = None if old is None else current(old, name)
        text = _text(data)
        return (remove(text, name) if before is None else put(text, name, before)).encode("utf-8")

    return Form(_of_text(put), current, ours, back)


def _is_our_value(data: bytes, name: str, marked: str) -> bool:
    value = members.get(data, name)
    return value is not None and mark(value) == marked


#: How files of each kind are changed.
FORMS: Mapping[Kind, Form] = {
    "settings": Form(_put_unmarked, _member, _is_ours, _member_back),
    "secrets": Form(_put_plain, _member, _is_ours, _member_back),
    "editor": Form(_put_member, _member, _is_ours, _member_back),
    "config": Form(_put_key, _key, _is_our_key, _key_back),
    "members": Form(
        members.put, members.get, _is_our_value, lambda data, name, _, old: members.back(data, name, old)
    ),
    "variables": _in_text(dotenv.get, dotenv.put, dotenv.remove),
    "toml": _in_text(toml.get, toml.put, toml.remove),
}
