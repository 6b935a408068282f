"""Client keys as people are shown them. Shows no key, and no hash of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ampproxy.model.clients import ROUTES, ClientKey, Period
from ampproxy.tenants.counting import Amounts, standings_of
from ampproxy.tenants.refusals import shown_amount, time_of
from ampproxy.wire.words import span

#: Seconds before its end from which on a key counts as expiring soon.
SOON = 14 * 86400.0


def state_of(client: ClientKey, wall: float) -> str:
    """Whether a key lets its client in, and until when.

    :param wall: seconds since the epoch.
    """
    end = client.expires
    if end is not None and end <= wall:
        return f"expired {time_of(end)}"
    rotated = bool(client.old_hash) and client.old_until is not None and client.old_until > wall
    old = f", the one before it until {time_of(client.old_until or 0)}" if rotated else ""
    return ("valid" if end is None else f"until {time_of(end)}") + old


def expiring(clients: Iterable[ClientKey], wall: float) -> Iterator[tuple[ClientKey, str]]:
    """The keys that have expired or will soon, each with a sentence without a full stop."""
    for client in clients:
        name = client.name or "a key without a name"
        if client.expires is not None and client.expires <= wall:
            yield client, f"the client key of {name} has expired ({time_of(client.expires)})"
        elif client.expires is not None and client.expires - wall <= SOON:
            left = span(client.expires - wall)
            yield client, f"the client key of {name} expires in {left} ({time_of(client.expires)})"


def rights_of(client: ClientKey) -> Iterator[tuple[str, str]]:
    """What a client may do: names of settings, and values."""
    yield "routes", "all" if client.routes == ROUTES else ", ".join(client.routes)
    yield "models", ", ".join(client.models) or "all"
    yield "accounts", ", ".join(client.accounts) or "all"
    own = ", with an Amp key of its own" if client.upstream is not None else ""
    yield "amp", ("its requests to models may go to Amp" if client.amp else "nothing goes to Amp") + own


def limits_of(client: ClientKey, used: Mapping[Period, Amounts], wall: float) -> Iterator[tuple[str, str]]:
    """A client's limits, and how much of each is used.

    :param used: of each period, what has been used and reserved.
    """
    for standing in standings_of(client.limits, used, wall):
        limit = standing.limit
        gone = shown_amount(limit, limit.most - standing.left)
        most = shown_amount(limit, limit.most)
        yield limit.setting, f"{gone} of {most} used; renews in {span(standing.renews - wall)}"
    if client.concurrent is not None:
        yield "concurrent", f"{client.concurrent} at once"


def in_short(client: ClientKey) -> str:
    """A client's rights and limits in one line."""
    parts = [value for name, value in rights_of(client) if name == "routes" and value != "all"]
    parts += [f"models {', '.join(client.models)}"] if client.models else []
    parts += [f"accounts {', '.join(client.accounts)}"] if client.accounts else []
    parts += [] if client.amp else ["nothing to Amp"]
    parts += [f"{shown_amount(limit, limit.most)} a {limit.period}" for limit in client.limits]
    parts += [] if client.concurrent is None else [f"{client.concurrent} at once"]
    return "; ".join(parts) or "everything"
