"""Verbs beside a service whose secrets are its own: in its variables, and in files that only it can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ampproxy.cli import main
from ampproxy.config.load import load
from ampproxy.credentials.names import account_name
from ampproxy.desktop.clients.running import find_running
from ampproxy.errors import ConfigError
from ampproxy.ledger import NAME
from ampproxy.ledger.store import Store
from ampproxy.wire.redact import Secret, SecretUnseen, Unseen
from tests import forked
from tests.ledger.samples import NOON, entry
from tests.loopback.process import Service
from tests.ports import free_port

CLIENT, VENDOR = "canary-client-key-3f7a", "canary-vendor-key-91cc"
#: Every place where a secret may stand, each somewhere else.
EVERYWHERE = """
port: 0
state-dir: state
proxy-url: http://u:${PROXY_PASSWORD}@127.0.0.1:9
api-keys: ["file:${CREDENTIALS_DIRECTORY}/key_client", "file:/nonexistent/other"]
claude-api-key:
  - {api-key: "${ANTHROPIC_API_KEY}", models: [m], headers: {x-token: "Bearer ${TOKEN}"}}
  - {api-key: "${OTHER_KEY}", models: [n], base-url: "${BASE}"}
openai-compatibility:
  - {name: local, base-url: "http://127.0.0.1:1/v1", api-key-entries: [{api-key: "file:/nonexistent/local"}]}
ampcode:
  upstream-url: https://ampcode.com
  upstream-api-key: ${AMP_UPSTREAM_API_KEY}
  upstream-api-keys:
    - {upstream-api-key: "${AMP_OF_ANNA}", api-keys: ["file:${CREDENTIALS_DIRECTORY}/key_client"]}
  fallback: [{daily-requests: 5}]
