"""Scripts and files for other ways to run it: shellcheck, launchd, Docker."""

from __future__ import annotations

import fnmatch
import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ampproxy.config.load import parse
from ampproxy.config.schema import Config, Timeouts
from ampproxy.tap import Options
from tests.etc import ETC
from tests.loopback.process import Service

TREE = ETC.parent
SCRIPTS = (
    ETC / "init.d" / "ampproxy",
    ETC / "default" / "ampproxy",
    TREE / ".ci" / "release",
    TREE / ".ci" / "run",
    TREE / ".ci" / "venv",
    *(ETC / "debian" / name for name in ("build", "postinst", "prerm", "postrm")),
)


def tool(name: str) -> str:
    """A program that may be there, in this environment or on the system."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def test_shellcheck() -> None:
    """The shell scripts are right in any POSIX shell, as far as shellcheck can tell."""
    done = subprocess.run(
        [tool("shellcheck"), "--severity=warning", *map(str, SCRIPTS)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_scripts_can_be_run() -> None:
    """Git keeps the permission."""
    others = [
        script for script in SCRIPTS if script.parent.name not in ("default",) and script.name != "venv"
    ]
    for script in others:
        assert os.access(script, os.X_OK)


def arguments_of(command: list[str]) -> list[str]:
    """What follows ``ampproxy`` on ``twistd``'s command line."""
    return command[command.index("ampproxy") + 1 :]


def takes(arguments: list[str]) -> set[str]:
    """The options that ``twistd ampproxy`` would be given; all must be its own."""
    known = {f"--{name}" for name, *_ in Options.optParameters} | {"--listen"}
    given = {word for word in arguments if word.startswith("--")}
    assert given <= known
    return given


def test_launchd() -> None:
    """A property list that runs the service in the foreground and lets it end in its own time."""
    (path,) = (ETC / "launchd").glob("*.plist")
    agent = plistlib.loads(path.read_bytes())
    assert agent["Label"] == path.stem
    assert agent["ProgramArguments"][0].endswith("/twistd")
    assert "--nodaemon" in agent["ProgramArguments"]
    assert takes(arguments_of(agent["ProgramArguments"])) == {"--config"}
    assert agent["ExitTimeOut"] > Timeouts().grace
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert all(Path(word).is_absolute() for word in agent["ProgramArguments"] if word.startswith("/"))


class Dockerfile:
    """Its instructions, in order, line ends and comments taken out."""

    def __init__(self) -> None:
        text = (ETC / "docker" / "Dockerfile").read_text()
        kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        joined = "\n".join(kept).replace("\\\n", " ")
        self.steps = [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]

    def all(self, name: str) -> list[str]:
        return [rest for word, rest in self.steps if word == name]

    def command(self, name: str) -> Any:
        return json.loads(self.all(name)[-1])


