"""The configuration file: found, read, and made into a frozen :class:`~ampproxy.config.schema.Config`.

The format is CLIProxyAPI's ``config.yaml``; what is added stands under keys of its own.
All that is wrong is said at once, each time with file, line and key.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from ampproxy.config import document, files
from ampproxy.config.ampcode import MOVED
from ampproxy.config.document import Entry
from ampproxy.config.layout import in_old_layout
from ampproxy.config.older import with_older_lists
from ampproxy.config.parsing import Location, ParseContext
from ampproxy.config.schema import Config
from ampproxy.config.sections import ROOT
from ampproxy.errors import ConfigError

_NOTHING: Mapping[str, str] = {}
#: What the file is called where it is looked for.
NAME = "config.yaml"
SYSTEM = Path("/etc/ampproxy")


def find(home: Path) -> Path | None:
    """The configuration file where none was named: the first that exists of
    ``~/.config/ampproxy/config.yaml`` and ``/etc/ampproxy/config.yaml``.

    The working folder is not looked in: it may be anybody's repository, and a configuration says where keys
    and logins are sent.
    """
    places = (home / ".config" / "ampproxy", SYSTEM)
    return next((file for file in (place / NAME for place in places) if file.exists()), None)


#: Where no file was named, and none was found.
ABSENT = f"There is no {NAME} in ~/.config/ampproxy or {SYSTEM}."


def not_found(cwd: Path, way: str = f"--config {NAME}") -> str:
    """Where no file was named and none was found: that, and what helps.

    :param cwd: the working folder, whose file of that name is left alone.
    :param way: how the caller is given a file.
    """
    return f"{ABSENT} {what_helps(cwd, way)}"


def what_helps(cwd: Path, way: str = f"--config {NAME}") -> str:
    """What to do about it, as a sentence."""
    if (cwd / NAME).exists():
        return (
            "The one in this folder is not read by default, because a configuration decides where keys are"
            f" sent; if it is yours: {way}"
        )
    return f"Make one: ampproxy init. Or name one: {way}"


def read_file(path: Path) -> bytes:
    """What a configuration's file holds: the file itself, or one that it names.

    :raises OSError: it cannot be read, is no file, or is far too large.
    """
    return files.read(path, files.MAX_CONFIG)


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    home: Path,
    read: Callable[[Path], bytes] = read_file,
    elsewhere: Mapping[str, str] = _NOTHING,
    lenient: bool = False,
    pems: bool = True,
) -> Config:
    """Read and parse a configuration file.

    :param environ: where ``${NAME}`` looks.
    :param elsewhere: where it looks for what is not there.
    :param lenient: see :func:`parse`; so ``pems``.
    :param home: what ``~`` stands for.
    :param read: gives what a file holds: this one, those of secrets, the listener's PEM files; raises
        ``OSError``.
    :raises ConfigError: it cannot be read, or something in it is wrong.
    """
    try:
        text = read(path).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError((f"{path}:1: file: cannot be read: {error.strerror or error}",)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}:{line}: file: is not UTF-8 text: save it as UTF-8",)) from None
    config = parse(
        text,
        name=str(path),
        environ=environ,
        home=home,
        read_secret=lambda secret: _small(secret, read(secret)).decode("utf-8"),
        read_pem=lambda pem: _small(pem, read(pem)),
        folder=path.absolute().parent,
        elsewhere=elsewhere,
        lenient=lenient,
        pems=pems,
    )
    return replace(config, source=path)


def _small(path: Path, content: bytes) -> bytes:
    if len(content) > files.MAX_SECRET:
        raise files.TooLarge(errno.EFBIG, f"it has more than {files.MAX_SECRET >> 10} KiB", str(path))
    return content


def parse(
    text: str,
    *,
    name: str,
    environ: Mapping[str, str],
    home: Path,
    read_secret: Callable[[Path], str],
    read_pem: Callable[[Path], bytes] = lambda path: b"",
    folder: Path = Path("/"),
    elsewhere: Mapping[str, str] = _NOTHING,
    lenient: bool = False,
    pems: bool = True,
) -> Config:
    """Make a configuration of its text.

    :param name: what complaints call the file.
    :param read_secret: gives the text of a file that a ``file:`` reference names; raises ``OSError`` or
        ``UnicodeDecodeError``.
    :param read_pem: gives the listener's certificate or key; raises ``OSError``.
    :param folder: where the file lies, and where relative paths in it begin.
    :param lenient: whether what is not here is no error where it may be a secret: a variable that is not set,
        a file that cannot be read. Stand-ins take its place, and ``Config.unseen`` names them. Not for the
        service.
    :param pems: whether the listener's certificate and key have to be there: not for who only asks it.
    :raises ConfigError: something is wrong; it holds all complaints, in the order of the file.
    """
    reading = ParseContext(name, environ, home, read_secret, read_pem, folder, elsewhere, lenient, pems)
    root = document.compose(text, reading.complain)
    config = None
    if isinstance(root, document.YamlMapping):
        settings = with_older_lists(_with_moved(in_old_layout(root, reading), reading), reading)
        config, _ = Location(settings, "", 1, reading).attempt(ROOT)
    elif root is not None or not reading.complaints:
        reading.complain(1, "file", "contains no settings: expected keys and values, such as port: 8317")
    complaints, warnings = _in_order(reading.complaints), _in_order(reading.warnings)
    if complaints or config is None:
        raise ConfigError(complaints, warnings)
    result: Config = replace(
        config, warnings=warnings, unseen=tuple(reading.unseen), literal=tuple(reading.literal)
    )
    return result


def _with_moved(root: document.YamlMapping, reading: ParseContext) -> document.YamlMapping:
    """Put the values of deprecated keys where they belong now; a value under the new key wins."""
    for old, (section, key) in MOVED.items():
        entry, parent = root.get(old), root.get(section)
        if entry is None:
            continue
        root = document.YamlMapping(root.line, tuple(other for other in root if other is not entry))
        if parent is not None and isinstance(parent.node, document.Sequence):
            continue  # the section is wrong as a whole, and says so itself
        inside = (
            parent.node.entries
            if parent is not None and isinstance(parent.node, document.YamlMapping)
            else ()
        )
        if any(other.key == key for other in inside):
            reading.warn(
                entry.line, old, f"is deprecated and ignored, because {section}.{key} is set: remove it"
            )
            continue
        reading.warn(entry.line, old, f"is deprecated: write it as {section}.{key}")
        line = entry.line if parent is None else parent.line
        moved = Entry(key, entry.line, entry.node, shown=old)
        fresh = Entry(section, line, document.YamlMapping(line, (*inside, moved)))
        root = document.YamlMapping(root.line, (*(other for other in root if other is not parent), fresh))
    return root


def _in_order(remarks: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for _, text in sorted(remarks, key=lambda remark: remark[0])))
