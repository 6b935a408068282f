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
from ampproxy.wire import jsonc

#: The CLI's settings, its keys, an editor's settings, the gateway's configuration.
Kind = Literal["settings", "secrets", "editor", "config"]

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


#: How files of each kind are changed.
FORMS: Mapping[Kind, Form] = {
    "settings": Form(_put_unmarked, _member, _is_ours, _member_back),
    "secrets": Form(_put_plain, _member, _is_ours, _member_back),
    "editor": Form(_put_member, _member, _is_ours, _member_back),
    "config": Form(_put_key, _key, _is_our_key, _key_back),
}
