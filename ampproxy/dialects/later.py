"""Functions that are loaded when they are first called: where bytes pass, nothing that translates is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def later(package: str, place: str) -> Callable[..., Any]:
    """A function or class of a package's module, which is loaded at the first call.

    :param place: the module and the name, as ``request_in.parse_request``.
    """
    module, name = place.split(".")
    found: Callable[..., Any] | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal found
        if found is None:
            found = getattr(import_module(f"{package}.{module}"), name)
        return found(*args, **kwargs)

    return call
