"""Whole logins against the strict authorization server, without a browser and without a network."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace

from ampproxy.config.schema import CLAUDE_OAUTH, CODEX_OAUTH, GEMINI_OAUTH
from ampproxy.credentials.oauth import claude, codex, gemini
from ampproxy.credentials.oauth.failures import Refused, Unavailable
from ampproxy.credentials.oauth.formats import KINDS, Login, file_name, parse_time
from ampproxy.credentials.oauth.protocol import CodeGrant
from ampproxy.credentials.oauth.vendors import VENDORS
from tests.credentials.oauth.doubles import EPOCH, World, client

FLOWS = {"claude": claude.sign_in, "codex": codex.sign_in, "gemini": gemini.sign_in}


def sign_in(world, kind, settings=None):
    settings = settings or client(kind)
    return world.run(FLOWS[kind](settings, settings.redirect_url, secrets.token_urlsafe, world.now))


@pytest.mark.parametrize("kind", FLOWS)
def test_whole_login(kind):
    """A user who allows the login has one whose token serves, under the name that CLIProxyAPI gives it."""
    world = World()
    document = sign_in(world, kind)
    login = Login("", kind, document)
    assert world.server.knows(login.access_token).email == "anna@example.org"
    assert login.refresh_token == world.server.grants[0].refresh
    assert login.expires_at == pytest.approx(EPOCH + 3600, abs=10)
    assert (
        file_name(kind, document)
        == {
            "claude": "claude-anna@example.org.json",
            "codex": "codex-anna@example.org-plus.json",
            "gemini": "gemini-anna@example.org-made-project.json",
        }[kind]
    )


@pytest.mark.parametrize("kind", FLOWS)
def test_renewal_of_a_login(kind):
    """A login's refresh token gives a new access token and the next refresh token."""
    world = World()
    login = Login("", kind, sign_in(world, kind))
    tokens = world.run(VENDORS[kind].renew(client(kind), login, world.now))
    assert world.server.knows(tokens.access)
    assert tokens.refresh == world.server.grants[0].refresh != login.refresh_token


def test_login_by_device():
    """Without a browser here, the user types a code elsewhere; the flow waits for it as long as it takes."""
    world = World()
    document = world.run(codex.sign_in_by_device(client("codex"), secrets.token_urlsafe, world.now))
    assert "ABCD-1234" in world.shown[0]
    assert world.pauses == [5.0, 5.0, 5.0]
    assert world.server.knows(document["access_token"])
    assert document["account_id"] == "account-1"


def test_device_flow_ends():
    """When nobody types the code within 15 minutes the flow says so."""
    world = World()
    world.server.device_pending = 10**6
    with pytest.raises(Refused, match="in time"):
        world.run(codex.sign_in_by_device(client("codex"), secrets.token_urlsafe, world.now))
    assert 900 <= world.time - EPOCH < 920


PASTES = {
    "the whole URL": lambda browse, url: url,
    "the query": lambda browse, url: urlsplit(url).query,
    "code#state": lambda browse, url: _code(url) + "#" + browse.state,
    "the code": lambda browse, url: f"  {_code(url)} \n",
}


def _code(url):
    return parse_qs(urlsplit(url).query)["code"][0]


