"""Checks of the configuration, of who can read what, and of the service that should run by it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ampproxy.config.fields import is_loopback
from ampproxy.config.load import ABSENT, read_file, what_helps
from ampproxy.config.parsing import NOT_SUPPORTED
from ampproxy.config.schema import Config
from ampproxy.credentials.report import AccountReport
from ampproxy.credentials.secrets import embedded_secrets
from ampproxy.desktop.clients.gateway import COMMANDS_KEY, Seen, runs_by_another
from ampproxy.desktop.clients.places import cli_secrets
from ampproxy.desktop.clients.running import HELP
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.tenants.shown import expiring
from ampproxy.wire.redact import not_looked_at, printable
from ampproxy.wire.words import counted, span


def configuration(context: Context) -> Iterator[Finding]:
    """Whether it loads, and all that is odd in it."""
    if context.source is None:
        yield problem(ABSENT, what_helps(context.cwd))
        return
    for complaint in context.complaints:
        unread = ": file: cannot be read" in complaint
        todo = "make it readable, or name another one with --config" if unread else "correct the line"
        # What a complaint ends with may be a question.
        yield problem(f"{printable(complaint).rstrip('.?')}.", todo)
    config = context.config
    if config is None:
        return
    foreign = [text for text in config.warnings if NOT_SUPPORTED in text]
    for text in config.warnings:
        if text not in foreign:
            yield warning(f"{printable(text).rstrip('.')}.", "fix the line, or ignore this if it is intended")
    if foreign:
        settings = "1 setting" if len(foreign) == 1 else f"{len(foreign)} settings"
        have = "has" if len(foreign) == 1 else "have"
        yield note(
            f"{settings} of CLIProxyAPI {have} no effect here.",
            f"nothing, or: ampproxy check {context.source} names each, with the reason",
        )
    if config.unseen:
        yield note(f"{not_looked_at(config.unseen)}.", f"nothing; to have them looked at: {HELP}")
    yield ok(f"{context.source} loads.")
    if context.logins_why:
        yield problem(
            f"The folder of logins, {config.auth_dir}, cannot be read: {context.logins_why}.",
            f"make it yours: chown -R $USER {config.auth_dir}",
        )
    for sentence in context.unserved:
        yield warning(f"{sentence}.", "use another account for its models; docs/migrating.md lists the kinds")
    for client, sentence in expiring(config.clients, context.now):
        todo = f"ampproxy key edit {client.name} --expires 90d, or ampproxy key revoke {client.name}"
        yield warning(f"{sentence[0].upper()}{sentence[1:]}.", todo if client.name else "give it another end")
    if not config.clients:
        yield note(
            "There are no api-keys: every program of this machine is served, and spends your accounts.",
            "ampproxy setup makes a key",
        )
    if not is_loopback(config.host) and config.tls is None:
        yield warning(
            f"The gateway listens on {config.host or 'every interface'} without TLS: keys and conversations"
            " cross the network in clear.",
            "set host to 127.0.0.1, or tls",
        )


def sharing(context: Context) -> Iterator[Finding]:
    """Whether other gateways can know what this one learns."""
    if context.config is None:
        return
    state = context.config.state
    if state is None or context.shared_why is None:
        yield ok("No state is shared with other gateways.")
        return
    if not context.shared_why:
        yield ok(f"The state is shared by {state.url}.")
        return
    then = "no request is served" if state.when_away == "fail-closed" else "each gateway goes on by itself"
    yield problem(
        f"The state cannot be shared by {state.url}: {context.shared_why}; meanwhile {then}.",
        "see that Redis runs, and that url, password and certificates in state are right",
    )


def permissions(context: Context) -> Iterator[Finding]:
    """Who else can read or write what holds secrets, or decides where they go."""
    found = list(_permissions(context))
    yield from found
    if not found:
        yield ok("Files with secrets are their owner's alone.")


def _permissions(context: Context) -> Iterator[Finding]:
    config = context.config
    if context.source is not None:
        yield from _file(context.source, "the configuration", secret=_holds_secrets(context.source, config))
    yield from _file(cli_secrets(context.machine), "Amp's keys", secret=True)
    if config is None:
        return
    yield from _folder(config.auth_dir, "logins")
    for path in sorted(config.auth_dir.glob("*.json")):
        yield from _file(path, "a login", secret=True)
    yield from _folder(config.state_dir, "the gateway's state", secret=False)
    yield from _folder(config.state_dir / "setup", "copies of your settings")
    if config.tls is not None:
        yield from _file(config.tls.key, "the listener's private key", secret=True)


def _holds_secrets(path: Path, config: Config | None) -> bool:
    """Whether a secret stands in the file itself, and not in the environment or in another file. Of a file
    that does not load nobody knows.
    """
    if config is None:
        return False
    if config.literal:
        return True
    try:
        text = read_file(path).decode("utf-8", "replace")
    except OSError:
        return False
    return any(secret in text for secret in embedded_secrets(config))


def _file(path: Path, what: str, *, secret: bool) -> Iterator[Finding]:
    mode = _mode(path)
    if mode is None:
        return
    if mode & 0o022:
        yield problem(f"{path} ({what}) can be written by others (mode {mode:04o}).", f"chmod go-w {path}")
    if secret and mode & 0o044:
        yield warning(f"{path} ({what}) can be read by others (mode {mode:04o}).", f"chmod 600 {path}")


def _folder(path: Path, what: str, *, secret: bool = True) -> Iterator[Finding]:
    """:param secret: whether the files in it rely on the folder to keep others out."""
    mode = _mode(path)
    if mode is None:
        return
    if mode & 0o022:
        yield problem(f"{path} ({what}) can be written by others (mode {mode:04o}).", f"chmod 700 {path}")
    elif secret and mode & 0o055:
        yield warning(f"{path} ({what}) is open to others (mode {mode:04o}).", f"chmod 700 {path}")


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def service(context: Context) -> Iterator[Finding]:
    """Whether the gateway is up at its address, or something else is there."""
    config, seen = context.config, context.seen
    if config is None:
        return
    start = f"ampproxy serve --config {context.source}"
    if not context.url or seen is None:
        yield note("With port: 0 the gateway has no address of its own.", "set port, for example to 8317")
    elif seen.state == "ready":
        yield from _ready(context, seen, start)
    elif seen.state == "unasked":
        yield note(
            f"The gateway answers at {context.url}; nothing that needs a client key was asked, because"
            f" none was found here: {seen.why}.",
            f"set {COMMANDS_KEY} to one" if COMMANDS_KEY in seen.why else HELP,
        )
    elif seen.state == "refused":
        yield problem(
            f"The gateway at {context.url} does not take the first key of {context.source} ({seen.why}).",
            f"it runs by another configuration: stop it, then {start}",
        )
    elif seen.state == "down":
        yield problem(f"No answer at {context.url} ({seen.why}).", start)
    elif seen.state == "stranger":
        yield problem(
            f"No key was sent to {context.url}: {seen.why}.",
            "find out who has the port; if it is the service's user, run the doctor as that one",
        )
    elif seen.state == "untrusted" and "expired" in seen.why:
        yield problem(
            f"The certificate of the service at {context.url} has expired: clients refuse it.",
            "renew it; the service reads the new file (tls.cert) by itself",
        )
    elif seen.state == "untrusted":
        yield problem(
            f"The service at {context.url} shows another certificate than tls.cert ({seen.why}).",
            f"restart it: {start}",
        )
    else:
        yield problem(
            f"Something else holds the port: {context.url} is no ampproxy ({seen.why}).",
            f"find it (ss -ltnp 'sport = :{config.port}'), stop it or set another port, then {start}",
        )


def _ready(context: Context, seen: Seen, start: str) -> Iterator[Finding]:
    assert context.config is not None
    if seen.details is not None and runs_by_another(context.source, seen.details):
        yield problem(
            f"The gateway at {context.url} runs by another configuration, {printable(seen.details.config)},"
            f" and not by {context.source}.",
            f"look at that one with --config, or stop the gateway, then {start}",
        )
        return
    if context.config.clients:
        yield ok(f"The gateway runs at {context.url} and takes the first of its api-keys.")
    else:
        yield ok(f"The gateway at {context.url} answers (no client key is set).")
    yield from _other_accounts(context, start)


def _other_accounts(context: Context, start: str) -> Iterator[Finding]:
    assert context.config is not None
    if context.report is None:
        return
    running = {account.label for account in context.report.accounts}
    if running != {account.label for account in context.config.accounts}:
        yield warning(
            "The service has other accounts than the configuration and auth-dir: it runs by another file, or"
            " has refused the last change.",
            f"look at its log, or restart it: {start}",
        )


def accounts(context: Context) -> Iterator[Finding]:
    """How each account is."""
    config = context.config
    if config is None:
        return
    if not config.accounts:
        yield problem(
            "There is no account: no model is served.", "add one to the configuration, or ampproxy login"
        )
    elif context.report is None:
        yield note(
            f"The state of {counted(len(config.accounts), 'account')} is not known:"
            f" {printable(context.report_why)}",
            "start the service",
        )
    else:
        for account in context.report.accounts:
            yield _account(account)


def _account(account: AccountReport) -> Finding:
    label = printable(account.label)
    if account.state == "ready":
        return ok(f"{label} is ready.")
    if account.state == "untried":
        return ok(f"{label} has not been tried since the service started.")
    todo = account.to_do or "renew its key or its login"
    if account.state == "key refused":
        return problem(f"The vendor of {label} refuses its key{_refused(account)}.", todo)
    if account.state == "needs login":
        return problem(f"{label} must log in again{_because(account.error)}.", todo)
    if account.cooldowns:
        cooldown = max(account.cooldowns, key=lambda one: one.seconds)
        scope = f" for {printable(cooldown.model)}" if cooldown.model else ""
        return warning(
            f"{label} is cooling down{scope}: it {cooldown.reason}{_because(cooldown.vendor_message)};"
            f" it is tried again in {span(cooldown.seconds)}.",
            cooldown.suggestion or "no action needed unless it recurs",
        )
    return warning(
        f"{label} is {account.state}{_because(account.error)}.", account.suggestion or "look at the log"
    )


def _refused(account: AccountReport) -> str:
    return _because(
        next((cooldown.vendor_message for cooldown in account.cooldowns if cooldown.vendor_message), "")
    )


def _because(words: str) -> str:
    return f" ({printable(words).rstrip('.')})" if words else ""
