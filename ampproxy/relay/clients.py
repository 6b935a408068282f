"""Which of Amp's clients have been here: each is told of once."""

from __future__ import annotations

import msgspec
from twisted.logger import Logger

from ampproxy.amp.clients import MEANING, AmpClient, Generation

#: So many are remembered: more keys, programs and versions than any household has.
MAX_CLIENTS = 256

#: How a client is labelled that sent no key.
UNKNOWN = "-"


class _Seen(msgspec.Struct):
    label: str
    application: str
    version: str
    generation: Generation

    def may_be(self, label: str, client: AmpClient) -> bool:
        """Whether this one may have sent a request that shows less than all, or that shows more."""
        if client.generation is not self.generation or label not in (UNKNOWN, self.label):
            return False
        if "" in (client.version, self.version):
            return True
        return label == UNKNOWN and client.version == self.version


class SeenClients:
    """Names each client in the log, once, as soon as its generation is known.

    A client is a key with an application and a version. A request that shows less is taken for one of a
    client that is known already, if there is one that it may be of: Neo's first requests may not tell its
    version, and its sockets bring no key.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: list[_Seen] = []
        self._whole: set[tuple[str, str, str]] = set()

    def see(self, label: str, client: AmpClient) -> None:
        """A client has sent a request.

        :param label: its key's.
        """
        key = (label, client.application, client.version)
        if key in self._whole or client.generation is None:
            return
        known = next((one for one in self._seen if one.may_be(label, client)), None)
        if known is None:
            self._name(label, client, client.generation)
        elif client.version and not known.version:
            known.version = client.version
            self._log.info(
                "{key} uses version {version} of it",
                log_kind="client-version",
                key=_of(known.label),
                version=known.version,
            )
        if known is None or client.version:
            self._whole.add(key)

    def _name(self, label: str, client: AmpClient, generation: Generation) -> None:
        if len(self._seen) >= MAX_CLIENTS:
            self._seen.clear()
            self._whole.clear()
        self._seen.append(_Seen(label, client.application, client.version, generation))
        self._log.info(
            "{key} uses Amp's {client} ({generation}): {meaning}",
            log_kind="client",
            key=_of(label),
            client=str(client),
            application=client.application,
            version=client.version,
            generation=generation.value,
            meaning=MEANING[generation],
        )


def _of(label: str) -> str:
    return "A client without a key" if label == UNKNOWN else label
