"""Where the service keeps what a verb reads: the one that runs says it, for it may be another user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from ampproxy.cli.service_client import NotAnswered, ServiceClient
from ampproxy.config.schema import Config
from ampproxy.wire.redact import printable


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of state that is read.

    :param config: the same configuration, with the folders of the service.
    :param whose: whose it is and how that is known, a clause for people.
    """

    config: Config
    whose: str

    @property
    def folder(self) -> Path:
        """The folder."""
        return self.config.state_dir


def kept(config: Config) -> Kept:
    """The folders of the service that runs by a configuration's file; those of the file where none does."""
    try:
        status = ServiceClient(config).mine()
    except NotAnswered as error:
        return Kept(config, f"the state-dir of this configuration; its service does not answer: {error}")
    if not status.state_dir:
        return Kept(config, "the state-dir of this configuration; its service keeps nothing.")
    config = replace(
        config,
        state_dir=Path(status.state_dir),
        auth_dir=Path(status.auth_dir) if status.auth_dir else config.auth_dir,
    )
    return Kept(config, f"of the service that runs as {printable(status.user) or '?'} (pid {status.pid}).")
