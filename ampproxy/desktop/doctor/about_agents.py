"""Checks of coding agents beside Amp's: which there are, where they go, and with which key."""

from __future__ import annotations

from collections.abc import Iterator

from ampproxy.desktop.clients.agents import Found
from ampproxy.desktop.clients.scan import host_of, same_address, shown_url
from ampproxy.desktop.doctor.about_clients import is_gateway
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.model.clients import KnownKeys
from ampproxy.wire.redact import Unseen, printable

_LOCAL = ("localhost", "127.0.0.1", "::1")


def agents(context: Context) -> Iterator[Finding]:
    """Each agent that is installed here, or was led somewhere."""
    for found in context.agents:
        yield _judged(context, found)


def _judged(context: Context, found: Found) -> Finding:
    agent, todo = found.agent, f"ampproxy setup {found.agent.name}"
    if found.why:
        return warning(
            f"{agent.title}'s settings cannot be read: {printable(found.why)}.",
            "mend them: the agent reads them no better",
        )
    if not found.url:
        return note(f"{agent.title} is installed and goes to its own vendor.", f"for your accounts: {todo}")
    where = f"{shown_url(found.url)} ({printable(found.where)})"
    if _leads_here(context, found):
        return _key(context, found, where, todo)
    if host_of(found.url) in _LOCAL:
        return warning(f"{agent.title} goes to {where}: that is not the gateway at {context.url}.", todo)
    return note(f"{agent.title} goes to {where}, not to the gateway.", f"for your accounts: {todo}")


def _leads_here(context: Context, found: Found) -> bool:
    """Whether the address is the gateway's; with or without ``/v1``, which is served, too."""
    base = found.url.rstrip("/").removesuffix("/v1")
    return bool(context.url) and (same_address(base, context.url) or is_gateway(context, base))


def _key(context: Context, found: Found, where: str, todo: str) -> Finding:
    """An agent that goes to the gateway: whether its key opens it."""
    title, config = found.agent.title, context.config
    assert config is not None
    unset = f", after unsetting {found.agent.variables[1]}" if "environment" in found.where else ""
    if not config.clients or (found.key is not None and found.key in KnownKeys(config.clients)):
        return ok(f"{title} goes to the gateway, {where}, with a key that it takes.")
    if any(isinstance(one, Unseen) for one in config.api_keys):
        return note(
            f"{title} goes to the gateway, {where}; whether its key is one of the gateway's is not known."
        )
    if found.key is None:
        return problem(f"{title} goes to the gateway, {where}, without a key: it is refused.", todo + unset)
    return problem(
        f"{title} goes to the gateway, {where}, with a key that is not one of its api-keys: it is refused.",
        todo + unset,
    )
