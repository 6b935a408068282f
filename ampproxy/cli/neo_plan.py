"""What ``ampproxy neo`` works with: the public address, the key's file, the connections that are needed."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from ampproxy.amp.connections import Wanted, needed
from ampproxy.amp.modes import AS_OF, asked_models
from ampproxy.cli.configured import below, demand, with_logins, without_keys
from ampproxy.cli.models import kept_models, known_catalog
from ampproxy.config.schema import Config
from ampproxy.credentials.amp import AmpKeys
from ampproxy.desktop.clients import files
from ampproxy.desktop.neo.account import AmpAccount, AmpRefused, amp_post
from ampproxy.desktop.neo.served import Split, split
from ampproxy.ledger.book import price_book
from ampproxy.ledger.prices import PriceBook
from ampproxy.model.clients import hash_of
from ampproxy.routing.decide import Router
from ampproxy.wire.redact import Secret, Unseen, printable

#: The folder of state of the command: the key, and copies of the configuration.
FOLDER = "neo"
_KEY_FILE = "key"
#: Bytes of a new key: 256 bits, which is why a plain SHA-256 of it may be stored.
_KEY_BYTES = 32
#: Where the listener for Amp's cloud is if the user says nothing else.
LISTEN = "127.0.0.1:8319"
_TIMEOUT = 10.0


def key_file(config: Config) -> Path:
    """The file that holds the key for Amp's cloud, for its owner alone."""
    return (config.state_dir / FOLDER / _KEY_FILE).absolute()


@contextmanager
def new_key(config: Config) -> Iterator[Secret]:
    """A new key, in its file in place of the one that is there. If what is done with it fails, the file is as
    it was.

    :raises click.ClickException: it cannot be written.
    """
    key, path = secrets.token_urlsafe(_KEY_BYTES), key_file(config)
    try:
        before = files.content(path)
        files.write(path, f"{key}\n".encode())
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from None
    try:
        yield Secret(key)
    except BaseException:
        if before is None:
            files.remove(path)
        else:
            files.write(path, before)
        raise


def stored_hash(key: Secret) -> str:
    """What the configuration holds of a key."""
    return f"sha256:{hash_of(key.reveal())}"


def known_key(config: Config) -> Secret | None:
    """The key for Amp's cloud that is in force: from its file, else the configuration; ``None``: unknown."""
    assert config.neo is not None
    try:
        content = files.content(key_file(config))
    except OSError as error:
        raise click.ClickException(f"{key_file(config)} cannot be read: {error}") from None
    kept = Secret((content or b"").decode("utf-8", "replace").strip())
    if kept and hash_of(kept.reveal()) in config.neo.client.hashes:
        return kept
    secret = config.neo.client.secret
    return None if secret is None or isinstance(secret, Unseen) else secret


def needed_key(config: Config) -> Secret:
    """The same, for what cannot do without.

    :raises click.ClickException: it is not to be had.
    """
    found = known_key(config)
    if found is None:
        raise click.ClickException(
            f"the key for Amp's cloud is neither in {key_file(config)} nor in the configuration, which has"
            " its hash alone: ampproxy neo rotate makes another one"
        )
    return found


def public_url(config: Config, given: str | None) -> str:
    """The gateway's public origin: what the user gives, else the configuration's, else the one of Tailscale's
    Funnel on this machine.

    :raises click.ClickException: there is none.
    """
    if given is not None:
        return checked_url(given)
    if config.neo is not None and config.neo.public_url:
        return config.neo.public_url
    found = funnel_url()
    if found:
        click.echo(f"Tailscale's Funnel is at {found}.", err=True)
        return found
    raise click.UsageError(
        "the address at which Amp's cloud reaches the gateway is not known: give it with --url"
        " https://gw.example.org (docs/neo.md has recipes for one)"
    )


