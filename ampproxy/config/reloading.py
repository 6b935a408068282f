"""What a service asks of a configuration that it is to serve by, at the start and at each reload."""

from __future__ import annotations

from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError

#: What a log line names of many changes.
_MAX_SHOWN = 20


def check_still_keyed(keyed: bool, config: Config) -> None:
    """Refuse what would serve everybody where keys were asked for, unless it says so: a file that was cut off
    has no ``api-keys`` either.

    :param keyed: whether a client key is asked for now.
    :raises ConfigError: it would.
    """
    if keyed and not config.clients and not config.keyless:
        raise ConfigError(
            (
                f"{config.source or 'configuration'}:1: api-keys: is missing now, so every program on"
                " this machine would be served without a key: restore it, or write api-keys: [] if that is"
                " intended",
            ),
            config.warnings,
        )


def shown_changes(old: Config, new: Config, given: str) -> tuple[str, ...]:
    """What is another one now, for people.

    :param given: see :func:`~ampproxy.config.changes.in_truth`.
    """
    # Not at the top: it is large, and many a service never reloads.
    from ampproxy.config.changes import changes, in_truth

    return tuple(in_truth(change, given) for change in changes(old, new))


def in_one_line(changed: tuple[str, ...]) -> str:
    """The changes as the end of a log's line; of many the first."""
    if not changed:
        return ""
    more = f"; and {len(changed) - _MAX_SHOWN} more" if len(changed) > _MAX_SHOWN else ""
    return f"; changed: {'; '.join(changed[:_MAX_SHOWN])}{more}"
