"""What is asked of Redis, and who asks: scripts with their keys, many in one round trip."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError

from ampproxy.model.base import Value
from ampproxy.model.sharing import StateSettings
from ampproxy.state.entries import KINDS, Entry
from ampproxy.state.redis.connect import FAILURES, connect

#: After so many seconds without a command the connection is tried before it is used: a command that is lost
#: with it could not be sent again, for it may have been carried out.
IDLE_SECONDS = 20.0
#: So many entries are kept of a kind that is none of ours.
_OTHERS = 1000
#: A century.
_MAX_MILLISECONDS = 100 * 366 * 86_400_000


class Message(msgspec.Struct, frozen=True, array_like=True):
    """An entry on its way to all: who put it, and with which number."""

    origin: bytes
    number: int
    entry: Entry


_encode = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(Message).decode


class Command(Value, frozen=True):
    """One call of a script.

    :param done: called in the reactor's thread with what the script gave, or with what went wrong.
    """

    script: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]
    done: Callable[[Any], None]


class Commander:
    """Makes the commands of one process.

    :param prefix: what the names of all keys and of the channel begin with.
    :ivar origin: what its messages are known by.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.channel = self.key("entries")
        self.origin = os.urandom(9)

    def key(self, *words: str) -> str:
        """The name of a key."""
        return ":".join((self._prefix, *words))

    def entry(self, script: str, entry: Entry, number: int, done: Callable[[Any], None]) -> Command:
        """A script of those that keep entries.

        :param number: of what is published; 0: of what is exchanged or claimed.
        """
        value = b"t" if entry.value is None else b"v" + entry.value
        message = _encode(Message(self.origin, number, entry))
        arguments = (
            entry.key,
            value,
            milliseconds(entry.ttl),
            milliseconds(entry.age),
            KINDS.get(entry.kind, _OTHERS),
            self.channel,
            message,
            0 if number else 1,
        )
        return Command(script, (self.key(entry.kind), self.key(entry.kind, "ends")), arguments, done)


class Sender:
    """Runs scripts, many in one round trip. Used by one thread.

    :param client: by default a connection of its own.
    """

    def __init__(self, settings: StateSettings, client: Redis | None = None) -> None:
        self._settings = settings
        self._client = client
        self._used = time.monotonic()
        self._digests: dict[str, str] = {}

    def run(self, batch: Sequence[Command]) -> list[Any]:
        """What the scripts gave.

        :raises redis.RedisError: one of them failed, or Redis cannot be reached. The others may have been
        run.
        :raises OSError: likewise.
        """
        if not batch:
            return []
        try:
            client = self._alive()
            results = self._run(client, batch)
            missing = [place for place, result in enumerate(results) if isinstance(result, NoScriptError)]
            if missing:
                self._digests.clear()
                again = self._run(client, [batch[place] for place in missing])
                for place, result in zip(missing, again, strict=True):
                    results[place] = result
            for result in results:
                if isinstance(result, Exception):
                    raise result
        except FAILURES:
            self.close()
            raise
        return results

    def _alive(self) -> Redis:
        """The connection; a new one where the old one was dropped on the way while it was not used."""
        now, client = time.monotonic(), self._client
        idle, self._used = now - self._used, now
        if client is not None and idle > IDLE_SECONDS:
            try:
                client.ping()
            except FAILURES:
                self.close()
                client = None
        self._client = client or connect(self._settings)
        return self._client

    def close(self) -> None:
        """Disconnect; the next run connects again."""
        client, self._client = self._client, None
        self._digests.clear()
        if client is not None:
            client.close()

    def _run(self, client: Redis, batch: Sequence[Command]) -> list[Any]:
        for script in {command.script for command in batch} - self._digests.keys():
            self._digests[script] = str(client.script_load(script))
        pipeline = client.pipeline(transaction=False)
        for command in batch:
            digest = self._digests[command.script]
            pipeline.evalsha(digest, len(command.keys), *command.keys, *command.arguments)
        results: list[Any] = pipeline.execute(raise_on_error=False)
        return results


def milliseconds(seconds: float) -> int:
    """As Redis has times; none are negative."""
    return max(0, min(round(seconds * 1000), _MAX_MILLISECONDS))
