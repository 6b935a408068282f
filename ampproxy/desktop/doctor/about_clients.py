"""Checks of Amp's clients: which there are, where they go, and with which key."""

from __future__ import annotations

from collections.abc import Iterator

from ampproxy.amp.clients import MEANING, Generation
from ampproxy.desktop.clients.installed import NEWEST_CLASSIC, Installed
from ampproxy.desktop.clients.places import AMP, EDITORS, KEY_VARIABLE, SETTINGS_VARIABLE, URL, URL_VARIABLE
from ampproxy.desktop.clients.running import HELP
from ampproxy.desktop.clients.scan import Setting, host_of, same_address, shown_url
from ampproxy.desktop.doctor.context import Context
from ampproxy.desktop.doctor.finding import Finding, note, ok, problem, warning
from ampproxy.model.clients import KnownKeys
from ampproxy.wire.authority import listed_authority
from ampproxy.wire.redact import Secret, Unseen, printable

_CLASSIC = f"npm install -g @sourcegraph/amp@{NEWEST_CLASSIC}"
_PRESENT = "npm install -g @ampcode/cli"


def installed(context: Context) -> Iterator[Finding]:
    """Which clients there are, and who makes their model calls."""
    connected = context.config is not None and context.config.neo is not None
    for number, client in enumerate(context.clis):
        if number:
            first = context.clis[0].path
            yield note(
                f"{_name(client)} is installed, too, but {first} comes first in PATH.",
                "remove the one that you do not use",
            )
        else:
            yield _judged(client, connected)
    for editor in context.editors:
        yield _judged(editor, connected)
    if not context.clis and not context.editors:
        yield note(
            "No client of Amp's was found on this machine.",
            f"to use Amp here: {_PRESENT}, or the last classic one: {_CLASSIC}",
        )


def _judged(client: Installed, connected: bool) -> Finding:
    version = client.version
    if version is None:
        return note(
            f"{_name(client)} does not report its version, so its generation is unknown.",
            "update Amp's extension",
        )
    generation = version.generation
    if generation is None:
        return note(
            f"{_name(client)} is a version whose model routing this release does not recognise.",
            f"the newest that is known to bring them here: {_CLASSIC}",
        )
    if generation is Generation.CLASSIC:
        return ok(f"{_name(client)} is {generation.value}: {MEANING[generation]}.")
    text = f"{_name(client)} is of the generation {generation.value}: {MEANING[generation]}."
    if connected:
        return ok(text)
    todo = "to use your own accounts: ampproxy neo setup"
    if client.kind == "cli":
        todo += f"; or {_CLASSIC}, with amp.updates.mode set to disabled"
    return warning(text, todo)


def _name(client: Installed) -> str:
    version = f" {client.version.text} of {client.version.day}" if client.version is not None else ""
    what = client.name if client.kind == "cli" else f"Amp's extension in {client.name}"
    return printable(f"{what}{version} ({client.path})")


def addresses(context: Context) -> Iterator[Finding]:
    """Where the CLI goes by its environment and its settings, and every other place that tells an address."""
    if context.url:
        yield _cli_address(context)
    for found in context.settings:
        if found.name == SETTINGS_VARIABLE:
            yield note(
                f"{_where(found)} sets {SETTINGS_VARIABLE}, so the CLI reads another settings file.",
                "unset it if that is not meant",
            )
        elif found.value and found.scope not in ("settings", "environment"):
            yield from _address(context, found)
    if context.url:
        yield from _silent_editors(context)
    for unread in context.unread:
        level = problem if unread.scope in ("settings", "editor") else warning
        yield level(
            f"{printable(unread.where)} cannot be read: {printable(unread.why)}.",
            "mend it: the program that it belongs to reads it no better",
        )


def _silent_editors(context: Context) -> Iterator[Finding]:
    """Editors with the extension and without an address."""
    having = {found.where for found in context.settings if found.name == URL}
    names = {client.name for client in context.editors}
    for editor in EDITORS:
        if editor.name in names and str(editor.settings(context.machine)) not in having:
            yield note(f"{editor.name} has Amp's extension, which goes to {AMP}.", "ampproxy setup --vscode")


def is_gateway(context: Context, url: str) -> bool:
    """Whether an address is the gateway's, by whatever name."""
    if context.config is None or not context.url:
        return False
    listed = filter(None, map(listed_authority, context.config.allowed_hosts))
    return same_address(url, context.url) or host_of(url) in {one.host for one in listed}


def _cli_address(context: Context) -> Finding:
    """Where the CLI goes that is started in this environment."""
    url, where = cli_address(context)
    if is_gateway(context, url):
        return ok(f"Amp's CLI goes to the gateway, {shown_url(url)} ({where}).")
    todo = "ampproxy setup"
    if where == "the environment":
        todo = f"unset {URL_VARIABLE}, then ampproxy setup"
    return warning(
        f"Amp's CLI goes to {shown_url(url)} ({where}), not to the gateway at {context.url}.", todo
    )


