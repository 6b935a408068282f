"""Whoever keeps secrets out of sight hears of every one, also of those that come while the service runs."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.application.service import Application
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver

from ampproxy.assembly import Hearers, Outside, Start, assemble
from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.generation import Generation
from ampproxy.service import GatewayService
from ampproxy.wire.redact import Secret
from tests.credentials.oauth.doubles import login_file
from tests.credentials.oauth.house import House

TEXT = "port: 0\napi-keys: [client-key]\nampcode: {upstream-url: http://127.0.0.1:9}\n"


def configured(text: str, home: Path) -> Config:
    return parse(text, name="c", environ={}, home=home, read_secret=lambda path: "")


def made(
    config: Config, home: Path, hearers: Hearers | None = None, *, start: Start | None = None, **parts: Any
) -> GatewayService:
    """A service; ``parts`` are put in the place of what it is made of."""
    outside = Outside(reactor=MemoryReactorClock(), environ={}, home=home, observer=lambda _: None)
    return GatewayService(replace(assemble(config, outside, start, hearers), **parts))


def test_every_change(tmp_path: Path) -> None:
    """Keys of the file, of a reload, of Amp's own login; tokens of logins as they come and are renewed."""
    heard: list[set[str]] = []
    configs: list[Config] = []

    def hear(generation: Generation, secrets: Collection[Secret]) -> None:
        heard.append({secret.reveal() for secret in secrets})
        configs.append(generation.config)

    amp = tmp_path / ".local" / "share" / "amp" / "secrets.json"
    amp.parent.mkdir(parents=True)
    amp.write_text(json.dumps({"apiKey@https://ampcode.com/": "key-of-amp"}))
    config = configured(TEXT, tmp_path)
    house: Any = House(tmp_path / "auth")
    service = made(config, tmp_path, Hearers(in_force=(hear,)), logins=lambda _: house.logins)
    assert heard == [{"client-key", "key-of-amp"}]
    name = login_file(house.world, house.folder)
    service.attach_logins()
    first = house.token()
    assert first in heard[-1]
    assert "client-key" in heard[-1]

    path = house.folder / name
    renewed = json.loads(path.read_text())
    renewed.update(access_token="another-access-token", refresh_token="another-refresh-token")
    path.write_text(json.dumps(renewed))
    house.pass_(3)
    house.logins.load()
    assert {"another-access-token", "another-refresh-token"} <= heard[-1]
    assert first not in heard[-1]

    service.use(configured(TEXT.replace("client-key", "new-client-key") + "debug: true\n", tmp_path))
    assert {"new-client-key", "another-access-token"} <= heard[-1]
    assert configs[-1].logging.level == "debug"
    house.logins.stop()


def test_twistd_is_given_our_observer(tmp_path: Path) -> None:
    """``twistd`` logs by the observer that the application names, and names none where it has its own."""
    service = made(configured(TEXT, tmp_path), tmp_path)
    bare = Application("ampproxy")
    service.setServiceParent(bare)
    assert bare.getComponent(ILogObserver, None) is None
    observer: Any = lambda event: None  # noqa: E731
    service = made(configured(TEXT, tmp_path), tmp_path, start=Start(log_observer=observer))
    ours = Application("ampproxy")
    service.setServiceParent(ours)
    assert ours.getComponent(ILogObserver) is observer
