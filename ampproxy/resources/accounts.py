"""How the accounts are, for the owner on this machine: what ``ampproxy accounts`` shows."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.credentials.report import AccountReport, LoginStatus, Report, report
from ampproxy.errors import ClientFault
from ampproxy.resources.base import GatewayResource
from ampproxy.resources.site import GatewayRequest


class AccountsResource(GatewayResource):
    """The state of every account, as JSON. From this machine only, and with a client key."""

    def admit(self, request: GatewayRequest) -> None:
        """Only ``GET`` of this very path, from this machine, with a key."""
        super().admit(request)
        if not request.is_local():
            raise ClientFault.of("permission", "The accounts are shown on the gateway's own machine only.")
        self.gateway.guard.admit(request.requestHeaders, request.query)
        if request.postpath:
            raise ClientFault.of("not_found", "There is nothing below the accounts.")
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", "The accounts can only be read.", status=405)

    def render(self, request: GatewayRequest) -> Any:
        """Tell it."""
        gateway = self.gateway
        told = report(
            gateway.config.accounts, gateway.pool.state, gateway.clock.seconds(), gateway.around.wall()
        )
        logins = {status.label: status for status in gateway.around.login_statuses()}
        accounts = [_with_login(account, logins.get(account.label)) for account in told.accounts]
        request.answer(200, msgspec.json.encode(Report(tuple(accounts))))


def _with_login(account: AccountReport, login: LoginStatus | None) -> AccountReport:
    if login is None:
        return account
    return msgspec.structs.replace(
        account,
        state=account.state if login.state == "ok" else login.state,
        expires_at=login.ends_at,
        error=login.error,
        remedy=login.remedy,
    )
