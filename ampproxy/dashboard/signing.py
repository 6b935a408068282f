"""Logins from the page: one at a time, by the flows of ``ampproxy login``.

The vendor's page sends the browser back to a port of this machine, where the end of the login is taken. A
browser on another machine ends at an address that it cannot reach; its user pastes it into the page.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure

from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.credential import label_of
from ampproxy.credentials.oauth.effects import Flow, OpenBrowser
from ampproxy.credentials.oauth.failures import LoginError, Refused
from ampproxy.credentials.oauth.formats import Document, Kind, file_name
from ampproxy.credentials.oauth.http import Fetch, drive
from ampproxy.credentials.oauth.store import Store
from ampproxy.credentials.oauth.vendors import VENDORS
from ampproxy.dashboard.shapes import Logins, SignIn, Vendor
from ampproxy.desktop.callback import listen
from ampproxy.errors import ClientFault
from ampproxy.generation import Generation

#: Seconds that the user may take on the vendor's page.
CALLBACK_TIMEOUT = 300.0
#: Seconds to wait for a renewal of the same login to end, and between two looks.
_LOCK_WAIT, _LOCK_LOOK = 30.0, 0.05


class SignIns:
    """The login that is under way, or the last one.

    :param reactor: its clock and its ports.
    :param in_thread: runs what waits for a disk.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        wall: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._wall = wall
        self._last: SignIn | None = None
        self._working: Deferred[Any] | None = None
        self._back: Deferred[str] | None = None

    def shown(self) -> Logins:
        """The vendors, and how the login is."""
        vendors = tuple(
            Vendor(kind, vendor.name, vendor.terms, vendor.by_device is not None)
            for kind, vendor in VENDORS.items()
        )
        return Logins(vendors, self._last)

    async def begin(self, generation: Generation, kind: Kind, *, device: bool, local: bool) -> Logins:
        """Begin one; what is under way is given up.

        :param local: whether the browser is on this machine, so that it can come back to it.
        :raises ClientFault: the vendor has no device flow.
        """
        vendor = VENDORS[kind]
        if device and vendor.by_device is None:
            raise ClientFault.of("invalid_request", vendor.no_device)
        await self.cancel()
        config = generation.config
        client = vendor.client(config.oauth)
        if device and vendor.by_device is not None:
            flow = vendor.by_device(client, secrets.token_urlsafe, self._wall)
        else:
            flow = vendor.sign_in(client, client.redirect_url, secrets.token_urlsafe, self._wall)
        self._last = SignIn(kind, "working", self._wall())
        self._working = Deferred.fromCoroutine(self._run(generation, kind, flow, local))
        self._working.addErrback(self._failed, generation)
        return self.shown()

    def finish(self, pasted: str) -> Logins:
        """The user has pasted the address at which the browser ended.

        :raises ClientFault: no login waits for it.
        """
        back = self._back
        if back is None or back.called:
            raise ClientFault.of("invalid_request", "No login waits for an address: begin one.")
        back.callback(pasted.strip())
        return self.shown()

    async def cancel(self) -> Logins:
        """Give up what is under way, and wait until its port is free."""
        working, self._working = self._working, None
        if working is not None:
            ended: Deferred[None] = Deferred()
            working.addBoth(lambda _: ended.callback(None))
            working.cancel()
            await ended
        return self.shown()

    async def _run(self, generation: Generation, kind: Kind, flow: Flow[Document], local: bool) -> None:
        runtime, config = generation.runtime, generation.config
        fetch = Fetch(runtime.client.send, self._reactor, proxy=config.proxy_url)
        browse = partial(self._browse, local=local)
        document = await drive(flow, fetch, self._reactor, browse=browse, show=self._show)
        label = await self._in_thread(partial(_save, config, kind, document))
        self._become("done", f"{label} is logged in. Its account appears above within some seconds.")

    async def _browse(self, browse: OpenBrowser, *, local: bool) -> str:
        """Have the user open the vendor's page; what the browser brings back, or the user pastes."""
        back: Deferred[str] = Deferred()
        listener = listen(self._reactor, browse, self._show) if local else None
        if listener is not None:
            listener.came.addCallback(lambda url: None if back.called else back.callback(url))
        self._back = back
        self._become("waiting", url=browse.url, ends=browse.redirect_url)
        try:
            url = await back.addTimeout(CALLBACK_TIMEOUT, self._reactor)
        except DeferredTimeout:
            minutes = f"{CALLBACK_TIMEOUT / 60:.0f} minutes"
            raise Refused(f"The browser did not come back within {minutes}: begin again.") from None
        finally:
            self._back = None
            if listener is not None:
                await listener.close()
        self._become("working")
        return url

    def _show(self, text: str) -> None:
        """Something that the user must know."""
        assert self._last is not None
        self._become(self._last.state, text, self._last.url, self._last.ends)

    def _become(self, state: Any, text: str = "", url: str = "", ends: str = "") -> None:
        last = self._last
        assert last is not None
        self._last = SignIn(last.kind, state, last.started_at, url, ends, text)

    def _failed(self, failure: Failure, generation: Generation) -> None:
        if failure.check(CancelledError):
            self._become("failed", "Given up.")
        elif failure.check(LoginError):
            self._become("failed", str(failure.value))
        elif failure.check(OSError):
            folder = generation.config.auth_dir
            reason = getattr(failure.value, "strerror", None) or type(failure.value).__name__
            self._become("failed", f"{folder} cannot be written: {reason} (setting: auth-dir).")
        else:
            generation.runtime.log.failure("Unhandled error while logging in", failure)
            self._become("failed", "An internal error; the log of the gateway has more.")


def _save(config: Config, kind: Kind, document: Document) -> str:
    """Write a login to its file; gives the label of its account. Waits, so it is called in a thread.

    :raises LoginError: a renewal of the same login does not end.
    :raises OSError: it cannot be written.
    """
    store, name = Store(config.auth_dir), file_name(kind, document)
    until = time.monotonic() + _LOCK_WAIT
    while (lock := store.lock(name)) is None:
        if time.monotonic() > until:
            raise LoginError(f"{name} is being renewed by another process: try again in a minute.")
        time.sleep(_LOCK_LOOK)
    with lock:
        return label_of(store.add(name, document))