def test_dockerfile_is_linted() -> None:
    """By hadolint, where it is."""
    done = subprocess.run(
        [tool("hadolint"), str(ETC / "docker" / "Dockerfile")], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_as_nobody_special() -> None:
    """The last user is a number that is not root's, and it is made in the image with its folders."""
    docker = Dockerfile()
    user = docker.all("USER")[-1].split(":")[0]
    assert user.isdecimal()
    assert user != "0"
    assert f"--uid {user} " in " ".join(docker.all("RUN"))
    compose = yaml.safe_load((ETC / "docker" / "compose.yaml").read_text())
    service = compose["services"]["ampproxy"]
    assert f"uid={user}," in service["tmpfs"][0]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert float(service["stop_grace_period"].rstrip("s")) > Timeouts().grace
    assert service["read_only"]


def test_replicas_that_compose_runs() -> None:
    """HAProxy sends to each of three replicas, which are as careful as one alone, each with a state of its
    own; what they share keeps its data and is reached by nobody else.
    """
    compose = yaml.safe_load((ETC / "docker" / "replicas.yaml").read_text())
    services = compose["services"]
    alone = yaml.safe_load((ETC / "docker" / "compose.yaml").read_text())["services"]["ampproxy"]
    names = [address.partition(":")[0] for address in services["haproxy"]["environment"].values()]
    assert names == ["one", "two", "three"]
    text = (ETC / "haproxy" / "replicas.cfg").read_text()
    assert all(f'"${{{variable}-' in text for variable in services["haproxy"]["environment"])
    for name in names:
        for key in ("tmpfs", "read_only", "cap_drop", "security_opt", "stop_grace_period", "ulimits"):
            assert services[name][key] == alone[key], key
        assert f"{name}:/var/lib/ampproxy" in services[name]["volumes"]
        locked = services[name]["build"]["args"]["LOCKED"]
        assert (TREE / "requirements" / f"{locked}.txt").exists()
    assert "ARG LOCKED=run" in (ETC / "docker" / "Dockerfile").read_text()
    assert [name for name, service in services.items() if "ports" in service] == ["haproxy"]
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (source.startswith(".") and volume.endswith(":ro")), name
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert set(service.get("depends_on", ())) <= set(services)


@pytest.mark.parametrize("name", ["compose.yaml", "replicas.yaml"])
def test_what_compose_files_name(name: str) -> None:
    """Every file is there, or is one that the comment at the top has its user make; every image that is not
    built here has a version.
    """
    folder = ETC / "docker"
    text = (folder / name).read_text()
    comment = text.partition("\nname:")[0]
    compose = yaml.safe_load(text)
    for service in compose["services"].values():
        build = service.get("build")
        if build is None:
            assert re.fullmatch(r"[a-z]+:[\w.-]+", service["image"])
            assert not service["image"].endswith(":latest")
        else:
            context = (folder / build["context"]).resolve()
            assert context == TREE.resolve()
            assert (context / build["dockerfile"]).is_file()
        binds = [volume.partition(":")[0] for volume in service.get("volumes", ())]
        own = [secret["file"] for secret in compose.get("secrets", {}).values()]
        for path in [bind for bind in binds if bind.startswith(".")] + own:
            named = path in comment or path.removeprefix("./") in comment
            assert (folder / path).is_file() or named, path


def test_the_configuration_that_replicas_share(tmp_path: Path) -> None:
    """What the compose file's comment has is a configuration, for the database and the Redis beside it."""
    lines = (ETC / "docker" / "replicas.yaml").read_text().splitlines()
    text = "\n".join(line[4:] for line in lines if re.match(r"#   [a-z-]+: [\[{]", line))
    config = parse(text, name="c", environ={}, home=tmp_path, read_secret=lambda path: f"canary-{path.name}")
    assert config.warnings == ()
    assert config.ledger.url is not None
    assert config.ledger.url.reveal() == "postgresql://ampproxy@postgres/ampproxy"
    assert config.state is not None
    assert str(config.state.url) == "redis://redis:6379/0"


def test_image_holds_no_secret() -> None:
    """Only what is named gets into it; no variable is a key."""
    rules = (TREE / ".dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert allowed == {
        "ampproxy",
        "twisted",
        "requirements",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }
    for name in allowed:
        assert (TREE / name).exists()
    assert any(fnmatch.fnmatch("ampproxy/__pycache__", rule.replace("**", "*")) for rule in rules)
    names = re.findall(r"([A-Z_]+)=", " ".join(Dockerfile().all("ENV") + Dockerfile().all("ARG")))
    assert not [name for name in names if re.search("KEY|TOKEN|SECRET|PASSWORD", name)]


def test_image_starts_as_the_service_does() -> None:
    """The command is one that ``twistd`` takes; it listens where health is asked for."""
    docker = Dockerfile()
    command = docker.command("ENTRYPOINT") + docker.command("CMD")
    assert command[:3] == ["twistd", "--nodaemon", "--pidfile="]
    assert takes(arguments_of(command)) == {"--config", "--listen"}
    port = docker.all("EXPOSE")[0]
    assert f"tcp:{port}:interface=0.0.0.0" in command[-1]
    assert f"127.0.0.1:{port}/healthz" in docker.all("HEALTHCHECK")[0]
    assert int(port) == Config().port
    (copied,) = (rest for rest in docker.all("COPY") if rest.startswith("--from"))
    assert copied.split()[1:] == ["/opt/ampproxy", "/opt/ampproxy"]
    assert "/opt/ampproxy/bin:$PATH" in " ".join(docker.all("ENV"))
    for step in docker.all("RUN"):
        for part in step.split("&&"):
            assert shlex.split(part)


@pytest.mark.loopback
def test_health_of_the_image(tmp_path: Path) -> None:
    """What Docker asks with says whether the service is up."""
    _, _, told = Dockerfile().all("HEALTHCHECK")[0].partition("CMD")
    command = [sys.executable, *json.loads(told)[1:]]
    service = Service(tmp_path, "port: 0\napi-keys: [k]\n")
    command = [word.replace(":8317/", f":{service.port}/") for word in command]
    try:
        assert subprocess.run(command, timeout=60).returncode == 0
    finally:
        assert service.stop() == 0
    assert subprocess.run(command, timeout=60, stderr=subprocess.DEVNULL).returncode == 1
