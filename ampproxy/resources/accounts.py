"""How the accounts are, for the owner on this machine: what ``ampproxy accounts`` shows."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from ampproxy.credentials.names import account_name
from ampproxy.credentials.report import Forgotten, Report, report, with_lessons, with_login_states
from ampproxy.errors import ClientFault, GatewayFault
from ampproxy.generation import Generation
from ampproxy.resources.access import shield
from ampproxy.resources.admin import AdminResource, OrderResource
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.redact import LOOKED_AT, printable


class AccountsResource(AdminResource):
    """The state of every account."""

    what = "accounts"

    def content(self) -> Report:
        """How each is, and how its login is."""
        return accounts_report(self.generation)


def accounts_report(generation: Generation) -> Report:
    """How the accounts are, and their logins."""
    found = report(
        generation.config.accounts,
        generation.pool.state,
        generation.runtime.clock.seconds(),
        generation.runtime.wall(),
    )
    found = with_lessons(found, generation.runtime.lessons)
    return with_login_states(found, generation.runtime.login_statuses())


class ForgetResource(OrderResource):
    """``/ampproxy/forget``: forgets what accounts have taught, as ``ampproxy accounts forget`` does. The
    query's ``account`` (labels) and ``model`` choose; without them all is forgotten.
    """

    what = "Forgetting"

    def render(self, request: GatewayRequest) -> Any:
        shield(request)
        asked = parse_qs(request.query.decode("latin-1"))
        names = {account.label: account_name(account) for account in self.generation.config.accounts}
        labels = asked.get("account", [])
        unknown = next((label for label in labels if label not in names), None)
        if unknown is not None:
            raise ClientFault.of("not_found", f"There is no account {printable(unknown[:LOOKED_AT])}.")
        chosen = [names[label] for label in labels] if labels else None
        count = self.generation.runtime.lessons.forget(chosen, asked.get("model", [""])[-1])
        if count and (trouble := self.generation.runtime.lessons.trouble):
            raise GatewayFault.of(
                "internal",
                f"It is forgotten only until a restart: the file in state-dir cannot be written ({trouble}).",
            )
        request.answer(200, msgspec.json.encode(Forgotten(count)))
