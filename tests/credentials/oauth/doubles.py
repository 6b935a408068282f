"""A strict authorization server in memory, a clock that pauses move, and flows run against both."""

from __future__ import annotations

from urllib.parse import urlsplit

from ampproxy.config.schema import OAuthClient
from ampproxy.credentials.oauth.effects import HttpAnswer, HttpRequest, Notify, OpenBrowser, Sleep
from ampproxy.credentials.oauth.failures import Unavailable
from ampproxy.credentials.oauth.formats import Login, dump, format_time, parse
from ampproxy.testing.oauth import CLIENTS, AuthorizationServer
from ampproxy.testing.vendor import Recorded
from ampproxy.wire.redact import Secret

EPOCH = 1_795_000_000.0
ORIGIN = "https://login.example"


class World:
    """The server, the time, and what was asked and told.

    :ivar offline: requests that meet no server, in order.
    """

    def __init__(self) -> None:
        self.time = EPOCH
        self.server = AuthorizationServer(clock=self.now)
        self.server.origin = ORIGIN
        self.asked: list[HttpRequest] = []
        self.shown: list[str] = []
        self.pauses: list[float] = []
        self.offline = 0
        self.bring = lambda browse, url: url

    def now(self) -> float:
        return self.time

    def answer(self, ask: HttpRequest) -> HttpAnswer:
        self.asked.append(ask)
        if self.offline:
            self.offline -= 1
            raise Unavailable("no connection")
        parts = urlsplit(ask.url)
        uri = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = dict(ask.headers)
        reply = self.server.respond(Recorded(ask.method, uri, headers, ask.body))
        return HttpAnswer(reply.status, dict(reply.headers), reply.body)

    def step(self, step):
        if isinstance(step, HttpRequest):
            return self.answer(step)
        if isinstance(step, Sleep):
            self.pauses.append(step.seconds)
            self.time += step.seconds
        elif isinstance(step, Notify):
            self.shown.append(step.text)
        elif isinstance(step, OpenBrowser):
            return self.bring(step, self.server.allow(step.url))
        return None

    def run(self, flow):
        sent, problem = None, None
        while True:
            try:
                step = flow.send(sent) if problem is None else flow.throw(problem)
            except StopIteration as stop:
                return stop.value
            sent = problem = None
            try:
                sent = self.step(step)
            except Unavailable as error:
                problem = error


def client(kind: str) -> OAuthClient:
    registered = CLIENTS[kind]
    return OAuthClient(
        authorize_url=f"{ORIGIN}/authorize",
        token_url=f"{ORIGIN}/token",
        client_id=registered.id,
        client_secret=Secret(registered.secret) if registered.secret else None,
        scopes=("one", "two"),
        redirect_url=f"http://localhost:1{registered.redirect_path}",
        base_url=ORIGIN,
        device_url=f"{ORIGIN}/api/accounts/deviceauth",
        device_page=f"{ORIGIN}/device",
        userinfo_url=f"{ORIGIN}/userinfo",
    )


def login_file(world: World, folder, kind="claude", **more):
    """A login that the server knows, as a file; gives its name."""
    granted = world.server.grant(kind)
    flat = {"access_token": granted["access_token"], "refresh_token": granted["refresh_token"]}
    ends = format_time(world.time + world.server.lifetime)
    document = {"type": kind, "email": world.server.email, "strange": {"kept": [1, 2.5, "ü"]}}
    if kind == "gemini":
        registered = CLIENTS["gemini"]
        document |= {"project_id": "p-1"}
        document["token"] = flat | {
            "expiry": ends,
            "client_id": registered.id,
            "client_secret": registered.secret,
        }
    else:
        document |= flat | {"expired": ends, "last_refresh": format_time(world.time)}
    document |= more
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{kind}-{world.server.email}.json"
    (folder / name).write_bytes(dump(document))
    return name


def made(kind, **document) -> Login:
    login = parse(f"{kind}-x.json", dump({"type": kind, **document}))
    assert login is not None
    return login
