"""``ampproxy login``: use a subscription at Anthropic, OpenAI or Google."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ampproxy.cli.configured import below, config_option, demand, read_config
from ampproxy.config import files
from ampproxy.config.load import NAME, find
from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.credential import label_of
from ampproxy.credentials.oauth.effects import Flow, OpenBrowser
from ampproxy.credentials.oauth.failures import BadFile, LoginError, Refused
from ampproxy.credentials.oauth.formats import FOREIGN, KINDS, Document, Kind, Login, file_name, imported
from ampproxy.credentials.oauth.store import Lock, Store
from ampproxy.credentials.oauth.vendors import VENDORS

#: Seconds that the user may take on the vendor's page.
CALLBACK_TIMEOUT = 300.0
#: Seconds to wait for a renewal of the same login to end.
_LOCK_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Terminal:
    """The user, as far as a login needs one.

    :param show: prints a line.
    :param lines: called with a function; calls it with each line that the user types, then with ``None``.
    :param browser: opens an address; absent where there is no browser to be opened.
    """

    show: Callable[[str], object]
    lines: Callable[[Callable[[str | None], None]], None]
    browser: Callable[[str], object] | None


@click.command("login")
@click.argument("vendor", required=False, type=click.Choice(KINDS))
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening it.")
@click.option("--device", is_flag=True, help="Type a code on the vendor's page, on any machine (codex).")
@click.option(
    "--import",
    "importing",
    is_flag=True,
    help="Copy the login of the vendor's own command line; without VENDOR, of all that are there.",
)
@config_option
def command(vendor: Kind | None, no_browser: bool, device: bool, importing: bool, file: Path | None) -> None:
    """Log in at VENDOR and keep the login in auth-dir, where the running service finds it.

    Without a browser on this machine the address is printed; open it anywhere, and paste the address that the
    browser ends at. Read what is said about the vendor's terms.
    """
    config = settings(file)
    if importing:
        found = find_imports((vendor,) if vendor else KINDS, Path.home())
        _react(config, lambda reactor: import_logins(reactor, config, found, click.echo))
        return
    if vendor is None:
        raise click.UsageError(f"name a vendor: {', '.join(KINDS)}")
    if device and VENDORS[vendor].by_device is None:
        raise click.ClickException(VENDORS[vendor].no_device)
    browser = None if no_browser or not has_display(os.environ, sys.platform) else webbrowser.open
    terminal = Terminal(click.echo, typed_lines, browser)
    _react(config, lambda reactor: sign_in(reactor, config, vendor, terminal, device=device))


def _react(config: Config, act: Callable[[Any], Coroutine[Any, Any, object]]) -> None:
    """Run it to its end, and the process with it; a failure is a sentence and the exit status 1."""
    from twisted.internet.task import react

    async def main(reactor: Any) -> None:
        try:
            await act(reactor)
        except LoginError as error:
            click.echo(f"Error: {error}", err=True)
            raise SystemExit(1) from None
        except OSError as error:
            click.echo(f"Error: {config.auth_dir} cannot be written: {error.strerror}", err=True)
            raise SystemExit(1) from None

    react(main)


def settings(file: Path | None) -> Config:
    """The configuration; where there is none, its defaults: a login needs no file."""
    home = Path.home()
    if file is None and find(home) is None:
        folder = home / ".cli-proxy-api"
        if Path(NAME).exists():
            click.echo(
                f"The {NAME} of this folder is not read unasked; the logins are those in {folder}."
                f" If it is yours: --config {NAME}",
                err=True,
            )
        return Config(auth_dir=folder)
    config = read_config(file)
    demand(below(config, "auth-dir", "proxy-url", "oauth"), "that")
    return config


async def sign_in(
    reactor: Any, config: Config, kind: Kind, terminal: Terminal, *, device: bool = False
) -> Login:
    """One login from its beginning to the file.

    :raises LoginError: there is none.
    :raises OSError: the file cannot be written.
    """
    vendor = VENDORS[kind]
    terminal.show(vendor.terms)
    oauth = vendor.client(config.oauth)
    flow: Flow[Document]
    if device and vendor.by_device is not None:
        flow = vendor.by_device(oauth, secrets.token_urlsafe, time.time)
    else:
        flow = vendor.sign_in(oauth, oauth.redirect_url, secrets.token_urlsafe, time.time)
    document = await run(reactor, config, flow, terminal)
    return save(Store(config.auth_dir), kind, document, terminal.show)


async def run(
    reactor: Any, config: Config, flow: Flow[Document], terminal: Terminal | None = None
) -> Document:
    """Run a flow, with a user if it needs one.

    :raises LoginError: what the flow raises.
    """
    from ampproxy.credentials.oauth.http import Fetch, drive
    from ampproxy.upstream.client import UpstreamClient

    client = UpstreamClient(reactor, connect_timeout=config.timeouts.connect)
    fetch = Fetch(client.send, reactor, proxy=config.proxy_url)
    try:
        if terminal is None:
            return await drive(flow, fetch, reactor)
        user = terminal
        return await drive(
            flow, fetch, reactor, browse=lambda step: _browse(reactor, step, user), show=user.show
        )
    finally:
        await client.close()


async def _browse(reactor: Any, browse: OpenBrowser, terminal: Terminal) -> str:
    """Have the user open the page; what the browser brings back, or the user pastes."""
    from twisted.internet.defer import Deferred
    from twisted.internet.defer import TimeoutError as DeferredTimeout

    from ampproxy.cli.callback import listen, start

    back: Deferred[str] = Deferred()
    listener = listen(reactor, browse, terminal.show)
    starter = None if terminal.browser is None else start(reactor, browse, terminal.show)

    def came(url: str) -> None:
        if not back.called:
            back.callback(url)

    if listener is not None:
        listener.came.addCallback(came)

    def typed(line: str | None) -> None:
        if line is not None and line.strip() and not back.called:
            back.callback(line)
        elif line is None and listener is None and not back.called:
            back.errback(Refused("Nothing was pasted."))

    _ask(reactor, browse, browse.url if starter is None else starter.url, terminal, typed)
    try:
        return await back.addTimeout(CALLBACK_TIMEOUT, reactor)
    except DeferredTimeout:
        raise Refused(_LATE) from None
    finally:
        for port in (listener, starter):
            if port is not None:
                await port.close()


_LATE = f"No callback within {CALLBACK_TIMEOUT / 60:.0f} minutes: start again."


def _ask(
    reactor: Any, browse: OpenBrowser, opens: str, terminal: Terminal, typed: Callable[[str | None], None]
) -> None:
    """Open the page, or say its address, and take what is typed.

    :param opens: the address that the browser is given.
    """
    if terminal.browser is not None:
        reactor.callInThread(terminal.browser, opens)
        terminal.show("The browser opens this address; if it does not, open it yourself:")
    else:
        terminal.show("Open this address in a browser:")
    terminal.show(f"\n  {browse.url}\n")
    terminal.show(
        "If the browser runs on another machine, it will end at an address that it cannot reach"
        f" ({browse.redirect_url}?...): paste that address here."
    )
    terminal.lines(lambda line: reactor.callFromThread(typed, line))


def save(store: Store, kind: Kind, document: Document, show: Callable[[str], object]) -> Login:
    """Write a login to its file and say where.

    :raises LoginError: a renewal of the same login does not end.
    :raises OSError: it cannot be written.
    """
    name = file_name(kind, document)
    with locked(store, name):
        login = store.add(name, document)
    show(f"{label_of(login)} is logged in: {store.folder / name}")
    exposed = store.exposed()
    if exposed:
        show(f"Warning: {exposed}")
    return login


def locked(store: Store, name: str) -> Lock:
    """The lock of a login, waited for.

    :raises LoginError: somebody else has it for too long.
    """
    until = time.monotonic() + _LOCK_WAIT
    while (lock := store.lock(name)) is None:
        if time.monotonic() > until:
            raise LoginError(f"{name} is being renewed by another process: try again in a minute")
        time.sleep(0.05)
    return lock


@dataclass(frozen=True, slots=True)
class Import:
    """A login of a vendor's own command line, and where it was found."""

    kind: Kind
    path: Path
    document: Document


