"""Whether the service is up: for init systems and load balancers."""

from __future__ import annotations

from typing import Any

from ampproxy.resources.base import GatewayResource
from ampproxy.resources.site import GatewayRequest

OK = b'{"status":"ok"}'


class HealthResource(GatewayResource):
    """200 as soon as the accounts are loaded, which is before the first connection is accepted."""

    def render(self, request: GatewayRequest) -> Any:
        """Say so."""
        request.answer(200, OK)
