"""The tree: which path is whose.

All of ``/api/`` but ``/api/provider/`` belongs to Amp, whose clients ask for new routes every month; so
do a few paths at the root. What is ours is an explicit list.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ampproxy.generation import Generation
from ampproxy.model.base import Value
from ampproxy.resources.accounts import AccountsResource, ForgetResource
from ampproxy.resources.admin import CloudTrafficResource, ReloadResource, UnknownRoutesResource
from ampproxy.resources.agents import CODEX_USAGE, AgentHelloResource, CodexUsageResource
from ampproxy.resources.alerts import AlertsResource, TestAlertResource
from ampproxy.resources.amp import AmpResource, BrowserFallbackResource
from ampproxy.resources.base import Branch, GatewayResource, NotFoundResource
from ampproxy.resources.browser import fetch_site, has_credentials
from ampproxy.resources.credits import ProviderPathResource
from ampproxy.resources.front import FrontResource
from ampproxy.resources.git import GitResource
from ampproxy.resources.health import HealthResource, ReadyResource
from ampproxy.resources.provider import resource_for
from ampproxy.resources.socket_routes import refusal_for
from ampproxy.resources.unserved import UnservedResource, is_misplaced
from ampproxy.routing.base_urls import PREFIXES, without_base
from ampproxy.routing.endpoints import WrongMethod, parse_endpoint
from ampproxy.routing.vendor_calls import BARE_CALLS, parse_vendor_call
from ampproxy.server.site import GatewayRequest

if TYPE_CHECKING:
    from ampproxy.resources.neo import NeoGate


class ManagementRoute(Value, frozen=True):
    """A path of Amp's, with everything below it.

    :param keyless: a page that browsers open, without a client key.
    :param git: what git asks for, with credentials of its own.
    """

    segment: bytes
    keyless: bool = False
    git: bool = False


#: Amp's paths at the root. ``/api`` stands for all of it but ``/api/provider``.
MANAGEMENT_ROUTES = (
    ManagementRoute(b"api"),
    ManagementRoute(b"actors"),
    ManagementRoute(b"auth", keyless=True),
    ManagementRoute(b"threads", keyless=True),
    ManagementRoute(b"docs", keyless=True),
    ManagementRoute(b"settings", keyless=True),
    ManagementRoute(b"workspaces", keyless=True),
    ManagementRoute(b"pay", keyless=True),
    ManagementRoute(b"install", keyless=True),
    ManagementRoute(b"portals", keyless=True),
    ManagementRoute(b"git", git=True),
    ManagementRoute(b"threads.rss"),
    ManagementRoute(b"news.rss"),
)

#: The standard routes of the vendors' SDKs.
MODEL_ROUTES = (b"v1", b"v1beta", b"v1beta1", b"v1alpha", b"upload")
#: The same of an SDK whose base URL lacks the version: what is posted there, or has a key in it.
BARE_ROUTES = (
    BARE_CALLS
    | PREFIXES
    | {
        b"chat",
        b"completions",
        b"embeddings",
        b"messages",
        b"responses",
        b"models",
        b"projects",
        b"publishers",
    }
)


#: So many paths of model routes are remembered with their resources, each up to so many bytes.
_REMEMBERED = 512
_MAX_PATH_BYTES = 256


#: Method, path and which vendor's headers came along: what an endpoint is known by -> its resource.
Asked = tuple[bytes, bytes, bool, bool, bool]
Found = dict[Asked, GatewayResource]


def _asked(request: GatewayRequest) -> Asked:
    headers = request.requestHeaders.by_name
    anthropic, google = b"anthropic-version" in headers, b"x-goog-api-key" in headers
    return request.method, request.path, anthropic, google, b"client_version=" in request.query


class ModelRoutes(Branch):
    """Finds the endpoint that a path names. What is not one goes to ``otherwise``.

    :param found: where what was found is remembered; several trees may share it that cannot find the same.
    """

    def __init__(
        self, generation: Generation, otherwise: GatewayResource, found: Found | None = None
    ) -> None:
        super().__init__(otherwise)
        self._generation = generation
        self._found: Found = {} if found is None else found

    def getChild(self, path: bytes, request: GatewayRequest) -> GatewayResource:
        """The resource of the whole path, which is remembered: it knows nothing of a single request. Those of
        vendors' other calls are not: hardly any two paths are the same.
        """
        asked = _asked(request)
        found = self._found.get(asked) or self._find(*asked)
        return found if found is not self.itself else self._vendors(request, *asked[:4])

    def _vendors(
        self, request: GatewayRequest, method: bytes, path: bytes, anthropic: bool, google: bool
    ) -> GatewayResource:
        try:
            call = parse_vendor_call(method, without_base(path), anthropic=anthropic, google=google)
        except WrongMethod as wrong:
            return refusal_for(self._generation, wrong)
        if call is None:
            return self.itself
        # Not at the top: few clients have such calls.
        from ampproxy.resources.vendor_calls import resource_for_call

        return resource_for_call(self._generation, call, request)

    def _find(
        self, method: bytes, path: bytes, anthropic: bool, google: bool, codex: bool
    ) -> GatewayResource:
        try:
            endpoint = parse_endpoint(method, path, anthropic=anthropic, google=google, codex=codex)
        except WrongMethod as wrong:
            return refusal_for(self._generation, wrong)
        if endpoint is None:
            return self.itself
        resource = resource_for(self._generation, endpoint)
        if len(path) <= _MAX_PATH_BYTES:
            if len(self._found) >= _REMEMBERED:
                # Clients can make paths up; the usual ones are soon back.
                self._found.clear()
            self._found[method, path, anthropic, google, codex] = resource
        return resource


class ApiBranch(Branch):
    """Amp's ``/api``, where coding agents ask something of their own vendor's as well."""

    def __init__(self, itself: GatewayResource, hello: GatewayResource, usage: GatewayResource) -> None:
        super().__init__(itself)
        self._hello = hello
        self._usage = usage

    def getChild(self, path: bytes, request: GatewayRequest) -> GatewayResource:
        if request.path == b"/api/hello" and request.method == b"HEAD":
            return self._hello
        return self._usage if request.path in CODEX_USAGE else self.itself


class BackendRoutes(ModelRoutes):
    """``/backend-api``: what Codex asks of ChatGPT's backend."""

    def __init__(
        self, generation: Generation, otherwise: GatewayResource, found: Found, usage: GatewayResource
    ) -> None:
        super().__init__(generation, otherwise, found)
        self._usage = usage

    def getChild(self, path: bytes, request: GatewayRequest) -> GatewayResource:
        return self._usage if request.path in CODEX_USAGE else super().getChild(path, request)


