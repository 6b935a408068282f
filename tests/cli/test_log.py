"""``ampproxy log`` and ``ampproxy try``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ampproxy.cli import log, main, try_
from ampproxy.ledger import NAME
from ampproxy.ledger.place import Place
from ampproxy.ledger.store import Store
from ampproxy.testing.script import Script
from tests.cli.test_accounts import KEYS, Service
from tests.ledger.samples import NOON, SECOND, THREAD, entry
from tests.ports import free_port


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "STATE_DIRECTORY", "AMPPROXY_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "config.yaml").write_text("port: 0\nstate-dir: state\n")
    with closing(Store(tmp_path / "state" / NAME)) as store:
        store.write(
            [
                entry(NOON),
                entry(NOON + SECOND, client="ci", asked="gpt-5.4", route="mapped"),
                entry(NOON + 2 * SECOND, outcome="upstream-error", tokens=None)._replace(status=502),
            ]
        )
        yield store


def run(tmp_path: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["log", "--config", str(tmp_path / "config.yaml"), *more])


def test_table(store: Store, tmp_path: Path) -> None:
    """The latest at the end; an error says how it ended."""
    lines = run(tmp_path).stdout.splitlines()
    assert lines[0].split()[:4] == ["TIME", "CLIENT", "ROLE", "MODEL"]
    assert [line.split()[-1] for line in lines[1:]] == ["200", "200", "upstream-error"]
    assert "gpt-5.4 -> claude-opus-4-6" in lines[2]
    assert "502 upstream-error" in lines[3]
    assert len(run(tmp_path, "-n", "1").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--client", "CI"), 1),
        (("--model", "gpt-*"), 1),
        (("--model", "claude-*"), 3),
        (("--model", "claude"), 0),
        (("--errors",), 1),
        (("--thread", THREAD), 3),
        (("--thread", "T-1"), 0),
        (("--since", "2026-11-01T12:00:01"), 2),
    ],
)
def test_filters(store: Store, tmp_path: Path, options: tuple[str, ...], count: int) -> None:
    """By client, model, thread, time, and how they ended."""
    done = run(tmp_path, "--json", *options)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == count
    assert ("There are no such exchanges" in done.stderr) == (not count)


def test_json(store: Store, tmp_path: Path) -> None:
    """A line for each, with what it cost."""
    first = json.loads(run(tmp_path, "--json").stdout.splitlines()[0])
    assert first["ended"] == "2026-11-01T12:00:00.000Z"
    assert (first["asked"], first["status"], first["thread"]) == ("claude-opus-4-6", 200, THREAD)
    assert first["tokens"]["cache_read"] == 2000
    assert first["cost_usd"] > 0


def test_followed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends later is shown later, also in a ledger that was begun anew; Ctrl-C ends it."""
    turns = 0
    path = tmp_path / "state" / NAME

    def pause(seconds: float) -> None:
        nonlocal turns
        turns += 1
        now = int(time.time() * SECOND) + turns * SECOND
        if turns == 1:
            store.write([entry(now, client="later")])
        elif turns == 2:
            for file in path.parent.glob(f"{NAME}*"):
                file.rename(file.with_name("old" + file.name))
        elif turns == 3:
            with closing(Store(path)) as other:
                other.write([entry(now, client="anew")])
        elif turns == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(log._Log.follow, "__defaults__", (pause,))
    done = run(tmp_path, "-f", "-n", "1")
    assert done.exit_code == 1
    assert [name for name in ("key0", "later", "anew") if f"  {name}  " in done.stdout] == [
        "key0",
        "later",
        "anew",
    ]
    assert "there is no ledger" in " ".join(done.stderr.split())


def test_no_ledger(tmp_path: Path) -> None:
    """Where it would be."""
    (tmp_path / "config.yaml").write_text("port: 0\nstate-dir: state\n")
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "there is no ledger at" in done.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Service]]:
    folder = tmp_path_factory.mktemp("try")
    running = Service(folder / "amp.yaml")
    yield folder / "amp.yaml", running
    running.stop()


def attempt(file: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["try", "--config", str(file), *more])


@pytest.mark.loopback
@pytest.mark.parametrize("dialect", try_.FORMS)
def test_try(service: tuple[Path, Service], dialect: str) -> None:
    """In each dialect: the answer, then how it came."""
    file, gateway = service
    gateway.vendor.always(Script(text="Hello there."))
    done = attempt(file, "m", "hi", "--dialect", dialect)
    assert done.exit_code == 0, done.output
    first, _, last = done.stdout.splitlines()
    assert first == "Hello there."
    assert last.startswith("route local; first byte after ")
    assert last.endswith(" ms in all")


@pytest.mark.loopback
def test_try_what_fails(service: tuple[Path, Service]) -> None:
    """A refusal, and a stream that breaks, are errors with the service's words."""
    file, gateway = service
    done = attempt(file, "nothing-like-it")
    assert done.exit_code == 1
    assert "Error (status 404): The model 'nothing-like-it' is not available here." in done.stderr
    assert '\n      - name: "nothing-like-it"\n' in done.stderr
    assert "\\x0a" not in done.stderr
    gateway.vendor.script(*[Script(text="one two three four five six seven", cut=6)] * 3)
    done = attempt(file, "m", "--json")
    seen = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (seen["status"], seen["route"]) == (200, "local")
    assert seen["error"]


def test_try_without_a_service(tmp_path: Path) -> None:
    """A status of its own."""
    (tmp_path / "a.yaml").write_text(f"port: {free_port()}\napi-keys: [{KEYS[0]}]\n")
    done = attempt(tmp_path / "a.yaml", "m")
    assert done.exit_code == 3
    assert "cannot reach the service" in done.stderr


def test_what_the_ledger_has_of_it(store: Store, tmp_path: Path) -> None:
    """Account, tokens and cost come from there, as soon as they are there."""
    from ampproxy.config.load import load

    config = load(tmp_path / "config.yaml", environ={}, home=tmp_path)
    thread = "T-0123abcd-4567-4890-abcd-ef0123456780"
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            store.write([entry(int(time.time() * SECOND), thread=thread)])

    found = try_._exchange(config, Place(tmp_path / "state" / NAME), thread, pause)
    assert found is not None
    assert len(waited) == 2
    tried = try_.Tried(200, "local", "x", 250, 1500, exchange=found)
    assert try_.conclusion(tried) == [
        "route local; served by claude-api-key[0]; first byte after 250 ms; 1500 ms in all;"
        f" 2.40k tokens in, 40 out; cost ${found['cost_usd']:.4f}"
    ]