oauth: {gemini: {client-secret: "${GOOGLE_SECRET}"}}
"""


def run(home: Path, verb: str, *arguments: str, **environ: str):
    clean = {"HOME": str(home), "XDG_STATE_HOME": "", "AMP_API_KEY": "", "AMP_URL": ""}
    return CliRunner().invoke(main, [verb, *arguments], env={**clean, **environ})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(EVERYWHERE)
    return path


def test_stand_ins(file: Path) -> None:
    """Each secret that is not here is named with what it comes from, equals no other, and gives nothing."""
    config = load(file, environ={}, home=Path("/"), lenient=True)
    places = {one.place: one.what for one in config.unseen}
    assert places == {
        "proxy-url": "PROXY_PASSWORD",
        "api-keys[0]": "CREDENTIALS_DIRECTORY",
        "api-keys[1]": "/nonexistent/other: No such file or directory",
        "claude-api-key[0].api-key": "ANTHROPIC_API_KEY",
        "claude-api-key[0].headers.x-token": "TOKEN",
        "claude-api-key[1].api-key": "OTHER_KEY",
        "claude-api-key[1].base-url": "BASE",
        "openai-compatibility[0].api-key-entries[0].api-key": "/nonexistent/local: No such file or directory",
        "ampcode.upstream-api-key": "AMP_UPSTREAM_API_KEY",
        "ampcode.upstream-api-keys[0].upstream-api-key": "AMP_OF_ANNA",
        "ampcode.upstream-api-keys[0].api-keys[0]": "CREDENTIALS_DIRECTORY",
        "oauth.gemini.client-secret": "GOOGLE_SECRET",
    }
    assert config.warnings == ()
    assert config.literal == ()
    keys = [*config.api_keys, *(account.api_key for account in config.accounts)]
    assert len({*keys}) == 5
    for key in keys:
        assert isinstance(key, Unseen)
        assert not key.matches(b"")
        assert key != Secret("")
        with pytest.raises(SecretUnseen, match="not to be had here"):
            key.reveal()
    assert [account_name(account) for account in config.accounts] == [one.label for one in config.accounts]
    assert config.accounts[1].base_url == "https://unseen.invalid"
    with pytest.raises(ConfigError) as strict:
        load(file, environ={}, home=Path("/"))
    assert len(strict.value.complaints) == len(places)


def test_private_key_of_another_user() -> None:
    """The listener's key, too, may be only the service's to read; where it is not at all is an error."""
    text = "tls: {enable: true, cert: /c.pem, key: '${CREDENTIALS_DIRECTORY}/k.pem'}\n"

    def read(error: type[OSError]):
        def read(path: Path) -> bytes:
            if path.name == "c.pem":
                raise error(13, "No luck")
            return text.encode()

        return read

    file, home = Path("/x/config.yaml"), Path("/")
    config = load(file, environ={}, home=home, read=read(PermissionError), lenient=True)
    assert {str(one) for one in config.unseen} == {
        "tls.cert (/c.pem: No luck)",
        "tls.key (CREDENTIALS_DIRECTORY)",
    }
    with pytest.raises(ConfigError, match="there is no such file"):
        load(file, environ={}, home=home, read=read(FileNotFoundError), lenient=True)
    with pytest.raises(ConfigError, match="No luck"):
        load(file, environ={}, home=home, read=read(PermissionError))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("api-keys: ['${NAME']", "has a broken"),
        ("api-keys: ['file:relative']", "needs an absolute path"),
        ("api-keys: ['file:{folder}/empty']", "is empty"),
        ("api-keys: ['file:{folder}']", "cannot be read"),
        ("port: '${PORT}'", "PORT is not set"),
        ("request-retry: ${RETRIES}", "RETRIES is not set"),
    ],
)
def test_still_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    """What is wrong wherever it is read, and what is no secret and has no stand-in, is an error still."""
    (tmp_path / "empty").touch()
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("{folder}", str(tmp_path)))
    done = run(tmp_path, "check", str(path))
    assert done.exit_code == 1
    assert complaint in done.output


def test_check(file: Path, tmp_path: Path) -> None:
    """``check`` counts and names them, and is content; ``--secrets`` wants them all."""
    done = run(tmp_path, "check", str(file))
    assert done.exit_code == 0, done.output
    note = next(line for line in done.output.splitlines() if ": note: " in line)
    assert "12 secrets come from the environment or from files and were not looked at: proxy-url" in note
    assert "api-keys[0] (CREDENTIALS_DIRECTORY)" in note
    assert "and 7 more" in note
    strict = run(tmp_path, "check", "--secrets", str(file))
    assert strict.exit_code == 1
    assert "claude-api-key[0].api-key: the environment variable ANTHROPIC_API_KEY is not set" in strict.output
    one = tmp_path / "one.yaml"
    one.write_text("claude-api-key: [{api-key: '${KEY}'}]\n")
    assert ": note: 1 secret comes from the environment or from files and was not" in run(
        tmp_path, "check", str(one)
    ).output  # fmt: skip
    assert "note" not in run(tmp_path, "check", str(one), KEY="k").output


@pytest.mark.parametrize(
    ("verb", "status", "says"),
    [
        (("models",), 0, "claude-api-key[1]"),
        (("explain", "m"), 0, "served by your own accounts"),
        (("usage",), 0, "claude-api-key#"),
        (("credits",), 0, "up to 5 requests a day"),
        (("accounts",), 0, "claude-api-key[0]"),
        (("logout", "nobody"), 1, "that needs proxy-url"),
        (("setup", "--dry-run"), 1, "needs api-keys[0] (CREDENTIALS_DIRECTORY)"),
        (("models", "--refresh"), 1, "--refresh needs proxy-url (PROXY_PASSWORD)"),
        (("reload",), 1, "client key"),
        (("restart",), 1, "client key"),
    ],
)
def test_verbs(file: Path, tmp_path: Path, verb: tuple[str, ...], status: int, says: str) -> None:
    """Those that need no secret do their work; the others say which one they need, and what helps."""
    with closing(Store(tmp_path / "state" / NAME)) as ledger:
        ledger.write([entry(NOON, account="claude-api-key#1f9a03c2")])
    more = ("--since", "all", "--by", "account") if verb[0] == "usage" else ()
    done = run(tmp_path, verb[0], "--config", str(file), *verb[1:], *more)
    assert says in done.output, done.output
    assert done.exit_code == status, done.output
    assert "set it, or write the value here" not in done.output
    if status:
        assert "run this as root or as the service's own user" in done.output


def test_doctor(file: Path, tmp_path: Path) -> None:
    """The doctor looks at all else, and says what it could not look at."""
    file.write_text(
        EVERYWHERE.replace("upstream-url: https://ampcode.com", "upstream-url: http://127.0.0.1:1")
    )
    file.chmod(0o644)
    command = [sys.executable, "-c", "from ampproxy.cli import main; main()", "doctor", "--config", str(file)]
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HTTPS_PROXY": ""}
    done = forked.run([*command, "--json"], env=environ, capture_output=True, text=True, timeout=120)
    findings = json.loads(done.stdout)["findings"]
    assert any("12 secrets come from" in one["text"] for one in findings if one["level"] == "note")
    assert not [one for one in findings if "unseen.invalid" in one["text"]]
    # No secret stands in the file, so who reads it learns none.
    assert not [one for one in findings if "can be read by others" in one["text"]]
    live = forked.run([*command, "--live"], env=environ, capture_output=True, text=True, timeout=120)
    assert live.returncode == 1
    assert "--live needs proxy-url (PROXY_PASSWORD)" in live.stderr


OF_A_SERVICE = """
port: {port}
state-dir: {state}
api-keys: ["file:${{CREDENTIALS_DIRECTORY}}/key_client"]
claude-api-key: [{{api-key: "${{ANTHROPIC_API_KEY}}", base-url: "http://127.0.0.1:1", models: [m]}}]
"""


@pytest.fixture
def service(tmp_path: Path):
    """A service of this user's with secrets of its own."""
    port = free_port()
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "key_client").write_text(f"{CLIENT}\n")
    running = Service(
        tmp_path,
        OF_A_SERVICE.format(port=port, state=tmp_path / "elsewhere"),
        environ={"CREDENTIALS_DIRECTORY": str(credentials), "ANTHROPIC_API_KEY": VENDOR},
        fresh=True,
    )
    yield running
    running.stop()


