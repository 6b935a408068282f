"""The service: a configuration comes in force whole or not at all, and what is under way ends in order."""

from __future__ import annotations

import json
import os
import socket
import unittest
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import formatEvent
from twisted.web.http_headers import Headers

from ampproxy.assembly import Outside, Start, assemble
from ampproxy.config.load import load
from ampproxy.config.schema import Config
from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.errors import ConfigError, ExchangeError
from ampproxy.service import GatewayService
from ampproxy.tap import build
from tests.ports import free_port

CONFIG = """
port: 0
api-keys: [client-key]
claude-api-key: [{api-key: account-key, base-url: "http://127.0.0.1:1", models: [m]}]
"""


class Reactor(MemoryReactorClock):  # type: ignore[misc]
    """Its ports can be paused, as those of a real one."""

    def adoptStreamPort(self, *args: Any) -> Any:
        port: Any = super().adoptStreamPort(*args)
        port.stopReading = port.startReading = lambda: None
        return port


class Request:
    """One that is being served."""

    client_key = taken = None

    def __init__(self) -> None:
        self.error: ExchangeError | None = None

    def is_local(self) -> bool:
        return True

    def abort(self, error: ExchangeError) -> None:
        self.error = error


class Serving(unittest.TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.reactor: Any = Reactor()
        self.events: list[dict[str, Any]] = []
        self.service = self.make(CONFIG)
        self.start(self.service.listen)
        self.addCleanup(self.service.listeners.close)

    def config(self, text: str) -> Config:
        path = self.folder / "config.yaml"
        path.write_text(text)
        return load(path, environ={}, home=self.folder)

    def make(self, text: str) -> GatewayService:
        return build(
            self.config(text), self.reactor, environ={}, home=self.folder, observer=self.events.append
        )

    def start(self, coroutine: Callable[[], Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine())

    def said(self) -> list[str]:
        return [event.get("log_format", "") for event in self.events]

    def connect_timeout(self) -> float:
        """Seconds that a request to the account may take to connect."""
        self.service.current.runtime.client.send("GET", "http://127.0.0.1:1/", Headers())
        timeout: float = self.reactor.tcpClients[-1][3]
        return timeout

    def test_connect_timeout(self) -> None:
        """It holds from the next connection on, on the way through a proxy too."""
        self.assertEqual(self.connect_timeout(), 10.0)
        told = self.service.use(self.config(CONFIG + "timeouts: {connect: 3s}\n"))
        self.assertEqual(told, ("timeouts.connect: 10s -> 3s",))
        self.assertEqual(self.connect_timeout(), 3.0)

    def test_proxies_that_are_gone(self) -> None:
        """Nothing is kept of a proxy that the configuration does not name any more."""
        client = self.service.current.runtime.client
        for number in range(5):
            proxy = f"http://127.0.0.1:{number + 1}"
            self.service.use(self.config(f"{CONFIG}proxy-url: '{proxy}'\n"))
            client.send("GET", "http://a.test/", Headers(), None, proxy)
        self.assertEqual(len(client._proxied), 1)

    def test_defect(self) -> None:
        """If anything goes wrong on the way, nothing has changed: no setting, no port, no number."""
        before = self.service.current, self.service.site.resource, self.service.ports
        port = free_port()
        text = CONFIG.replace("port: 0", f"port: {port}") + "timeouts: {connect: 3s}\n"
        fails = patch("ampproxy.service.Generation", side_effect=KeyError("a defect"))
        with fails, self.assertRaises(KeyError):
            self.service.use(self.config(text))
        self.assertEqual((self.service.current, self.service.site.resource, self.service.ports), before)
        self.assertEqual(self.service.generation, 1)
        self.assertEqual(self.connect_timeout(), 10.0)
        self.reactor.advance(1)
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))

    def test_defect_in_telling(self) -> None:
        """A defect in what is only told keeps nothing from coming in force."""
        self.service._in_force = (lambda *_: 1 / 0,)
        with patch("ampproxy.service.shown_changes", side_effect=KeyError("a defect")):
            self.assertEqual(self.service.use(self.config(CONFIG.replace("client-key", "other"))), ())
        self.assertEqual(self.service.site.generation, 2)
        self.assertTrue(self.service.current.guard.knows(b"other"))
        self.assertEqual(len([line for line in self.said() if "Unhandled error" in line]), 2)

    def test_taken_address(self) -> None:
        """A file whose address is taken is refused with its line, whatever else is in it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            text = CONFIG.replace("port: 0", f"port: {taken.getsockname()[1]}").replace("client-key", "other")
            with self.assertRaises(ConfigError) as caught:
                self.service.use(self.config(text))
        self.assertTrue(caught.exception.complaints[0].startswith(f"{self.folder}/config.yaml:2: port: "))
        self.assertTrue(self.service.current.guard.knows(b"client-key"))

    def test_keys_removed_from_an_open_port(self) -> None:
        """A port that others can reach is never left without keys."""
        self.service = build(
            self.config(CONFIG),
            self.reactor,
            listen=("tcp:0",),
            environ={},
            home=self.folder,
            observer=self.events.append,
        )
        self.start(self.service.listen)
        self.addCleanup(self.service.listeners.close)
        with self.assertRaises(ConfigError) as caught:
            self.service.use(self.config(CONFIG.replace("api-keys", "ignored")))
        self.assertIn("api-keys", caught.exception.complaints[0])
        self.assertFalse(self.service.current.guard.open)
        told = self.service.use(self.config(CONFIG.replace("port: 0", "port: 1")))
        self.assertEqual(told, ("port: 0 -> 1 (without effect: --listen sets where to listen)",))

    def test_keys_lost(self) -> None:
        """A file in which the keys are missing, as one that was cut off, opens nothing."""
        lost = CONFIG.replace("api-keys: [client-key]", "")
        self.assertNotIn("api-keys", lost)
        with self.assertRaises(ConfigError) as caught:
            self.service.use(self.config(lost))
        self.assertIn(
            f"{self.folder}/config.yaml:1: api-keys: is missing now", caught.exception.complaints[0]
        )
        self.assertFalse(self.service.current.guard.open)
        self.assertEqual(self.service.generation, 1)
        self.service.use(self.config(lost + "api-keys: []\n"))
        self.assertTrue(self.service.current.guard.open)
        # And what was open may stay so without saying it again.
        self.service.use(self.config(lost))
        self.assertTrue(self.service.current.guard.open)

    def test_open_is_told(self) -> None:
        """That everybody is served stands in the log: at the start, and when it becomes so, once."""

        def told() -> int:
            return sum(line.startswith("There are no api-keys: every user") for line in self.said())

        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.assertEqual(told(), 0)
        for _ in range(2):
            self.service.use(self.config(CONFIG.replace("[client-key]", "[]") + "debug: true\n"))
            self.assertEqual(told(), 1)
        other = self.make(CONFIG.replace("api-keys: [client-key]", ""))
        other.startService()
        self.addCleanup(other.stopService)
        self.assertEqual(told(), 2)

    def test_another_folder_of_logins(self) -> None:
        """Its logins serve, those of the folder before no more; what fails later leaves them as they were."""
        for name in ("one", "two"):
            (self.folder / name).mkdir()
            login = {"type": "claude", "email": f"{name}@a.test", "access_token": "t", "refresh_token": "r"}
            (self.folder / name / "a.json").write_text(json.dumps(login))
        self.service.use(self.config(f"{CONFIG}auth-dir: {self.folder}/one\n"))
        self.service.attach_logins()
        self.assertEqual(self.logins(), ["one@a.test"])
        two = self.config(f"{CONFIG}auth-dir: {self.folder}/two\n")
        fails = patch("ampproxy.service.Generation", side_effect=KeyError("a defect"))
        with fails, self.assertRaises(KeyError):
            self.service.use(two)
        self.assertEqual(self.logins(), ["one@a.test"])
        self.service.use(two)
        self.assertEqual(self.logins(), ["two@a.test"])
        self.assertEqual(len(self.service.login_statuses()), 1)

    def logins(self) -> list[str]:
        return [
            account.label.rpartition(":")[2]
            for account in self.service.current.config.accounts
            if account.token is not None
        ]

    def test_oauth_settings(self) -> None:
        """Other settings of logins change the accounts that they make."""
        (self.folder / "a.json").write_text(json.dumps({"type": "claude", "access_token": "t"}))
        text = f"{CONFIG}auth-dir: {self.folder}\n"
        self.service.use(self.config(text))
        self.service.attach_logins()
        self.service.use(self.config(text + "oauth: {claude: {base-url: 'http://127.0.0.1:2'}}\n"))
        urls = [account.base_url for account in self.service.current.config.accounts if account.token]
        self.assertEqual(urls, ["http://127.0.0.1:2"])

    def test_nothing_of_the_old_one_stays(self) -> None:
        """A configuration that nobody is served by any more is gone at once, without a look through
        memory.
        """
        import gc
        import weakref

        gone = weakref.ref(self.service.current)
        gc.disable()
        self.addCleanup(gc.enable)
        self.service.use(self.config(CONFIG))
        self.assertIsNone(gone())

    def test_leaving(self) -> None:
        """A process that another one replaced ends when the last of its exchanges does."""
        running = self.service.current.runtime.running
        request = Request()
        running.begin(request)
        left = self.start(lambda: self.service.leave(7))
        self.assertEqual(self.service.status().status, "draining")
        self.reactor.advance(599)
        self.assertFalse(left.called)
        running.end(request)
        self.reactor.advance(10)
        self.assertTrue(left.called)
        self.assertIsNone(request.error)

    def test_leaving_takes_too_long(self) -> None:
        """What has not ended by then is told why it is cut off."""
        request = Request()
        self.service.current.runtime.running.begin(request)
        left = self.start(lambda: self.service.leave(7))
        self.reactor.pump([1.0] * 600)
        self.reactor.pump([0.1] * 20)
        self.assertTrue(left.called)
        assert request.error is not None
        self.assertIn("timeouts.drain", request.error.error.message)

    def test_told_to_hurry(self) -> None:
        """What is cut off because nobody waits any longer is not told that it took too long."""
        request = Request()
        self.service.current.runtime.running.begin(request)
        left = self.start(lambda: self.service.leave(7))
        self.reactor.advance(3)
        self.service.hurry()
        self.reactor.pump([0.1] * 20)
        self.assertTrue(left.called)
        assert request.error is not None
        self.assertEqual(
            request.error.error.message, "The gateway is stopping, and received a second signal."
        )

    def test_told_to_hurry_before_it_waits(self) -> None:
        """Two signals may come in one turn, before anything ends because of the first."""
        request = Request()
        self.service.current.runtime.running.begin(request)
        self.service.hurry()
        left = self.start(lambda: self.service.leave(7))
        self.reactor.pump([0.1] * 20)
        self.assertTrue(left.called)
        assert request.error is not None
        self.assertIn("received a second signal", request.error.error.message)

    def test_reload_while_leaving(self) -> None:
        """The log tells the configuration of a process that another one replaced from the service's."""
        self.service.current.runtime.running.begin(Request())
        self.start(lambda: self.service.leave(7))
        self.service.use(self.config("port: 0\napi-keys: [k]\n"))
        text = formatEvent(self.events[-1])
        self.assertIn(f"is in force for what process {os.getpid()} still serves", text)

    def test_rests_that_are_switched_off(self) -> None:
        """An account that rests serves again when its owner says that it is not to rest; no other reload
        ends a rest.
        """
        state = self.service.current.runtime.pool_state
        (account,) = self.service.current.config.accounts
        verdict = Verdict(action=Action.REST_MODEL, reason="is rate limited", cooldown=600)
        state.health(state.identity(account)).failed(("a", "m", "c"), verdict, 1.0, 2.0, 600)

        def cooldowns() -> int:
            return len(state.health(state.identity(account)).cooldowns)

        for text, left in ((CONFIG, 1), (f"{CONFIG}disable-cooling: true\n", 0)):
            self.service.use(self.config(text))
            self.assertEqual(cooldowns(), left)

    def test_held(self) -> None:
        """A process that is to take another's place is starting until it may."""
        outside = Outside(reactor=self.reactor, environ={}, home=self.folder, observer=self.events.append)
        service = GatewayService(assemble(self.config(CONFIG), outside, Start(failed=lambda why: None)))
        self.assertEqual(service.status().status, "starting")
        self.start(service.listen)
        self.addCleanup(service.listeners.close)
        self.assertEqual(service.status().status, "starting")
        service.accept()
        self.assertEqual(service.status().status, "ready")

    def test_phases(self) -> None:
        """From the start to the end, with a restart that failed and one that succeeded in between."""
        service = self.make(CONFIG)
        lifecycle, seen = service.lifecycle, []

        def phase() -> None:
            seen.append((lifecycle.phase.value, service.status().status))

        phase()
        self.start(service.listen)
        service.startService()
        phase()
        service.listeners.pause()
        phase()
        service.listeners.resume()
        phase()
        service.listeners.pause()
        service.listeners.release()
        self.start(lambda: service.leave(7))
        phase()
        ended = service.stopService()
        phase()
        self.reactor.pump([1.0] * 3)
        self.assertTrue(ended.called)
        phase()
        self.assertEqual(
            seen,
            [
                ("starting", "starting"),
                ("serving", "ready"),
                ("yielding", "ready"),
                ("serving", "ready"),
                ("leaving", "draining"),
                ("stopped", "draining"),
                ("stopped", "draining"),
            ],
        )

    def test_who_has_just_connected(self) -> None:
        """A request that comes on a connection that stood before the end is served, and nobody who sends none
        is waited for long.
        """
        silent, client = self.connected(), self.connected()
        self.service.startService()
        ended = self.service.stopService()
        self.reactor.advance(0.5)
        self.assertFalse(ended.called)
        client.protocol.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b" 200 OK\r\n", client.value())
        self.assertFalse(ended.called)
        self.reactor.pump([0.1] * 10)
        self.assertTrue(ended.called)
        self.assertEqual(silent.value(), b"")

    def test_nobody_has_just_connected(self) -> None:
        """The end waits for no connection that has had its request."""
        client = self.connected()
        client.protocol.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.service.startService()
        ended = self.service.stopService()
        self.reactor.advance(0)
        self.assertTrue(ended.called)

    def connected(self) -> StringTransport:
        """A client that has connected."""
        transport = StringTransport()
        transport.protocol = self.service.site.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return transport

    def test_idle(self) -> None:
        """A service without accounts and without an Amp upstream is not ready for anything."""
        self.assertEqual(self.service.status().status, "ready")
        self.service.use(self.config("port: 0\napi-keys: [k]\n"))
        self.assertEqual(self.service.status().status, "idle")
        self.service.use(self.config("port: 0\napi-keys: []\nampcode: {upstream-url: 'https://a.test'}\n"))
        self.assertEqual(self.service.status().status, "ready")


