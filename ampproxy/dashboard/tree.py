"""The tree of the page and of the admin API. Loaded when one of them is asked for first."""

from __future__ import annotations

from typing import Any

from ampproxy.dashboard.api import BASE, ROUTES, ApiResource, DocumentResource, LiveResource
from ampproxy.dashboard.desk import Desk
from ampproxy.dashboard.entry import LoginResource, LogoutResource
from ampproxy.dashboard.pages import VIEWS, HomeResource, StaticResource, ViewResource
from ampproxy.generation import Generation
from ampproxy.resources.base import Branch


def children(generation: Generation, desk: Desk) -> dict[bytes, Any]:
    """What a generation has below ``/ampproxy`` besides the routes that were there before the page."""
    found: dict[bytes, Any] = {
        b"live": LiveResource(generation, desk, f"{BASE}/live".encode()),
        b"openapi.json": DocumentResource(generation, desk, f"{BASE}/openapi.json".encode()),
        b"page": _page(generation, desk),
    }
    for route in ROUTES:
        if route.ask is None:
            continue
        first, _, rest = route.path.encode().partition(b"/")
        resource = ApiResource(generation, desk, route)
        if rest:
            branch = found[first]
            if not isinstance(branch, Branch):
                branch = found[first] = Branch(branch)
            branch.putChild(rest, resource)
        else:
            found[first] = resource
    return found


def _page(generation: Generation, desk: Desk) -> Branch:
    page = Branch(HomeResource(generation, desk))
    for view in VIEWS:
        page.putChild(view.name.encode(), ViewResource(generation, desk, view))
    page.putChild(b"static", StaticResource(generation))
    page.putChild(b"login", LoginResource(generation, desk))
    page.putChild(b"logout", LogoutResource(generation, desk))
    return page
