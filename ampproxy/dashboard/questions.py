"""What can be asked: each question gathers what it needs in the reactor, and waits for the disk elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

import msgspec

from ampproxy.catalog.kinds import KINDS
from ampproxy.credentials.report import Report
from ampproxy.dashboard import catalog, configuration, keys, rows
from ampproxy.dashboard.desk import Desk
from ampproxy.dashboard.shapes import (
    Configuration,
    Doctor,
    Explanation,
    Keys,
    Live,
    Log,
    Logins,
    Models,
    Overview,
    Pasted,
    Usage,
)
from ampproxy.dashboard.usage import DIMENSIONS, day_of_wall, usage
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.model.base import Value
from ampproxy.model.roles import ROLES
from ampproxy.resources.accounts import accounts_report
from ampproxy.status import Alert

if TYPE_CHECKING:
    from ampproxy.credentials.oauth.formats import Kind

#: The vendors whose logins are served.
LOGIN_KINDS = tuple(dict.fromkeys(kind.login for kind in KINDS.values() if kind.login))
#: Days of usage that can be asked for at once.
MOST_DAYS = 3660
#: Characters of a value in a query that are looked at.
_MAX_VALUE_LENGTH = 400


class Asked(Value, frozen=True):
    """A question.

    :param values: the last value of each parameter of its query.
    :param body: what it was sent with.
    :param local: whether who asks is on this machine.
    """

    desk: Desk
    generation: Generation
    values: Mapping[str, str]
    body: bytes = b""
    local: bool = True

    @classmethod
    def of(
        cls, desk: Desk, generation: Generation, query: bytes, body: bytes = b"", *, local: bool = True
    ) -> Asked:
        """A question by a query string."""
        try:
            found = parse_qs(query.decode("utf-8", "replace"), max_num_fields=50)
        except ValueError:
            raise ClientFault.of("invalid_request", "The query has too many parameters.") from None
        values = {name: values[-1][:_MAX_VALUE_LENGTH] for name, values in found.items()}
        return cls(desk, generation, values, body, local)

    def text(self, name: str) -> str:
        """A parameter; empty where it is missing."""
        return self.values.get(name, "").strip()

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 on; of a larger one ``most``.

        :raises ClientFault: status 400: it is none.
        """
        text = self.text(name)
        if not text:
            return min(default, most)
        if not (text.isascii() and text.isdecimal() and int(text[:20])):
            raise _wrong(name, "a whole number, 1 or more")
        return min(int(text[:20]), most)

    def choice(self, name: str, default: str, allowed: Mapping[str, object] | tuple[str, ...]) -> str:
        """One of some words.

        :raises ClientFault: status 400: it is none of them.
        """
        text = self.text(name) or default
        if text and text not in allowed:
            raise _wrong(name, f"one of {', '.join(allowed)}")
        return text

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A flag: ``true`` or ``1``."""
        return self.choice(name, "1" if default else "0", ("0", "1", "true", "false")) in ("1", "true")

    @property
    def folder(self) -> Path | None:
        """The folder of state."""
        return self.generation.runtime.state


def _wrong(name: str, expected: str) -> ExchangeError:
    return ClientFault.of("invalid_request", f"{name}: expected {expected}.", param=name)


async def overview(asked: Asked) -> Overview:
    """The service at a glance."""
    generation = asked.generation
    status = generation.runtime.status()
    accounts = accounts_report(generation).accounts
    today = await usage_of(asked, by="route", days=1)
    return Overview(
        status=status.status,
        version=status.version,
        since=status.since,
        running=len(generation.runtime.live),
        accounts=len(accounts),
        accounts_cooling=sum(account.state not in ("ready", "untried") for account in accounts),
        today=today.total if today.ledger else None,
        amp_saved=today.amp_saved if today.ledger else None,
        amp_spent=today.amp_spent if today.ledger else None,
    )


def alerts(asked: Asked) -> tuple[Alert, ...]:
    """What is wrong now, as far as alerts are configured."""
    alerting = asked.generation.runtime.alerts
    return () if alerting is None else alerting.report().active


async def live(asked: Asked) -> Live:
    """What is under way, and what ended last."""
    return await asked.desk.feed.snapshot()


async def accounts(asked: Asked) -> Report:
    """How the accounts are."""
    return accounts_report(asked.generation)


async def usage_of(asked: Asked, *, by: str = "", days: int = 0) -> Usage:
    """Usage by days and one dimension."""
    by = by or asked.choice("by", "model", DIMENSIONS)
    days = days or asked.number("days", 30, MOST_DAYS)
    generation = asked.generation
    today = day_of_wall(generation.runtime.wall())
    return await asked.desk.apart(
        partial(usage, asked.folder, generation.config, asked.desk.books, by, days, today)
    )


async def client_keys(asked: Asked) -> Keys:
    """The client keys."""
    generation, runtime = asked.generation, asked.generation.runtime
    return await asked.desk.apart(
        partial(
            keys.keys,
            asked.folder,
            generation.config,
            runtime.names_salt,
            runtime.limiter.running.copy(),
            runtime.wall(),
        )
    )


async def models(asked: Asked) -> Models:
    """The models."""
    generation, books = asked.generation, asked.desk.books
    states = {account.label: account.state for account in accounts_report(generation).accounts}
    return await asked.desk.apart(lambda: catalog.models(generation, books.of(generation.config), states))


async def explain(asked: Asked) -> Explanation:
    """Where a request for a model would go."""
    model = asked.text("model")
    if not model:
        raise _wrong("model", "the name of a model")
    role = asked.choice("role", "", ROLES)
    return catalog.explain(asked.generation, model, role, amp=asked.flag("amp", default=True))


async def config(asked: Asked) -> Configuration:
    """The configuration."""
    generation = asked.generation
    status = generation.runtime.status()
    return await asked.desk.apart(partial(configuration.configuration, generation.config, status))


async def log(asked: Asked) -> Log:
    """Rows of the ledger."""
    most = asked.generation.config.page.max_rows
    before = asked.text("before")
    if before and not rows.is_number(before):
        raise _wrong("before", "the number of a row")
    wanted = rows.Wanted(
        before=before,
        most=asked.number("limit", 50, most),
        client=asked.text("client"),
        model=asked.text("model"),
        account=asked.text("account"),
        thread=asked.text("thread"),
        errors=asked.flag("errors"),
    )
    config = asked.generation.config
    return await asked.desk.apart(partial(rows.log, asked.folder, config, asked.desk.books, wanted))


async def doctor(asked: Asked) -> Doctor:
    """The doctor's last visit."""
    return asked.desk.visits.last


