"""In which of its dialects an account is asked: models take over one call what they refuse over another."""

from __future__ import annotations

import re
from functools import lru_cache

from ampproxy.catalog.families import Families, shipped
from ampproxy.catalog.hosts import shipped_hosts
from ampproxy.catalog.kinds import KINDS
from ampproxy.config.schema import Account
from ampproxy.providers import Provider
from ampproxy.relay.bridge import ModelRequest
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.route import RouteTarget

#: What a request says that is not to be thought about, in any dialect. Within a string each quote has a
#: backslash before it, so that no words are taken for members.
_NO_THINKING = re.compile(
    rb'"(?:reasoning_effort|effort)"\s*:\s*"none"|"type"\s*:\s*"disabled"|"thinkingBudget"\s*:\s*0\b'
)
#: A client of Chat Completions that wants its model to think says so.
_EFFORT = b'"reasoning_effort"'
_OFF = ("none", "0")


def spoken_in(
    provider: Provider, question: ModelRequest, offer: RouteTarget, families: Families | None
) -> str:
    """The dialect that an account is asked in.

    OpenAI's own service takes functions over Chat Completions of newer models only without thinking, of some
    never, and has models that only Responses serves: these are asked over Responses.

    :raises ampproxy.errors.GatewayFault: the account has no such call.
    """
    spoken = provider.backend_dialect(question.endpoint)
    beside = other_than(spoken, offer.account, question.endpoint.operation)
    needed = beside and _needs_responses(question, offer, families or shipped(), spoken)
    return beside if needed else spoken


def other_than(spoken: str, account: Account, operation: Operation) -> str:
    """The dialect in which an account may be asked instead, by what a question is; empty: there is none."""
    kind = KINDS.get(account.kind)
    beside = kind.beside if kind is not None and spoken == kind.dialect else ""
    if not beside or operation is not Operation.GENERATE or not _both(account.base_url, account.profile):
        return ""
    return beside


@lru_cache(maxsize=256)
def _both(base_url: str, profile: str) -> bool:
    """Whether a server has Responses beside Chat Completions."""
    return shipped_hosts().find(base_url, profile, "").responses


def _needs_responses(question: ModelRequest, offer: RouteTarget, families: Families, spoken: str) -> bool:
    family = families.find(offer.upstream_model)
    if family.endpoints is not None and "chat" not in family.endpoints:
        return "responses" in family.endpoints
    if family.chat_tools in (None, "always") or not _has_tools(question):
        return False
    return family.chat_tools == "never" or _may_think(question, spoken)


def _has_tools(question: ModelRequest) -> bool:
    return bytes(question.facts.found.tools).strip() not in (b"null", b"[]")


def _may_think(question: ModelRequest, spoken: str) -> bool:
    if question.route.suffix:
        return question.route.suffix not in _OFF
    if question.endpoint.dialect == spoken and _EFFORT not in question.body:
        return False
    return _NO_THINKING.search(question.body) is None
