"""Amp's own keys, by their looks."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEY = re.compile(rb"sgamp_[A-Za-z0-9_-]{8,500}\Z")


def find_key(credentials: Iterable[bytes]) -> bytes | None:
    """The first of a request's credentials that looks like a key of Amp's."""
    return next((one for one in credentials if _KEY.match(one)), None)