@pytest.mark.parametrize("how", PASTES)
def test_pasted(how):
    """What the user pastes may be the address or just what matters of it."""
    world = World()
    world.bring = PASTES[how]
    assert world.server.knows(sign_in(world, "claude")["access_token"])


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        ("http://localhost/cb?code=stolen-code&state=another-attempt", "another login attempt"),
        ("stolen-code#another-attempt", "another login attempt"),
        ("http://localhost/cb?error=access_denied&error_description=Nope%0aEvil", r"Nope\\x0aEvil"),
        ("http://localhost/cb", "no code"),
        ("", "no code"),
    ],
)
def test_wrong_things_brought(brought, words):
    """A redirect of another attempt, a refusal and an empty paste are told apart; nothing is exchanged."""
    world = World()
    world.bring = lambda browse, url: brought
    with pytest.raises(Refused, match=words):
        sign_in(world, "codex")
    assert world.asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_default_pages(kind):
    """With the defaults the browser is sent to the vendor's own page, with PKCE and a random state."""
    settings = replace(
        {"claude": CLAUDE_OAUTH, "codex": CODEX_OAUTH, "gemini": GEMINI_OAUTH}[kind], client_secret=None
    )
    if kind == "gemini":
        with pytest.raises(Refused, match=r"oauth\.gemini\.client-secret"):
            World().run(gemini.sign_in(settings, settings.redirect_url, secrets.token_urlsafe, lambda: 0.0))
        grant = CodeGrant(settings, settings.redirect_url, verifier="v" * 64, state="s" * 32)
        page = grant.page()
    else:
        flow = FLOWS[kind](settings, settings.redirect_url, secrets.token_urlsafe, lambda: 0.0)
        page = next(flow).url
    query = parse_qs(urlsplit(page).query)
    assert page.startswith(settings.authorize_url + "?")
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == [" ".join(settings.scopes)]
    assert query["redirect_uri"] == [settings.redirect_url]
    assert len(query["state"][0]) >= 32


def test_address_on_this_machine():
    """A login server on this machine may be without TLS, and is addressed so."""
    settings = replace(client("claude"), authorize_url="http://127.0.0.1:9/authorize")
    page = next(claude.sign_in(settings, settings.redirect_url, secrets.token_urlsafe, lambda: 0.0)).url
    assert page.startswith("http://127.0.0.1:9/authorize?")


@pytest.mark.parametrize("looks", [1, 3])
def test_onboarding(looks):
    """A user of Code Assist without a project gets one, however long its making takes."""
    world = World()
    world.server.onboarding = looks
    assert sign_in(world, "gemini")["project_id"] == "made-project"
    assert world.pauses == [5.0] * (looks - 1)


def test_known_project():
    """A user whom Code Assist knows already is not onboarded again."""
    world = World()
    world.server.onboarding = 0
    assert sign_in(world, "gemini")["project_id"] == "found-project"
    assert not any("onboardUser" in ask.url for ask in world.asked)


def test_onboarding_that_never_ends():
    """An onboarding that does not finish is given up, with words."""
    world = World()
    world.server.onboarding = 10**6
    with pytest.raises(Unavailable, match="does not finish"):
        sign_in(world, "gemini")


def test_own_client_at_the_public_api():
    """With a client of one's own and the public API no project is looked for at Code Assist."""
    world = World()
    document = sign_in(world, "gemini", replace(client("gemini"), backend="api", project="mine"))
    assert (document["backend"], document["project_id"]) == ("api", "mine")
    assert not any("v1internal" in ask.url for ask in world.asked)


@pytest.mark.parametrize("status", [429, 500, 503, 302])
def test_server_in_trouble(status):
    """A login server in trouble is told from one that refuses."""
    world = World()
    world.server.failing = [(status, 7.0)]
    with pytest.raises(Unavailable) as caught:
        sign_in(world, "claude")
    assert caught.value.retry_after == 7.0


def test_repr_shows_no_secret():
    """Steps and logins in a traceback or a log show no token."""
    world = World()
    document = sign_in(world, "claude")
    shown = repr(world.asked) + repr(Login("", "claude", document)) + repr(world.answer(world.asked[0]))
    for secret in (document["access_token"], document["refresh_token"], "code_verifier"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T17:50:03Z", 1795369803.0),
        ("2026-11-22T18:50:03.5+01:00", 1795369803.5),
        ("2026-11-22T17:50:03.123456789Z", 1795369803.123456789),
        ("2026-11-22 17:50:03", 1795369803.0),
        (1795369803, 1795369803.0),
        (1795369803000, 1795369803.0),
        ("1795369803", 1795369803.0),
        ("0001-01-01T00:00:00Z", None),
        ("soon", None),
        (None, None),
        (True, None),
        (0, None),
    ],
)
def test_times(text, moment):
    """Files of every writer are understood: Go's, JavaScript's, Python's."""
    assert parse_time(text) == (moment if moment is None else pytest.approx(moment))
