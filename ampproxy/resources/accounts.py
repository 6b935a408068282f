"""How the accounts are, for the owner on this machine: what ``ampproxy accounts`` shows."""

from __future__ import annotations

import msgspec

from ampproxy.credentials.report import AccountReport, LoginStatus, Report, report
from ampproxy.resources.admin import AdminResource


class AccountsResource(AdminResource):
    """The state of every account."""

    what = "accounts"

    def tell(self) -> Report:
        """How each is, and how its login is."""
        generation = self.generation
        told = report(
            generation.config.accounts,
            generation.pool.state,
            generation.runtime.clock.seconds(),
            generation.runtime.wall(),
        )
        logins = {status.label: status for status in generation.runtime.login_statuses()}
        return Report(tuple(_with_login(account, logins.get(account.label)) for account in told.accounts))


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