@pytest.mark.loopback
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows another process's variables")
def test_beside_a_service(service: Service, tmp_path: Path) -> None:
    """Its key is found where it has it, by its own user; so are its folders, which are named."""
    file, home = tmp_path / "config.yaml", tmp_path / "home"
    home.mkdir()
    done = run(home, "accounts", "--config", str(file))
    assert (done.stderr, done.stdout.split()[:3]) == ("", ["claude-api-key[0]", "claude", "untried"])
    done = run(home, "reload", "--config", str(file))
    assert done.exit_code == 0, done.output
    # This user's own state is another one.
    assert f"there is no ledger at {home}" not in run(home, "usage", "--config", str(file)).output
    file.write_text(file.read_text().replace(f"state-dir: {tmp_path / 'elsewhere'}\n", ""))
    service.wait_for_log("is in force", 2)
    # The file is there a moment before its tables are.
    service.wait_for(lambda: run(home, "usage", "--config", str(file)).exit_code == 0)
    shown = run(home, "usage", "--config", str(file))
    assert shown.exit_code == 0, shown.output
    pid, whose = service.process.pid, f"{tmp_path}/elsewhere/{NAME}, of the service that runs as "
    assert whose in " ".join(shown.output.split())
    assert f"(pid {pid})" in shown.output
    told = json.loads(run(home, "usage", "--json", "--config", str(file)).stdout)
    assert told["ledger"] == f"{tmp_path}/elsewhere/{NAME}"
    for output in (done.output, shown.output):
        assert CLIENT not in output
        assert VENDOR not in output


@pytest.mark.loopback
def test_another_configuration(service: Service, tmp_path: Path) -> None:
    """A service that runs by another file is told from one's own: nothing of it is mixed in."""
    other = tmp_path / "other" / "config.yaml"
    other.parent.mkdir()
    other.write_text(
        f"port: {service.port}\napi-keys: [{CLIENT}]\nclaude-api-key: [{{api-key: k, models: [m]}}]\n"
    )
    home = other.parent
    for verb in ("accounts", "models", "reload", "restart"):
        done = run(home, verb, "--config", str(other))
        assert f"runs by another configuration, {tmp_path}/config.yaml" in done.output, verb
        assert "untried" not in done.output
        assert done.exit_code == (verb in ("reload", "restart"))
    ledger = run(home, "usage", "--config", str(other)).output
    assert f"there is no ledger at {home}/.local/state/ampproxy/{NAME}" in ledger
    assert f"runs by another configuration, {tmp_path}/config.yaml" in ledger
    # Who says where the service listens means that one.
    at = ("--at", f"127.0.0.1:{service.port}")
    assert "untried" in run(home, "accounts", "--config", str(other), *at).output