def checked_url(url: str) -> str:
    """An origin.

    :raises click.BadParameter: it is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise click.BadParameter(
            "expected https:// with a host, perhaps a port, and nothing behind it", param_hint="--url"
        )
    return url.rstrip("/")


def funnel_url() -> str:
    """The origin that Tailscale's Funnel has on this machine; empty: there is none."""
    try:
        done = subprocess.run(
            ["tailscale", "funnel", "status", "--json"],  # noqa: S607  whichever the user has in PATH
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        allowed = json.loads(done.stdout)["AllowFunnel"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return ""
    if not isinstance(allowed, dict):
        return ""
    host = next((name for name, on in allowed.items() if on is True), "")
    return f"https://{host.removesuffix(':443')}" if host else ""


def amp_account(config: Config) -> AmpAccount | None:
    """The owner's account at Amp; ``None``: its key is not to be had, or there is no upstream.

    :raises click.ClickException: it cannot be asked.
    """
    url = config.ampcode.upstream_url
    if not url or isinstance(config.ampcode.upstream_api_key, Unseen):
        return None
    key = AmpKeys(config, environ=os.environ, home=Path.home()).find(None, 0.0)
    if key is None:
        return None
    try:
        return AmpAccount(amp_post(url.rstrip("/"), key, config.proxy_url))
    except AmpRefused as why:
        raise click.ClickException(str(why)) from None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is needed at Amp.

    :param modes: each model that Amp may ask for, with the modes that do.
    :param asked_amp: whether Amp was asked which models there are.
    """

    url: str
    models: Split
    modes: Mapping[str, tuple[str, ...]]
    wanted: tuple[Wanted, ...]
    prices: PriceBook
    asked_amp: bool

    def probe(self) -> tuple[str, str] | None:
        """The format and the model of a streamed request for a trial."""
        first = next(iter(self.wanted), None)
        return None if first is None else (first.api_format, first.rules[0].target)

    def summary(self) -> Iterator[str]:
        """Which models come here, and what stays with Amp and costs there."""
        source = "as Amp names them" if self.asked_amp else f"of Amp's modes as of {AS_OF}"
        yield f"Models that would be served here ({source}):"
        for wanted in self.wanted:
            yield f"  {wanted.name} ({wanted.api_format}, {wanted.base_url})"
            yield from (f"    {rule}{self._modes(rule.pattern)}" for rule in wanted.rules)
        if not self.wanted:
            yield "  none: see ampproxy models, and neo.models"
        yield "Models that stay with Amp, or with other connections of yours:"
        for model in self.models.elsewhere:
            if self.modes.get(model) or self.asked_amp:
                yield f"  {printable(model)}{self._modes(model)}: {self._cost(model)}"

    def _modes(self, model: str) -> str:
        modes = self.modes.get(model)
        return f"  [{', '.join(modes)}]" if modes else ""

    def _cost(self, model: str) -> str:
        price = self.prices.find(model.rpartition("/")[2])
        if price is None:
            return "its price is not known"
        factor = self.prices.amp_factor
        return (
            f"about ${price.input * factor:.2f} a million tokens of input and ${price.output * factor:.2f} of"
            " output, from Amp's credits"
        )


def make_plan(config: Config, url: str, account: AmpAccount | None) -> Plan:
    """What is needed at Amp so that it asks the gateway for all models that are served here.

    :raises click.ClickException: secrets that decide it are not to be had.
    """
    demand(below(config, "state-dir"), "ampproxy neo")
    config = with_logins(config)
    catalog: tuple[str, ...] = ()
    if account is not None:
        try:
            catalog = account.models()
        except AmpRefused as why:
            click.echo(f"Amp does not name its models ({why}): the known ones count.", err=True)
    modes = asked_models(catalog)
    bare = without_keys(config)
    served_by = known_catalog(bare, kept_models(config))
    unknown = [account.label for account in bare.accounts if served_by.patterns(account)]
    if unknown:
        click.echo(
            f"The models of {', '.join(unknown)} are not known, so every name of that vendor's counts as"
            " served: ampproxy models --refresh asks.",
            err=True,
        )
    router = Router(bare, served_by)
    key = None if config.neo is None else config.neo.client
    models = split(router, key, modes)
    return Plan(url, models, modes, needed(url, models.here), price_book(config), bool(catalog))