def find_imports(kinds: tuple[Kind, ...], home: Path) -> list[Import]:
    """The logins of the vendors' own command lines.

    :raises click.ClickException: there is none, or one cannot be read.
    """
    found = []
    for kind in kinds:
        path = home / FOREIGN[kind]
        try:
            found.append(Import(kind, path, imported(kind, files.read(path, files.MAX_CONFIG))))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
        except BadFile as error:
            raise click.ClickException(f"{path}: {error}") from None
    if not found:
        looked = ", ".join(str(home / FOREIGN[kind]) for kind in kinds)
        raise click.ClickException(f"no login found to import; looked for {looked}")
    return found


async def import_logins(
    reactor: Any, config: Config, found: list[Import], show: Callable[[str], object]
) -> list[Login]:
    """Copy logins into auth-dir; one at Google is asked for the project that it serves under.

    :raises LoginError: a renewal of the same login does not end.
    :raises OSError: a file cannot be written.
    """
    done = []
    for one in found:
        show(VENDORS[one.kind].terms)
        document = one.document
        if one.kind == "gemini":
            document = await _completed(reactor, config, document, show)
        done.append(save(Store(config.auth_dir), one.kind, document, show))
        show(_SHARED.format(path=one.path, vendor=VENDORS[one.kind].name))
    return done


async def _completed(
    reactor: Any, config: Config, document: Document, show: Callable[[str], object]
) -> Document:
    """A login at Google with its address and its project, as far as they can be had."""
    from ampproxy.credentials.oauth.gemini import complete

    try:
        return await run(reactor, config, complete(config.oauth.gemini, document, time.time))
    except LoginError as error:
        show(
            f"Warning: its project is not known and its token cannot be renewed until this is mended: {error}"
        )
        return document


_SHARED = (
    "{path} now shares this login. Whichever program renews it first may log the other one out: {vendor}"
    " can revoke a login whose old refresh token is used again. A login of its own is safer."
)


def has_display(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser with a window can be opened: one in the terminal would fight with us for it."""
    if platform == "darwin":
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("BROWSER"))


def typed_lines(take: Callable[[str | None], None]) -> None:
    """Read lines in a thread that does not keep the program from ending."""

    def read() -> None:
        for line in sys.stdin:
            take(line)
        take(None)

    threading.Thread(target=read, name="typed", daemon=True).start()
