"""Which of Amp's clients sent a request: its generation and version, from what its requests show.

Classic clients call the models themselves, through ``/api/provider``. The later generation, Neo, has them
called in Amp's cloud, and talks to its threads through ``/actors``; the cloud asks a gateway where the user
has connected one to it (docs/neo.md). To add a sign is to add a row.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import unquote

from ampproxy.model.base import Value
from ampproxy.wire.late import LatePattern

#: Gives all values of a header, by its lower-case name.
GetHeader = Callable[[bytes], Sequence[bytes] | None]


class Generation(enum.Enum):
    """Who calls the models, in the words of the log."""

    CLASSIC = "classic"
    NEO = "Neo"


#: What a generation means for whoever pays.
MEANING = {
    Generation.CLASSIC: "its model calls come through here and use your accounts",
    Generation.NEO: (
        "its model calls run in Amp's cloud: at your accounts where a connection there leads to them"
        " (ampproxy neo setup), else billed by Amp"
    ),
}


class AmpClient(Value, frozen=True):
    """A client as one request shows it.

    :param application: as it calls itself: ``CLI``, ``CLI Execute Mode``; ``client`` if nothing tells.
    :param version: empty if nothing tells; likewise ``generation``.
    """

    application: str
    version: str = ""
    generation: Generation | None = None

    def __str__(self) -> str:
        return f"{self.application} {self.version}".rstrip()


#: When the newest classic client that is known was built, and the oldest Neo; a version's third number is
#: that moment, in seconds since the epoch.
NEWEST_CLASSIC = 1_777_897_475
OLDEST_NEO = 1_784_106_548

_VERSION = LatePattern(r"[0-9]+\.[0-9]+\.(?P<built>[0-9]{9,11})(?:-g[0-9a-f]{4,40})?\Z")
_VERSION_WITHIN = LatePattern(r"(?<![0-9.])[0-9]+\.[0-9]+\.[0-9]{9,11}-g[0-9a-f]{4,40}(?![0-9A-Za-z])")
_NAME = LatePattern(r"[A-Za-z0-9][A-Za-z0-9 ._+()/-]{0,39}\Z")
_NAMED = LatePattern(
    r'"(?:client_?name|application|client(?:"\s*:\s*\{\s*"name)?)"\s*:\s*"([^"\\]{1,40})"', re.IGNORECASE
)

#: Paths that one generation alone asks for.
_PATHS: tuple[tuple[Generation, re.Pattern[bytes]], ...] = (
    (
        Generation.NEO,
        re.compile(rb"/actors(?:/|\Z)|/api/thread-actors(?:/|\Z)|/api/user-actor-credentials\Z"),
    ),
    (Generation.CLASSIC, re.compile(rb"/api/provider/")),
)
#: Methods of ``/api/internal`` that one generation alone calls.
_METHODS = {b"getThreadTail": Generation.NEO, b"getThreadProject": Generation.NEO}
#: How the HTTP library of one generation alone names itself on Amp's own paths.
_AGENTS: tuple[tuple[Generation, bytes], ...] = ((Generation.NEO, b"Bun/"),)
#: Where the parameters of a connection to an actor stand, within what its socket offers to speak.
_PARAMETERS = b"rivet_conn_params."


#: The headers by which a client of Amp's names itself on every path, and its version.
NAMING = frozenset((b"x-amp-client-version", b"x-amp-client-application", b"x-amp-client-type"))


def recognise(path: bytes, query: bytes, get: GetHeader) -> AmpClient | None:
    """What a request shows of the client that sent it; ``None``: it is none of Amp's, or shows nothing.

    :param path: one of Amp's own, or of the model routes below ``/api/provider``.
    """
    version = _text(get(b"x-amp-client-version"))
    application = _text(get(b"x-amp-client-application")) or _text(get(b"x-amp-client-type"))
    by_path = _by_path(path, query)
    if by_path is Generation.CLASSIC and not (version or application):
        # Any program may ask for a model there.
        return None
    if not version and by_path is Generation.NEO:
        version, application = _from_socket(get(b"sec-websocket-protocol"), application)
    by_agent = None if by_path is Generation.CLASSIC else _by_agent(get(b"user-agent"))
    if not (version or application or by_path or by_agent):
        return None
    generation = by_path or generation_of(version) or by_agent
    return AmpClient(
        application if _NAME.match(application) else "client",
        version if _NAME.match(version) else "",
        generation,
    )


@lru_cache(maxsize=64)
def generation_of(version: str) -> Generation | None:
    """The generation of a version; ``None`` if that is not known."""
    found = _VERSION.match(version)
    if found is None:
        return None
    built = int(found["built"])
    if built <= NEWEST_CLASSIC:
        return Generation.CLASSIC
    return Generation.NEO if built >= OLDEST_NEO else None


def _by_path(path: bytes, query: bytes) -> Generation | None:
    for generation, pattern in _PATHS:
        if pattern.match(path):
            return generation
    return _METHODS.get(query.partition(b"&")[0].partition(b"=")[0]) if path == b"/api/internal" else None


def _by_agent(values: Sequence[bytes] | None) -> Generation | None:
    for generation, begin in _AGENTS:
        if values and values[0].startswith(begin):
            return generation
    return None


def _from_socket(offers: Sequence[bytes] | None, application: str) -> tuple[str, str]:
    """Version and application from the parameters of a socket; of what else they hold nothing is taken."""
    for offer in b",".join(offers or ()).split(b","):
        name, _, parameters = offer.strip().partition(_PARAMETERS)
        if name or not parameters or len(parameters) > 16_384:
            continue
        text = unquote(parameters.decode("latin-1"))
        version, named = _VERSION_WITHIN.search(text), _NAMED.search(text)
        return version[0] if version else "", application or (named[1] if named else "")
    return "", application


def _text(values: Sequence[bytes] | None) -> str:
    return values[0].decode("latin-1").strip() if values else ""
