"""The vendors whose logins are served, a row each."""

from __future__ import annotations

from collections.abc import Callable

from ampproxy.config.schema import OAuth, OAuthClient
from ampproxy.credentials.oauth import claude, codex, gemini
from ampproxy.credentials.oauth.effects import Flow
from ampproxy.credentials.oauth.formats import Document, Kind
from ampproxy.credentials.oauth.refresh import Renew
from ampproxy.model.base import Value

SignIn = Callable[[OAuthClient, str, Callable[[int], str], Callable[[], float]], Flow[Document]]
ByDevice = Callable[[OAuthClient, Callable[[int], str], Callable[[], float]], Flow[Document]]


class LoginVendor(Value, frozen=True):
    """One vendor.

    :param sign_in: the flow of a first login, through a browser.
    :param renew: the flow that gets new tokens.
    :param by_device: the flow without a browser, where the vendor has one.
    :param no_device: why it has none.
    :param terms: what its terms say of other programs' use of such logins, as of a date.
    """

    kind: Kind
    name: str
    sign_in: SignIn
    renew: Renew
    terms: str
    by_device: ByDevice | None = None
    no_device: str = ""

    def client(self, settings: OAuth) -> OAuthClient:
        """Its settings."""
        client: OAuthClient = getattr(settings, self.kind)
        return client


VENDORS: dict[Kind, LoginVendor] = {
    "claude": LoginVendor(
        "claude",
        "Anthropic",
        claude.sign_in,
        claude.renew,
        terms=(
            "As of 2026-11, Anthropic's documentation says that logins of Claude subscriptions are meant for"
            " Claude Code and its own applications only and that other products should use API keys;"
            " using one here may break the terms and cost you the account. Read them yourself:"
            " https://code.claude.com/docs/en/legal-and-compliance"
        ),
        no_device="Anthropic has no device flow; --no-browser prints the address to open anywhere.",
    ),
    "codex": LoginVendor(
        "codex",
        "OpenAI",
        codex.sign_in,
        codex.renew,
        terms=(
            "As of 2026-11, we know of no promise in OpenAI's terms that a ChatGPT login may be used by other"
            " programs than OpenAI's own, nor of a sentence that names this case; the limits of your plan"
            " apply. Read them yourself: https://openai.com/policies/terms-of-use/"
        ),
        by_device=codex.sign_in_by_device,
    ),
    "gemini": LoginVendor(
        "gemini",
        "Google",
        gemini.sign_in,
        gemini.renew,
        terms=(
            "As of 2026-11, the terms of Gemini CLI and Code Assist say that reaching the service with"
            " third-party software is a violation that may lead to suspension; the public Gemini API"
            " with your own OAuth client (oauth.gemini.backend: api) is another matter. Read them yourself:"
            " https://geminicli.com/docs/resources/tos-privacy/"
        ),
        no_device=(
            "Google's device flow is not available for the scope cloud-platform, which this login needs;"
            " --no-browser prints the address to open anywhere."
        ),
    ),
}
