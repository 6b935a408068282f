"""The root of the tree as long as the tree is not loaded: a service listens before it has read all that it is
made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, Protocol

from twisted.web.resource import Resource

from ampproxy.dialects.registry import DIALECTS
from ampproxy.generation import Generation
from ampproxy.resources.health import HealthResource
from ampproxy.server.site import GatewayRequest, GatewaySite

#: What requests need, and all that comes with each: a piece takes some milliseconds to load.
PIECES = (
    "twisted.web.client",
    "treq.client",
    "ampproxy.upstream.ways",
    "ampproxy.relay.bridges",
    "ampproxy.relay.pinning",
    "ampproxy.relay.exchange",
    "ampproxy.resources.provider",
    "ampproxy.resources.amp",
    "ampproxy.resources.root",
)


class Serves(Protocol):
    """What has a tree: the service.

    :ivar current: what follows from the configuration in force.
    """

    current: Generation

    @property
    def site(self) -> GatewaySite:
        """What the tree is the resource of."""


class Gate(Resource):
    """Answers ``/healthz``, and has the tree loaded as soon as anything else is requested.

    :param load: gives the tree's own root, which takes this one's place.
    """

    isLeaf = False

    def __init__(self, generation: Generation, load: Callable[[], Any]) -> None:
        super().__init__()
        self._health = HealthResource(generation)
        self._open = generation.config.neo is None
        self._load = load

    def getChildWithDefault(self, path: bytes, request: GatewayRequest) -> Any:
        """What the tree would give. A request of Amp's cloud may see less of it, as its root decides."""
        if path == b"healthz" and self._open and not request.by_cloud:
            return self._health
        return self._load().getChildWithDefault(path, request)


class Tree:
    """The tree of a service under one configuration after another.

    :ivar loaded: whether it is there.
    """

    def __init__(self, service: Serves) -> None:
        self._service = service
        self.loaded = False

    def root(self) -> Any:
        """The root for the configuration in force."""
        if not self.loaded:
            return Gate(self._service.current, self.load)
        # Not at the top: with what requests need it is most of the service.
        from ampproxy.resources.root import Root

        return Root(self._service.current)

    def pieces(self) -> Iterator[Callable[[], object]]:
        """All that is to be loaded, in pieces: each is to be called, and takes some milliseconds."""
        yield from (partial(import_module, name) for name in PIECES)
        yield self.load
        yield from (partial(DIALECTS.__getitem__, name) for name in DIALECTS)

    def load(self) -> Any:
        """Have all that requests need, if it is not there yet; gives the root."""
        if not self.loaded:
            self._service.current.complete()
            self._service.current.runtime.client.load()
            self.loaded = True
            self._service.site.resource = self.root()
        return self._service.site.resource
