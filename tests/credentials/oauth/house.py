"""The logins of a service with everything around them: a folder, clocks, and the strict server."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from ampproxy.config.schema import Config, OAuth
from ampproxy.credentials.oauth.service import Logins
from ampproxy.state.shared import ALONE
from ampproxy.testing.vendor import Recorded
from tests.credentials.oauth.doubles import EPOCH, World, client


class Response:
    def __init__(self, reply):
        self.code = reply.status
        self.headers = Headers({name: [value] for name, value in reply.headers})
        self._body = reply.body

    def deliverBody(self, protocol):
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


class House:
    """A folder, a clock, the strict server behind ``send``, and the logins over them."""

    def __init__(self, folder, *, beside=None, clock=None, shared=ALONE):
        """:param beside: another process that has the same folder and the same vendors."""
        self.world = World() if beside is None else beside.world
        self.folder = folder
        self.clock = clock or Clock()
        self.offset = EPOCH
        if beside is None:
            self.world.now = self.world.server._clock = self.wall
        self.changes = 0
        self.renewed = []
        self.lines = []
        self.sent = []
        self.proxies = []
        self.mode = "well"
        self.hanging = []
        folder.mkdir(mode=0o700, exist_ok=True)
        oauth = OAuth(claude=client("claude"), codex=client("codex"), gemini=client("gemini"))
        log = Logger(namespace="test", observer=lambda event: self.lines.append(formatEvent(event)))
        self.logins = Logins(
            Config(auth_dir=folder, oauth=oauth, proxy_url="http://proxy:1"),
            self.clock,
            self.send,
            log,
            wall=self.wall,
            random=lambda: 0.5,
            changed=self.changed,
            renewed=lambda token: self.renewed.append(token),
            shared=shared,
        )

    def wall(self):
        return self.clock.seconds() + self.offset

    def changed(self):
        self.changes += 1

    def send(self, method, url, headers, body=None, proxy=None):
        self.proxies.append(proxy)
        written = []
        body.startProducing(type("Consumer", (), {"write": written.append}))
        told = {name.decode().lower(): values[-1].decode() for name, values in headers.getAllRawHeaders()}
        self.sent.append(told)
        if self.mode == "down":
            return fail(Refused())
        request = Recorded(method, urlsplit(url).path, told, b"".join(written))
        response = Response(self.world.server.respond(request))
        if self.mode == "slow":
            self.hanging.append((Deferred(), response))
            return self.hanging[-1][0]
        return succeed(response)

    def pass_(self, seconds, step=0.5):
        for _ in range(int(seconds / step)):
            self.clock.advance(step)

    def token(self, number=0):
        return self.logins.accounts()[number].token.current().reveal()

    def state(self):
        return [status.state for status in self.logins.statuses()]