class OwnBranch(Branch):
    """``/ampproxy``: what the gateway reports of itself.

    :ivar mounted: what serves the paths that are no children; ``None``: nothing does.
    """

    def __init__(self, itself: GatewayResource, mounted: Any) -> None:
        super().__init__(itself)
        self.mounted = mounted

    def getChild(self, path: bytes, request: Any) -> GatewayResource:
        if self.mounted is None:
            return self.itself
        found: GatewayResource = self.mounted.getChildWithDefault(path, request)
        return found


class Root(Branch):
    """The root of the tree, for one generation of the configuration.

    ``/api`` is Amp's but for the provider aliases; ``/ampproxy`` is what the gateway tells of itself.
    """

    def __init__(self, generation: Generation) -> None:
        not_found = NotFoundResource(generation)
        page = BrowserFallbackResource(generation)
        super().__init__(page)
        self._found: Found = {}
        for route in MANAGEMENT_ROUTES:
            found = GitResource(generation) if route.git else AmpResource(generation, keyless=route.keyless)
            self.putChild(route.segment, found)
        amp = AmpResource(generation)
        self._hello, self._unserved = AgentHelloResource(generation), UnservedResource(generation)
        usage = CodexUsageResource(generation)
        api = ApiBranch(amp, self._hello, usage)
        api.putChild(b"provider", ModelRoutes(generation, ProviderPathResource(generation), self._found))
        self.putChild(b"api", api)
        own = OwnBranch(not_found, generation.runtime.mount(generation))
        own.putChild(b"accounts", AccountsResource(generation))
        own.putChild(b"alerts", AlertsResource(generation))
        own.putChild(b"test-alert", TestAlertResource(generation))
        own.putChild(b"unknown", UnknownRoutesResource(generation))
        own.putChild(b"neo", CloudTrafficResource(generation))
        own.putChild(b"reload", ReloadResource(generation))
        own.putChild(b"forget", ForgetResource(generation))
        self.putChild(b"ampproxy", own)
        self.putChild(b"healthz", HealthResource(generation))
        self.putChild(b"readyz", ReadyResource(generation))
        elsewhere = generation.runtime.elsewhere(generation)
        if elsewhere is not None:
            self.putChild(b"ampproxy", elsewhere)
            self.putChild(b"readyz", elsewhere)
        for segment in MODEL_ROUTES:
            self.putChild(segment, ModelRoutes(generation, self._unserved, self._found))
        self.putChild(b"backend-api", BackendRoutes(generation, self._unserved, self._found, usage))
        self._bare = ModelRoutes(generation, self._unserved)
        self._front = FrontResource(generation)
        self._generation = generation
        self._has_neo = generation.config.neo is not None

    @cached_property
    def _neo(self) -> NeoGate:
        # Not at the top: few configurations have the section.
        from ampproxy.resources.neo import NeoGate

        return NeoGate(self._generation)

    def known(self, request: GatewayRequest) -> GatewayResource | None:
        """The resource of a model route that was asked for before: the tree would find the same. ``None``:
        the tree has to be asked.
        """
        if self._has_neo or request.by_cloud:
            return None
        return self._found.get(_asked(request))

    def getChildWithDefault(self, path: bytes, request: GatewayRequest) -> Any:
        """A request of Amp's cloud sees nothing of the tree, whatever its path."""
        if self._has_neo or request.by_cloud:
            found = self._neo.find(request)
            if found is not None:
                return found
        return super().getChildWithDefault(path, request)

    def getChild(self, path: bytes, request: GatewayRequest) -> GatewayResource:
        """What has no child of its own: an SDK's route without its version, or a page of Amp's."""
        if request.path == b"/" and request.method == b"HEAD":
            return self._hello
        if request.path == b"/" and self._front.is_for(request):
            return self._front
        if fetch_site(request) == b"same-origin" and not has_credentials(request):
            return self.itself
        asks = request.method == b"POST" or has_credentials(request)
        if asks and path in BARE_ROUTES:
            return self._bare.getChild(path, request)
        return self._unserved if asks and is_misplaced(request.path) else self.itself
