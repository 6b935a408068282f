"""Checks of the ledger's database, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.wire.redact import printable

#: Seconds that clocks may differ: days, and the limits of clients, begin by them.
MAX_SKEW_SECONDS = 2.0


def database(context: Context) -> Iterator[Finding]:
    """Whether it can be used, who could read what is sent there, and what waits for it."""
    found = context.database
    status = None if context.seen is None else context.seen.details
    if status is not None and status.ledger and (found is None or not found.why):
        yield problem(
            f"The service cannot write the ledger: {printable(status.ledger)}.",
            f"make room in {status.state_dir}, or remove the cause; requests are served all the same",
        )
    if found is None and status is not None and status.ledger:
        return
    if found is None:
        yield ok("Exchanges are kept on this machine (setting: ledger.url).")
        return
    if found.why:
        yield problem(
            f"The ledger's database cannot be used: {found.why.rstrip('.')}.",
            "mend it, or correct ledger.url; until then exchanges wait in state-dir, up to ledger.spool-size",
        )
    else:
        yield ok(f"The ledger's database answers: {found.name}, {found.server}.")
    if found.exposed:
        yield warning(
            "What is sent to the ledger's database crosses the network in clear.",
            "add sslmode=verify-full to ledger.url, with sslrootcert= where the authority is your own",
        )
    if abs(found.skew) > MAX_SKEW_SECONDS:
        ahead = "ahead of" if found.skew > 0 else "behind"
        yield warning(
            f"The clock of the ledger's database is {abs(found.skew):.0f} s {ahead} this machine's.",
            "synchronize both with NTP: an exchange counts on the day that its replica's clock shows",
        )
    if found.waiting:
        yield note(
            f"{found.waiting} bytes of exchanges wait on this machine's disk for the ledger's database.",
            "nothing while the service runs: it writes them when the database takes them",
        )
