"""References in values: ``${ENV_VAR}`` anywhere, ``file:/path`` where a secret is expected.

Nothing here puts a value into a message: only names of variables and files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ampproxy.wire.late import LatePattern

_REFERENCE = LatePattern(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = LatePattern(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FILE = "file:"


class BadReference(ValueError):
    """A reference that leads nowhere; its message names it and never what it holds."""


class NotHere(BadReference):
    """A reference to something that is not here, and may be elsewhere: where the service runs.

    :ivar what: the variable, or the file and what the system says of it.
    """

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace each ``${NAME}`` by that environment variable; ``$${`` stands for a literal ``${``.

    :raises NotHere: the variable is not set.
    :raises BadReference: the reference is not one.
    """
    if "${" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        name, closed = match.group(1), match.group(2)
        if name is None:
            return "${"
        if not closed or not _NAME.match(name):
            raise BadReference("has a broken ${...} reference: write ${NAME}, or $${ for a literal ${")
        if name not in environ:
            raise NotHere(
                f"the environment variable {name} is not set: set it, or write the value here", name
            )
        return environ[name]

    return _REFERENCE.sub(replace, text)


def expand_home(path: str, home: Path) -> Path:
    """``~`` and ``~/...`` made absolute; anything else as it is."""
    if path == "~" or path.startswith("~/"):
        return home / path[2:]
    return Path(path)


def resolve(text: str, home: Path, read: Callable[[Path], str]) -> str:
    """The secret that ``text`` is or, as ``file:/path``, names: the first line of that file, stripped.

    :param read: gives a file's text; raises ``OSError`` or ``UnicodeDecodeError``.
    :raises NotHere: there is no such file, or it may not be read.
    :raises BadReference: the file cannot be read or has no first line.
    """
    if not text.startswith(_FILE):
        return text
    path = expand_home(text[len(_FILE) :].strip(), home)
    if not path.is_absolute():
        raise BadReference("a file: reference needs an absolute path, such as file:/run/secrets/key")
    try:
        lines = read(path).split("\n", 1)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise NotHere(_unreadable(path, error), f"{path}: {error.strerror}") from None
    except OSError as error:
        raise BadReference(_unreadable(path, error)) from None
    except UnicodeDecodeError:
        raise BadReference(f"the secret's file {path} is not text") from None
    first = lines[0].strip()
    if not first:
        raise BadReference(f"the first line of the secret's file {path} is empty")
    return first


def is_reference(text: str) -> bool:
    """Whether a secret stands elsewhere than in this text."""
    return text.strip().startswith(_FILE) or "${" in text.replace("$${", "")


def _unreadable(path: Path, error: OSError) -> str:
    return f"the secret's file {path} cannot be read: {error.strerror or type(error).__name__}"
