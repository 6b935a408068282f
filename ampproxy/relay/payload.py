"""``payload``: the owner's rules over the bodies that go to vendors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from ampproxy.config.schema import Account
from ampproxy.dialects.registry import ROWS
from ampproxy.model.base import Value
from ampproxy.model.payload import PayloadModel, PayloadRule
from ampproxy.relay.bridge import ModelRequest
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.json import members
from ampproxy.wire.jsonpath import found, put, resolved, same, taken_out
from ampproxy.wire.wildcard import matches_wildcard

#: What CLIProxyAPI calls the dialects of vendors, and those of clients.
_PROTOCOLS: Mapping[str, str] = {row.name: row.protocol or row.name for row in ROWS}
_SOURCES: Mapping[str, str] = {row.name: row.source or _PROTOCOLS[row.name] for row in ROWS}
_decode = msgspec.json.Decoder().decode


class Asked(Value, frozen=True):
    """What a rule can be for.

    :param models: the names of the model, lower case: the vendor's, and the client's with and without
        thinking suffix.
    :param headers: the client's, names in lower case.
    """

    models: frozenset[str]
    protocol: str
    source: str
    headers: tuple[tuple[str, str], ...]


def asked_by(question: ModelRequest, offer: RouteTarget, spoken: str) -> Asked:
    """What is asked of an account.

    :param spoken: the dialect that its vendor is asked in.
    """
    names = (offer.upstream_model, question.requested_model, split_suffix(question.requested_model)[0])
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in question.headers.items()
        for value in values
    )
    return Asked(
        frozenset(name.lower() for name in names),
        _protocol(offer.account, spoken),
        _SOURCES.get(question.endpoint.dialect, ""),
        headers,
    )


def _protocol(account: Account, spoken: str) -> str:
    # CLIProxyAPI asks such servers in one dialect only.
    return "openai" if account.kind == "openai-compatibility" else _PROTOCOLS.get(spoken, "")


def apply(rules: Iterable[PayloadRule], body: bytes, asked: Asked) -> bytes:
    """The body as the rules that are for it want it: first defaults, then overrides, then what is taken out.

    :param rules: in the order in which they count. Of two defaults for one place the first counts, of two
        overrides the last.
    :param body: in the dialect that the vendor is asked in; one that is no JSON object stays as it is.
    """
    if members(body) is None:
        return body
    before, given = body, set()
    for rule in rules:
        if not any(_is_for(model, body, asked) for model in rule.models):
            continue
        for path, value in rule.params:
            places = resolved(body, path)
            if rule.kind == "filter":
                body = taken_out(body, places)
                continue
            for place in places:
                if rule.kind == "default":
                    if place in given or found(before, place):
                        continue
                    given.add(place)
                body = put(body, place, value)
    return body


def _is_for(model: PayloadModel, body: bytes, asked: Asked) -> bool:
    """Whether a rule is for this request, with the body as it is by now."""
    return (
        model.protocol in ("", asked.protocol)
        and model.source in ("", asked.source)
        and any(matches_wildcard(model.name, name) for name in asked.models)
        and all(_has_header(asked, name, pattern) for name, pattern in model.headers)
        and all(_has(body, path, value) for path, value in model.match)
        and not any(_has(body, path, value) for path, value in model.differ)
        and all(_exists(body, path) for path in model.exist)
        and not any(_exists(body, path) for path in model.missing)
    )


def _has_header(asked: Asked, name: str, pattern: str) -> bool:
    return any(
        matches_wildcard(pattern, value.strip().lower()) for known, value in asked.headers if known == name
    )


def _has(body: bytes, path: Any, value: bytes) -> bool:
    return any(same(_decode(other), _value(value)) for other in found(body, path))


@lru_cache(maxsize=256)
def _value(text: bytes) -> Any:
    return _decode(text)


def _exists(body: bytes, path: Any) -> bool:
    return any(value.strip() != b"null" for value in found(body, path))
