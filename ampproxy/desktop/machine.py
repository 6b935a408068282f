"""What there is on this machine that can serve models: servers that listen, other programs' logins, and other
gateways' configurations.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ampproxy.config import files
from ampproxy.config.initial import Server

#: Where servers of models listen, as they are installed, and what is there then.
PORTS: Mapping[int, str] = {11434: "ollama", 1234: "lmstudio", 8080: "llamacpp", 8000: "vllm"}
#: What a server's list says of who has made it -> its name.
_OWNERS = {"library": "ollama", "llamacpp": "llamacpp", "vllm": "vllm", "organization_owner": "lmstudio"}
#: Seconds for each, on this machine.
_TIMEOUT = 1.5
_MAX_LIST_BYTES = 4 * 1024 * 1024
#: Where CLIProxyAPI's configuration is, below the home.
_GATEWAYS = (
    ".cli-proxy-api/config.yaml",
    "CLIProxyAPI/config.yaml",
    "cliproxyapi/config.yaml",
    ".config/cliproxyapi/config.yaml",
    ".config/cli-proxy-api/config.yaml",
)


class _Entry(msgspec.Struct):
    id: str
    owned_by: str = ""


class _List(msgspec.Struct):
    data: list[_Entry]


def servers(environ: Mapping[str, str], ports: Mapping[int, str] = PORTS) -> Iterator[Server]:
    """The servers of models that listen on this machine. No key is sent to them."""
    places = {("127.0.0.1", port): name for port, name in ports.items()}
    given = _ollama_host(environ.get("OLLAMA_HOST", ""))
    if given is not None:
        places = {given: "ollama", **places}
    for (host, port), name in places.items():
        models = _models(host, port)
        if models is None:
            continue
        owner = next((_OWNERS[one.owned_by] for one in models if one.owned_by in _OWNERS), name)
        yield Server(owner, f"http://{host}:{port}/v1", tuple(one.id for one in models))


def _ollama_host(text: str) -> tuple[str, int] | None:
    """Where ``OLLAMA_HOST`` says that Ollama is, if that is this machine."""
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host, port = parts.hostname or "127.0.0.1", parts.port or 11434
    except ValueError:
        return None
    return ("127.0.0.1", port) if text and host in ("127.0.0.1", "localhost", "0.0.0.0") else None  # noqa: S104


def _models(host: str, port: int) -> Sequence[_Entry] | None:
    """What a server lists; ``None``: none is there, or something else."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        body = answer.read(_MAX_LIST_BYTES)
        return msgspec.json.decode(body, type=_List).data if answer.status == 200 else None
    except (TimeoutError, OSError, http.client.HTTPException, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def other_gateway(home: Path) -> Path | None:
    """CLIProxyAPI's configuration, where it has one of the usual places."""
    return next((path for name in _GATEWAYS if (path := home / name).is_file()), None)


def text_of(path: Path) -> str:
    """What a configuration's file holds.

    :raises OSError: it cannot be read.
    :raises UnicodeDecodeError: it is no text.
    """
    return files.read(path, files.MAX_CONFIG).decode("utf-8-sig")
