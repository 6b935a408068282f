"""What is wrong, for the owner on this machine: what ``ampproxy alerts`` shows and tests."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ampproxy.errors import ClientFault
from ampproxy.http.server_request import NOT_DONE_YET
from ampproxy.resources.admin import AdminResource, OrderResource
from ampproxy.runtime import Alerting
from ampproxy.server.site import GatewayRequest
from ampproxy.status import AlertsReport


class AlertsResource(AdminResource):
    """``/ampproxy/alerts``: the alerts that are active, and how their last deliveries went."""

    what = "alerts"

    def content(self) -> AlertsReport:
        """As of the last look."""
        alerts = self.generation.runtime.alerts
        return AlertsReport(configured=False) if alerts is None else alerts.report()


class TestAlertResource(OrderResource):
    """``/ampproxy/test-alert``: sends a test alert, and answers with how that went."""

    __test__ = False
    what = "A test alert"

    def render(self, request: GatewayRequest) -> Any:
        alerts = self.generation.runtime.alerts
        if alerts is None or self.generation.config.alerts is None:
            raise ClientFault.of("not_found", "No alerts are configured (section: alerts).")
        testing = Deferred.fromCoroutine(_test(request, alerts))
        testing.addErrback(_failed, request)
        return NOT_DONE_YET


async def _test(request: GatewayRequest, alerts: Alerting) -> None:
    tested = await alerts.test()
    if not request.gone:
        request.answer(200, msgspec.json.encode(tested))


def _failed(failure: Failure, request: GatewayRequest) -> None:
    request.processingFailed(failure)
