"""Amp's repositories below ``/git``: with git's own credentials, never with a key of the gateway's."""

from __future__ import annotations

import base64

import pytest

from tests.resources.harness import AMP_KEY, CLIENT_KEY, World

REFS = "/git/acme/repo.git/info/refs?service=git-upload-pack"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_with_its_own() -> None:
    """What git presents goes on as it is, or nothing; Amp's challenge comes back."""
    world = World()
    bare = world.request("GET", REFS, key=None)
    world.client.sent[0].respond_whole(401, b"", {"WWW-Authenticate": ['Basic realm="Amp"']})
    assert bare.status == 401
    assert b'Basic realm="Amp"' in bare.answer
    world.request("GET", REFS, basic("amp", "sgamp_git_user_1"), key=None)
    world.request(
        "POST", "/git/acme/repo.git/git-upload-pack", basic("amp", "sgamp_git_user_1"), b"0032want", key=None
    )
    assert [sent.url for sent in world.client.sent[1:]] == [
        f"https://amp.test{REFS}",
        "https://amp.test/git/acme/repo.git/git-upload-pack",
    ]
    for sent in world.client.sent[1:]:
        assert sent.header("Authorization") == [basic("amp", "sgamp_git_user_1")["Authorization"]]
    assert AMP_KEY not in str([sent.headers for sent in world.client.sent])
    assert world.generation.runtime.unknown_routes.routes().routes == ()


@pytest.mark.parametrize("pair", [("x", CLIENT_KEY), (CLIENT_KEY, "")])
def test_client_key_in_it(pair: tuple[str, str]) -> None:
    """A key of the gateway's does not travel to Amp in them."""
    world = World()
    assert world.request("GET", REFS, basic(*pair), key=None).status == 403
    assert world.client.sent == []


def test_with_a_client_key() -> None:
    """Then it is forwarded as all else of Amp's is."""
    world = World()
    world.request("GET", REFS)
    assert world.client.sent[0].header("X-Api-Key") == [AMP_KEY]


def test_elsewhere() -> None:
    """From this machine only, as all of Amp's paths."""
    world = World()
    assert world.request("GET", REFS, basic("amp", "t"), key=None, peer="192.0.2.1").status == 403
    assert world.client.sent == []
