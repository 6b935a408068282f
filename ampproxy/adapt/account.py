"""Who asks, and what concerns the account more than the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.adapt.names import shorten
from ampproxy.adapt.profile import DialectProfile
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest


def fit_account(request: ChatRequest, profile: DialectProfile, losses: Losses) -> ChatRequest:
    """The request with an end user, labels and the like that the vendor has a place for. A client that
    speaks the dialect is taken at its word, but for labels that are too many or too long.
    """
    changed: dict[str, Any] = {}
    if request.metadata:
        _fit_metadata(request, profile, losses, changed)
    if request.dialect != profile.dialect:
        _fit_others(request, profile, losses, changed)
    return msgspec.structs.replace(request, **changed) if changed else request


def _fit_others(
    request: ChatRequest, profile: DialectProfile, losses: Losses, changed: dict[str, Any]
) -> None:
    if request.user is not None:
        _fit_user(request.user, profile, losses, changed)
    if request.cache_key is not None and not profile.cache_key:
        losses("cache_key", "cache_key", f"{profile.vendor} takes no key for a cache.")
        changed["cache_key"] = None
    tier = request.service_tier
    kin = request.dialect in profile.kin and bool(profile.tiers)
    if tier is not None and not kin and (sent := profile.tiers.get(tier) or None) != tier:
        if tier not in profile.tiers:
            losses("service_tier", "service_tier", f"'{tier[:40]}' is another vendor's tier.")
        changed["service_tier"] = sent
    if request.modalities and not profile.modalities:
        if any(kind.lower() != "text" for kind in request.modalities):
            losses("modalities", "modalities", f"{profile.vendor} answers in text only.")
        changed["modalities"] = ()


def _fit_user(user: str, profile: DialectProfile, losses: Losses, changed: dict[str, Any]) -> None:
    if profile.user is None:
        losses("user", "user", f"{profile.vendor} takes no id of the end user.")
        changed["user"] = None
    elif len(user) > profile.user:
        losses("user", "user", f"It was shortened to {profile.user} characters, always in the same way.")
        changed["user"] = shorten(user, profile.user)


def _fit_metadata(
    request: ChatRequest, profile: DialectProfile, losses: Losses, changed: dict[str, Any]
) -> None:
    if profile.metadata is None:
        if request.dialect == profile.dialect:
            return
        for name in request.metadata:
            losses("metadata", f"metadata.{name}", f"{profile.vendor} takes no labels.")
        changed["metadata"] = {}
        return
    pairs, longest_key, longest_value = profile.metadata
    fitting = [
        (key, value)
        for key, value in request.metadata.items()
        if len(key) <= longest_key and len(value) <= longest_value
    ]
    sent = dict(fitting[:pairs])
    if len(sent) < len(request.metadata):
        losses("metadata", "metadata", f"At most {pairs} pairs of limited length are taken.")
        changed["metadata"] = sent
