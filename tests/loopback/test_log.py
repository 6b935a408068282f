"""The log of the service as twistd starts it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.loopback.process import Service, twistd

pytestmark = pytest.mark.loopback

CONFIG = """
port: 0
metrics: {enable: false}
api-keys: [canary-client-key]
claude-api-key: [{api-key: canary-account-key, base-url: "http://127.0.0.1:9", models: [{name: claude-x}]}]
"""


def ask(service: Service, model: str = "claude-x", **headers: str) -> http.client.HTTPResponse:
    connection = service.connect()
    body = json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    connection.request("POST", "/v1/messages", body, {"X-Api-Key": "canary-client-key", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer


def wait(condition: Callable[[], Any], what: Callable[[], str]) -> Any:
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("log"), CONFIG)
    yield running
    running.stop()


def reload(service: Service, text: str) -> None:
    """Change the file; wait until it is in force, as answers tell."""
    before = ask(service).headers["X-Ampproxy-Generation"]
    (service.log.parent / "config.yaml").write_text(text)
    service.process.send_signal(signal.SIGHUP)
    wait(lambda: ask(service).headers["X-Ampproxy-Generation"] != before, lambda: service.log_text)


def test_nobody_reads(tmp_path: Path) -> None:
    """A pipe that nobody reads stops no request and no end of the service; read again, the log says how many
    lines are missing.
    """
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG + "logging: {buffer: 20KiB}\n")
    command = twistd("-n", "--pidfile=", "ampproxy", "--config", str(path))
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": "", "STATE_DIRECTORY": ""}
    process = forked.popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environ)
    assert process.stdout is not None
    read = b""
    try:
        while b"Listening on 127.0.0.1:" not in read or not read.endswith(b"\n"):
            read += (piece := os.read(process.stdout.fileno(), 65536))
            assert piece, read
        port = int(read.partition(b"Listening on 127.0.0.1:")[2].split()[0])
        path_asked = "/x" + "y" * 500
        for _ in range(400):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path_asked)
            assert connection.getresponse().status == 404
            connection.close()
        while b" lines of the log could not be written before this one" not in read:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/read-again")
            connection.getresponse()
            connection.close()
            read += os.read(process.stdout.fileno(), 65536)
        lost = re.findall(rb"([0-9]+) lines of the log could not be written before this one", read)
        assert 0 < sum(map(int, lost)) < 400
        # Once more nobody reads, until it has ended.
        for _ in range(400):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path_asked)
            connection.getresponse()
            connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait(60)


def test_what_held_up_everybody(tmp_path: Path) -> None:
    """A request that takes the reactor's whole time is told of, with the lines that ran."""
    slow = (
        "import time, ampproxy.resources.base as b;"
        " b.printable_path = lambda request: time.sleep(0.7) or '/x'"
    )
    service = Service(tmp_path, CONFIG, first=slow)

    def lines() -> list[str]:
        held_up = [line for line in service.log_text.splitlines() if "was held up" in line]
        return [line for line in held_up if "ampproxy/resources/base.py:" in line]

    try:
        connection = service.connect()
        # The watch begins a little after the port is open. A busy machine holds the reactor up, too.
        service.wait_for(lambda: asked(connection) and lines())
        (line, *_) = lines()
        told = re.search(r" warn  The reactor was held up for (\S+) s: all streams waited\. It ran", line)
        assert told
        # As long as the request slept; longer on a busy machine.
        assert 0.6 <= float(told[1]) < 30
        connection.close()
    finally:
        service.stop()


def asked(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/x")
    connection.getresponse().read()
    return True


def test_our_own_lines(service: Service) -> None:
    """Every line is ours, once: twistd's format stands beside it nowhere."""
    answer = ask(service, **{"X-Request-Id": "mine-1"})
    assert answer.headers["X-Ampproxy-Request-Id"] == "mine-1"
    wait(lambda: "request=mine-1" in service.log_text, lambda: service.log_text)
    for line in service.log_text.splitlines():
        assert line.startswith("    ") or line[4] == "-", line
        assert "#info]" not in line
    assert service.log_text.count("Listening on") == 1
    assert "twisted: twistd" in service.log_text
    assert "canary" not in service.log_text


def test_level_and_format_at_run_time(service: Service) -> None:
    """The level is another from the next event on, the format too; a level that leaves out the line of the
    reload itself is in force all the same.
    """
    reload(service, CONFIG + "debug: true\n")
    ask(service, **{"X-Request-Id": "steps"})
    wait(lambda: "debug [steps] claude-x is offered by" in service.log_text, lambda: service.log_text)
    reload(service, CONFIG + "logging: {format: json}\n")
    ask(service, **{"X-Request-Id": "json"})

    def exchange() -> Any:
        whole, _, _ = service.log_text.rpartition("\n")  # the last line may be on its way
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        told = map(json.loads, lines)
        return [each for each in told if each.get("event") == "exchange" and each["request"] == "json"]

    (told,) = wait(exchange, lambda: service.log_text)
    assert (told["kind"], told["model"]) == ("local", "claude-x")
    assert told["bytes"] > 0, "the error that the client got"
    reload(service, CONFIG + "logging: {level: error}\n")
    ask(service, **{"X-Request-Id": "silent"})
    reload(service, CONFIG)
    ask(service, **{"X-Request-Id": "back"})
    wait(lambda: "request=back" in service.log_text, lambda: service.log_text)
    assert "silent" not in service.log_text
    assert "canary" not in service.log_text


def test_file_is_followed(tmp_path: Path) -> None:
    """What logrotate does: the file is moved, a signal has a new one opened; nothing is lost between."""
    config, log = tmp_path / "config.yaml", tmp_path / "logs" / "ampproxy.log"
    log.parent.mkdir()
    config.write_text(CONFIG + "logging: {rotate-keep: 0}\n")
    command = twistd("-n", "--pidfile=", "--logfile", str(log), "ampproxy", "--config", str(config))
    process = forked.popen(
        command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, stdout=subprocess.DEVNULL
    )

    def text() -> str:
        return log.read_text() if log.exists() else ""

    try:
        told = wait(lambda: "Listening on 127.0.0.1:" in text() and text(), text)
        port = int(told.partition("Listening on 127.0.0.1:")[2].split()[0])
        # The signal is taken once the reactor runs, which is when it answers.
        _get(port, "first")
        wait(lambda: "request=first" in text(), text)
        log.rename(log.parent / "ampproxy.log.1")
        process.send_signal(signal.SIGUSR1)
        wait(log.exists, lambda: str(list(log.parent.iterdir())))
        _get(port, "second")
        wait(lambda: "request=second" in text(), text)
        assert "request=first" in (log.parent / "ampproxy.log.1").read_text()
        assert sorted(each.name for each in log.parent.iterdir()) == ["ampproxy.log", "ampproxy.log.1"]
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert "Server Shut Down." in text()


def _get(port: int, request: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v1/models", headers={"X-Api-Key": "wrong", "X-Request-Id": request})
    assert connection.getresponse().status == 401


def test_own_logger_of_the_user(tmp_path: Path) -> None:
    """Who names a logger to twistd gets that one."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    logger = "twisted.logger.jsonFileLogObserver"
    command = twistd("-n", "--pidfile=", "--logger", logger, "ampproxy", "--config", str(config))
    ended = forked.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    # That factory wants an argument, which twistd does not give: so it was indeed called.
    assert "jsonFileLogObserver() missing 1 required positional argument" in ended.stderr