class Numbers(Serving):
    """What counts as another configuration."""

    def test_the_same(self) -> None:
        """A file that says what it said is no other one, and the log says so; another place is."""
        self.service.startService()
        del self.events[:]
        self.assertEqual(self.service.use_read(self.config(CONFIG)), ())
        self.assertEqual(self.service.generation, 1)
        self.assertEqual(self.said(), ["Configuration {generation} is in force: nothing has changed"])
        generation = self.service.current
        # Complaints name lines, so that these have to be those of the file.
        self.service.use_read(self.config("\n" + CONFIG))
        self.assertEqual(self.service.generation, 2)
        self.assertIsNot(self.service.current, generation)

    def test_logins_before_the_start(self) -> None:
        """What is put together before it serves is the first configuration, told once, when it serves."""
        service = self.make(CONFIG)
        login = replace(service.current.config.accounts[0], label="claude:me")
        service.use_logins((login,))
        self.assertEqual(service.generation, 1)
        self.assertNotIn("Configuration", "".join(self.said()))
        self.start(service.listen)
        self.addCleanup(service.listeners.close)
        service.startService()
        told = [event for event in self.events if "is in force" in event.get("log_format", "")]
        self.assertEqual([(event["generation"], event["accounts"]) for event in told], [(1, 2)])
        service.use_logins(())
        self.assertEqual(service.generation, 2)