@pytest.mark.loopback
def test_doctor_of_another_configuration(service: Service, tmp_path: Path) -> None:
    """The doctor calls it a problem; and where all is well, says with which key or that there is none."""
    other = tmp_path / "other.yaml"
    other.write_text(f"port: {service.port}\napi-keys: [{CLIENT}]\n")
    command = [sys.executable, "-c", "from ampproxy.cli import main; main()", "doctor", "--json"]
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for file, level, words in (
        (other, "problem", f"runs by another configuration, {tmp_path}/config.yaml"),
        (tmp_path / "config.yaml", "ok", "takes the first of its api-keys"),
    ):
        done = forked.run(
            [*command, "--config", str(file)], env=environ, capture_output=True, text=True, timeout=120
        )
        mine = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "service"]
        assert [(one["level"], words in one["text"]) for one in mine] == [(level, True)]
    # Its own questions leave no refusals in the log.
    assert " 401 " not in service.log_text


#: Listens as another user, in a root of its own; has a link to what only root may read.
OTHER = """
import os, socket, sys, time
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into another user's process")
def test_no_more_rights(tmp_path: Path) -> None:
    """What root reads in another user's process that user could read, and nothing else."""
    folder = Path("/tmp") / f"ampproxy-test-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "own").write_text("its own")
    os.chown(folder / "own", 65534, 65534)
    (folder / "own").chmod(0o400)
    (folder / "roots").write_text("root's alone")
    (folder / "roots").chmod(0o600)
    (folder / "link").symlink_to(folder / "roots")
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, "ampproxy"], stdout=subprocess.PIPE, text=True, env={"NAME": "value"}
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        assert find_running("127.0.0.1", port, {0}) is None
        found = find_running("127.0.0.1", port, {0, 65534})
        assert found is not None
        assert (found.pid, found.uid, found.environ["NAME"]) == (process.pid, 65534, "value")
        assert found.read(folder / "own") == b"its own"
        for name in ("roots", "link"):
            with pytest.raises(PermissionError):
                found.read(folder / name)
        assert os.geteuid() == 0
    finally:
        process.kill()
        process.wait()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_who_listens(tmp_path: Path) -> None:
    """Of those that have the socket the youngest that is ampproxy; nobody where the system does not tell."""
    assert find_running("127.0.0.1", 1, {os.geteuid()}, proc=tmp_path) is None
    (tmp_path / "net").mkdir()
    head = "sl local_address rem_address st queue tr retrnsmt uid timeout inode\n"
    line = "0: 0100007F:207D 00000000:0000 0A 0:0 0:0 0 1000 0 4711 1 0\n"
    (tmp_path / "net" / "tcp").write_text(head + line)
    for pid, program, inode in (
        (1, "/sbin/init", 4711),
        (20, "/bin/ampproxy", 4711),
        (30, "/bin/twistd\0ampproxy", 4711),
        (40, "/bin/ampproxy", 4712),
        (50, "/bin/nginx", 4711),
    ):
        folder = tmp_path / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "fd" / "3").symlink_to(f"socket:[{inode}]")
        (folder / "cmdline").write_text(f"{program}\0")
        (folder / "environ").write_text("KEY=value=1\0broken\0")
        (folder / "status").write_text("Name:\tx\nUid:\t0\t1000\t0\t0\nGid:\t0\t1001\t0\t0\n")
    found = find_running("127.0.0.1", 0x207D, {1000}, proc=tmp_path)
    assert found is not None
    assert (found.pid, found.uid, found.gid, found.environ) == (30, 1000, 1001, {"KEY": "value=1"})
    assert find_running("127.0.0.1", 0x207D, {1}, proc=tmp_path) is None
    assert find_running("127.0.0.1", 0x207E, {1000}, proc=tmp_path) is None
