"""The tree of a service that has just begun to listen: it is loaded by whatever needs it first."""

from __future__ import annotations

import json

from ampproxy.resources.gate import Gate, Tree
from ampproxy.resources.root import Root
from tests.cases import each
from tests.resources.harness import CONFIG, World

QUESTION = json.dumps({"model": "claude-local", "max_tokens": 9, "messages": []}).encode()
NEO = "neo: {key: neo-key-0123456789-canary}\n"


class Fresh:
    """A service that has just begun.

    :ivar current: see :class:`ampproxy.resources.gate.Serves`; likewise ``site``.
    """

    def __init__(self, config: str = CONFIG) -> None:
        self.world = world = World(config)
        self.current, self.site = world.generation, world.site
        self.tree = Tree(self)
        self.site.resource = self.tree.root()


def test_alive() -> None:
    """Its health can be seen, and nothing is loaded for that."""
    fresh = Fresh()
    answer = fresh.world.request("GET", "/healthz", key=None)
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    assert not fresh.tree.loaded
    assert isinstance(fresh.site.resource, Gate)


@each("path", ["/readyz", "/v1/models", "/nothing/here", "/", "/ampproxy/accounts"])
def test_first_request(path: str) -> None:
    """A request that comes before there was time to load the tree is answered as any later one; from then on
    the tree is there.
    """
    fresh, usual = Fresh(), World()
    asked, wanted = (world.request("GET", path) for world in (fresh.world, usual))
    assert (asked.status, asked.body) == (wanted.status, wanted.body)
    assert fresh.tree.loaded
    assert isinstance(fresh.site.resource, Root)
    assert fresh.world.request("GET", "/healthz").status == 200


def test_first_question() -> None:
    """A model can be asked at once."""
    fresh = Fresh()
    fresh.world.request("POST", "/v1/messages", body=QUESTION)
    assert [sent.url for sent in fresh.world.client.sent] == ["http://claude.test/v1/messages"]
    assert fresh.current.is_complete


def test_amps_cloud_sees_no_more() -> None:
    """Where Amp's cloud may ask, it is its gate that decides about every path, from the first request on."""
    fresh, usual = Fresh(CONFIG + NEO), World(CONFIG + NEO)
    key = "neo-key-0123456789-canary"
    asked, wanted = (world.request("GET", "/healthz", key=key) for world in (fresh.world, usual))
    assert (asked.status, asked.body) == (wanted.status, wanted.body)
    assert asked.status != 200


def test_pieces() -> None:
    """All of it can be loaded beforehand, in pieces; what a reload puts in force is complete then."""
    fresh = Fresh()
    for piece in fresh.tree.pieces():
        piece()
    root = fresh.site.resource
    assert isinstance(root, Root)
    assert fresh.current.is_complete
    assert fresh.tree.load() is root
    assert isinstance(fresh.tree.root(), Root)
