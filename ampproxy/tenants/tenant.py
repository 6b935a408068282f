"""What a client may do: which classes of routes, which models, which accounts.

Each check is a pure function over a :class:`Tenant`. A resource declares the class of its routes
(``GatewayResource.route_class``), and whoever identifies its client calls :func:`check_route` with it: to add
a class, name it in :data:`ampproxy.model.clients.ROUTES` and declare it in the resources that belong to it.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec.structs import replace

from ampproxy.config.schema import Account
from ampproxy.credentials.names import account_name
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.model.base import Value
from ampproxy.model.clients import AMP, MODELS, STORED, ClientKey
from ampproxy.routing.route import Route, RouteKind, RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.wildcard import matches_wildcard

#: What each class of routes is, as the end of a sentence.
_MEANING = {
    MODELS: "requests to models",
    STORED: "what vendors store for an account",
    AMP: "what is forwarded to Amp",
}


class Tenant(Value, frozen=True):
    """A client with rights or limits of its own.

    :param id: what its usage is counted by: it depends on its name, else on its key, never on a place.
    :param label: how the log names it.
    """

    id: str
    label: str
    key: ClientKey


def tenant_id(key: ClientKey, salt: bytes) -> str:
    """What a client's usage is counted by.

    :param salt: people choose keys that have no name; without it a stolen file of counts would let guesses
        be tried.
    """
    if key.name:
        return f"name:{key.name.lower()}"
    digest = blake2b(key.identity.reveal().encode("utf-8", "surrogatepass"), key=salt, digest_size=16)
    return f"key:{digest.hexdigest()}"


def opens(tenant: Tenant | None, route: str) -> bool:
    """Whether a client's key opens a class of routes.

    :param tenant: ``None``: a client that may do everything.
    """
    return tenant is None or route in tenant.key.routes


def check_route(tenant: Tenant | None, route: str) -> None:
    """See that a client's key opens a class of routes.

    :param tenant: ``None``: a client that may do everything.
    :raises ClientFault: status 403: it does not.
    """
    if tenant is None or opens(tenant, route):
        return
    what = _MEANING.get(route, "what the gateway reports of itself")
    raise ClientFault.of(
        "permission",
        f"The client key {tenant.label} does not open {what} (route class {route}): its entry allows"
        f" {', '.join(tenant.key.routes)} (setting: api-keys[].routes).",
        code="route_not_allowed",
    )


def check_unknown_path(tenant: Tenant) -> None:
    """See that a client may have something sent to Amp that is unknown here.

    :raises ClientFault: status 403: its rights or limits could not be kept.
    """
    key = tenant.key
    if not key.amp or key.models or key.limits or key.concurrent is not None:
        raise ClientFault.of(
            "permission",
            f"The gateway does not know this path, so it cannot enforce the entry of the client key"
            f" {tenant.label} (settings: api-keys[].amp, .models, .limits).",
            code="route_not_allowed",
        )


def serves(tenant: Tenant, model: str) -> bool:
    """Whether a model may serve a client, by its name without a thinking suffix."""
    patterns = tenant.key.models
    return not patterns or any(matches_wildcard(pattern, model.lower()) for pattern in patterns)


def may_use(tenant: Tenant, account: Account) -> bool:
    """Whether an account may serve a client, by its label or by the name that the ledger has for it."""
    patterns = tenant.key.accounts
    if not patterns:
        return True
    names = account.label.lower(), account_name(account).lower()
    return any(matches_wildcard(pattern, name) for pattern in patterns for name in names)


def offered(tenant: Tenant, model: str, offers: tuple[RouteTarget, ...]) -> tuple[RouteTarget, ...]:
    """What is left of a model's offers for a client."""
    if not serves(tenant, model):
        return ()
    if not tenant.key.accounts:
        return offers
    return tuple(offer for offer in offers if may_use(tenant, offer.account))


def narrowed(tenant: Tenant, route: Route) -> Route:
    """A decision as it holds for a client: with the accounts that it may use.

    :raises ClientFault: status 403: the model, all its accounts, or Amp are not for this client.
    """
    if route.kind is RouteKind.NONE:
        # Which other models there are is for who may use them.
        return replace(route, nearest=tuple(name for name in route.nearest if serves(tenant, name)))
    if route.kind is RouteKind.AMP:
        _check_amp(tenant, route)
        return route
    model = split_suffix(route.resolved_model)[0]
    offers = offered(tenant, model, route.offers)
    if not offers:
        raise _no_model(tenant, model, route.requested_model)
    return route if offers is route.offers else replace(route, offers=offers)


def check_served(tenant: Tenant, route: Route, account: Account | None) -> None:
    """See that a client may still have an answer that is being made.

    :param route: the decision by which it is.
    :param account: who makes it; ``None``: Amp, or nobody yet.
    :raises ClientFault: status 403: by its present rights it may not.
    """
    narrowed(tenant, route)
    if account is not None:
        check_account(tenant, account)


def check_model(tenant: Tenant, model: str) -> None:
    """See that a client may use a model, by the name that it asked for.

    :raises ClientFault: status 403: it may not.
    """
    name = split_suffix(model)[0]
    if not serves(tenant, name):
        raise _no_model(tenant, name, model)


def check_unnamed_model(tenant: Tenant, kind: str) -> None:
    """See that a client may make a call that does not show which model will work.

    :param kind: of the call.
    :raises ClientFault: status 403: its entry allows some models only.
    """
    if tenant.key.models:
        raise ClientFault.of(
            "permission",
            f"This call of {kind} does not show its model (in a form, the member `model` has to come before"
            f" the file), and the entry of the client key {tenant.label} allows only"
            f" {', '.join(tenant.key.models)} (setting: {tenant.key.section}.models).",
            code="model_not_allowed",
        )


def check_account(tenant: Tenant, account: Account) -> None:
    """See that a client may still have an answer of an account's.

    :raises ClientFault: status 403: by its present rights it may not.
    """
    if not may_use(tenant, account):
        raise ClientFault.of(
            "permission",
            f"The account that answers this request is not for the client key {tenant.label} any more"
            f" (setting: {tenant.key.section}.accounts).",
            code="account_not_allowed",
        )


def _check_amp(tenant: Tenant, route: Route) -> None:
    if not tenant.key.amp:
        raise ClientFault.of(
            "permission",
            f"The model {route.requested_model!r} is not served here, and requests with the client key"
            f" {tenant.label} are not sent to Amp (setting: api-keys[].amp).",
            code="amp_not_allowed",
            param="model",
        )
    model = split_suffix(route.requested_model)[0]
    if not serves(tenant, model):
        raise _no_model(tenant, model, route.requested_model)


def _no_model(tenant: Tenant, model: str, asked: str) -> ExchangeError:
    if serves(tenant, model):
        why = f"none of the accounts that serve it (setting: {tenant.key.section}.accounts)"
    else:
        why = f"only {', '.join(tenant.key.models)} (setting: {tenant.key.section}.models)"
    name = repr(asked) if asked == model else f"{asked!r}, which {model!r} serves,"
    return ClientFault.of(
        "permission",
        f"The model {name} is not for the client key {tenant.label}: its entry allows {why}.",
        code="model_not_allowed",
        param="model",
    )