def cli_address(context: Context) -> tuple[str, str]:
    """The address that the CLI uses in this environment, and what tells it."""
    for scope in ("environment", "settings"):
        for found in context.settings:
            if found.scope == scope and found.value and found.name in (URL, URL_VARIABLE):
                return found.value, printable(found.where)
    return AMP, "no setting changes it"


def _address(context: Context, found: Setting) -> Iterator[Finding]:
    here = is_gateway(context, found.value)
    sentence = f"{_where(found)} sets {found.name} to {shown_url(found.value)}"
    if found.scope == "workspace":
        yield warning(
            f"{sentence}, within a folder that others may have written: a repository must not decide where"
            " your key goes.",
            "remove it there",
        )
    elif found.scope == "managed":
        yield note(f"{sentence}, for all users of this machine.")
    elif here:
        yield ok(f"{sentence}, which is the gateway.")
    elif context.url:
        before = ", which goes before the settings" if found.scope == "shell" else ""
        yield warning(f"{sentence}{before}: that is not the gateway at {context.url}.", "change or remove it")


def keys(context: Context) -> Iterator[Finding]:
    """Which key the CLI presents, and whether the gateway knows it."""
    if context.keys_why:
        yield problem(
            f"Amp's secrets file cannot be read: {printable(context.keys_why)}.",
            "mend it, or remove it and log in again",
        )
    for found in context.settings:
        if found.key is not None and found.scope != "environment":
            yield from _key_in_a_file(context, found)
    url, _ = cli_address(context)
    if context.config is None or not is_gateway(context, url):
        return
    key, where = _cli_key(context, url)
    if key is None:
        yield _no_key(context, url)
    elif not context.config.clients or key in KnownKeys(context.config.clients):
        yield ok(f"Amp's CLI presents a key that the gateway takes ({where}).")
    elif any(isinstance(one, Unseen) for one in context.config.api_keys):
        yield note(
            f"Whether the key that Amp's CLI presents ({where}) is one of the gateway's is not known: not all"
            " of those are to be had here.",
            HELP,
        )
    elif context.config.ampcode.accept_amp_keys:
        yield note(
            f"The key that Amp's CLI presents ({where}) is not one of the gateway's api-keys: it is"
            " accepted only if Amp knows it (ampcode.accept-amp-keys).",
        )
    else:
        yield problem(
            f"The key that Amp's CLI presents ({where}) is not one of the gateway's api-keys: it is refused.",
            "ampproxy setup, or add the key to api-keys"
            + (f", and unset {KEY_VARIABLE}" if "environment" in where else ""),
        )


def _cli_key(context: Context, url: str) -> tuple[Secret | None, str]:
    """The key that the CLI sends to an address, and where it is from."""
    for found in context.settings:
        if found.scope == "environment" and found.name == KEY_VARIABLE:
            return found.key, f"{KEY_VARIABLE} in the environment"
    stored = next((kept.key for kept in context.keys if kept.url == url), None)
    return stored, "its secrets file"


def _no_key(context: Context, url: str) -> Finding:
    if any(same_address(kept.url, url) for kept in context.keys):
        return problem(
            f"Amp's CLI has a key for {shown_url(url)}, but the configured address differs"
            " (trailing slash?), so the key is not found.",
            "ampproxy setup",
        )
    level = problem if context.config is not None and context.config.clients else warning
    return level(f"Amp's CLI has no key for {shown_url(url)} and will ask to log in.", "ampproxy setup")


def _key_in_a_file(context: Context, found: Setting) -> Iterator[Finding]:
    sentence = f"{_where(found)} holds a key ({found.name})"
    known = context.config is not None and found.key in KnownKeys(context.config.clients)
    unseen = context.config is not None and any(isinstance(one, Unseen) for one in context.config.api_keys)
    if found.scope == "workspace":
        yield warning(
            f"{sentence}, in a folder that may be shared.", "remove it there, and revoke it if it was shared"
        )
    elif found.scope == "shell":
        if context.config is None or (unseen and not known):
            # There is no gateway yet for which it could be a wrong one, or not all of its keys are here.
            yield note(f"{sentence}, which goes before the CLI's own.")
            return
        which = "which the gateway takes" if known else "which is not one of the gateway's api-keys"
        yield (note if known else warning)(
            f"{sentence}, {which}, and which goes before the CLI's own.", "" if known else "remove it"
        )
    else:
        yield note(f"{sentence}, where none is looked for.", "remove it")


def _where(found: Setting) -> str:
    where = printable(found.where)
    return where[:1].upper() + where[1:] if where.startswith("the ") else where