async def call_doctor(asked: Asked) -> Doctor:
    """Have the doctor come."""
    config = asked.generation.config
    if config.source is None:
        raise ClientFault.of(
            "not_found", "The configuration came from no file, which the doctor looks at (as in the demo)."
        )
    return asked.desk.visits.begin(config.source, config.page.doctor_timeout)


async def logins(asked: Asked) -> Logins:
    """The vendors, and the login that is under way."""
    return asked.desk.sign_ins.shown()


async def begin_login(asked: Asked) -> Logins:
    """Begin a login."""
    kind = asked.choice("vendor", "", LOGIN_KINDS)
    if not kind:
        raise _wrong("vendor", f"one of {', '.join(LOGIN_KINDS)}")
    device = asked.flag("device")
    return await asked.desk.sign_ins.begin(
        asked.generation, cast("Kind", kind), device=device, local=asked.local
    )


async def finish_login(asked: Asked) -> Logins:
    """Go on with the address at which the browser ended."""
    try:
        pasted = msgspec.json.decode(asked.body, type=Pasted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ClientFault.of("invalid_request", 'The body: expected {"url": "..."}.') from None
    return asked.desk.sign_ins.finish(pasted.url)


async def cancel_login(asked: Asked) -> Logins:
    """Give the login up."""
    return await asked.desk.sign_ins.cancel()


def accounts_json(generation: Generation) -> bytes:
    """How the accounts are, as JSON that differs only where they do: without the seconds that go by."""
    found = accounts_report(generation)
    return msgspec.json.encode([_still(account) for account in msgspec.to_builtins(found.accounts)])


def _still(account: dict[str, object]) -> dict[str, object]:
    kept = ("label", "kind", "state", "rests", "windows", "error", "remedy", "expires_at")
    shown = {name: account[name] for name in kept}
    cooldowns = account["rests"]
    assert isinstance(cooldowns, (list, tuple))
    shown["rests"] = [{**one, "seconds": 0, "until": round(one["until"])} for one in cooldowns]
    return shown
