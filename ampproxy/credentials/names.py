"""Names of client keys and accounts that show no key and do not depend on a place in the configuration.

A name holds a digest (BLAKE2, RFC 7693). People choose client keys, so theirs is salted: whoever reads a log
cannot try guesses. The salt is kept in the state directory, so a key has the same name after a restart.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from ampproxy.config import files
from ampproxy.config.schema import Account
from ampproxy.wire.redact import Secret, Unseen

NAME = "key-names.salt"
_SALT_BYTES = 32


def client_name(key: Secret, salt: bytes) -> str:
    """The name of a client's key, such as ``key-1f9a03c2``."""
    return f"key-{_digest(key.reveal(), salt)}"


def account_name(account: Account) -> str:
    """The name of an account, such as ``claude-api-key#1f9a03c2``. Its label where it is a login, or where
    its key is not to be had.
    """
    if account.token is not None or isinstance(account.api_key, Unseen):
        return account.label
    marks = (account.base_url, account.api_key.reveal(), *(text for pair in account.headers for text in pair))
    return f"{account.label.partition('[')[0]}#{_digest(chr(0).join(marks))}"


def _digest(text: str, salt: bytes = b"") -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), key=salt, digest_size=4).hexdigest()


def read_salt(folder: Path) -> bytes | None:
    """The salt that is kept in a folder; ``None`` if there is none.

    :raises OSError: the file cannot be read.
    """
    try:
        salt = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    return salt if len(salt) == _SALT_BYTES else None


def kept_salt(folder: Path | None) -> bytes:
    """The salt of a folder, made where there is none.

    :param folder: ``None``: a new one, which is kept nowhere.
    :raises OSError: it can be neither read nor made.
    """
    fresh = os.urandom(_SALT_BYTES)
    if folder is None:
        return fresh
    kept = read_salt(folder)
    if kept is not None:
        return kept
    files.replace(folder / NAME, fresh)
    # Another process that starts at the same time may have put its own there: the file's counts.
    return read_salt(folder) or fresh
