"""Whether the client library of Redis is there, which is an extra."""

from __future__ import annotations

from importlib.util import find_spec

from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError


def missing_library(config: Config) -> str:
    """What a configuration with a Redis lacks here; empty: nothing."""
    if config.state is None or find_spec("redis") is not None:
        return ""
    return (
        "needs a client library that is not installed: pip install 'ampproxy[redis]', or remove the section"
    )


def check_library(config: Config) -> None:
    """
    :raises ConfigError: something is missing.
    """
    missing = missing_library(config)
    if missing:
        raise ConfigError((f"{config.place('state')}: {missing}",))
