"""A gateway in a process of its own, strict stand-ins of the vendors behind it, and agents on an island."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from ampproxy.testing import anthropic, gemini, openai_chat, openai_responses
from ampproxy.testing.script import Asked, Script
from tests.agents.drivers import Driver, Errand
from tests.interop.island import Bridge
from tests.loopback.process import Service
from tests.reactor import in_reactor

CLIENT = "canary-client-key-77ab"
STARTERS = {
    "anthropic": anthropic.start,
    "openai-responses": openai_responses.start,
    "openai-chat": partial(openai_chat.start, flavour="compatible"),
    "gemini": gemini.start,
}
#: The model that each vendor serves here.
MODELS = {
    "anthropic": "claude-opus-4-6",
    "openai-responses": "gpt-5.4",
    "openai-chat": "deepseek-reasoner",
    "gemini": "gemini-3.1-pro-preview",
}
_SECTIONS = {
    "anthropic": 'claude-api-key:\n  - {{api-key: {key}, base-url: "{url}", models: [{models}]}}\n',
    "openai-responses": 'codex-api-key:\n  - {{api-key: {key}, base-url: "{url}/v1", models: [{models}]}}\n',
    "openai-chat": 'openai-compatibility:\n  - name: local\n    base-url: "{url}/v1"\n'
    "    api-key-entries: [{{api-key: {key}}}]\n    models: [{models}]\n",
    "gemini": 'gemini-api-key:\n  - {{api-key: {key}, base-url: "{url}", models: [{models}]}}\n',
}


def _entry(vendor: str, name: str) -> str:
    """A model of the account: the vendor's own under its own name, the others as names for the one here."""
    if name.partition("-")[0] == MODELS[vendor].partition("-")[0]:
        return f"{{name: {name}}}"
    return f"{{name: {MODELS[vendor]}, alias: {name}}}"


def account_key(vendor: str) -> str:
    return f"canary-{vendor}-account"


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model.

    :param wants: calls: (kind, value), as a driver takes them.
    :param more: how it is delivered.
    """

    text: str | None = None
    thinking: str | None = None
    wants: tuple[tuple[str, str], ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


class Play:
    """What the model answers to an agent's own loop, step by step; all else it is asked gets what a stand-in
    answers by itself.

    :ivar seen: what was understood of each request of the loop.
    :ivar others: the same of all others.
    :ivar faults: what could not be played, for want of a tool.
    """

    def __init__(self, driver: Driver, steps: Iterable[Step]) -> None:
        self._driver = driver
        self._steps = list(steps)
        self._at = 0
        self.seen: list[Asked] = []
        self.others: list[Asked] = []
        self.faults: list[str] = []

    def script(self, asked: Asked) -> Script | None:
        if not self._driver.is_main(asked.tools):
            self.others.append(asked)
            return None
        self.seen.append(asked)
        if self._at >= len(self._steps):
            return Script(text="There is nothing left to do.")
        step = self._steps[self._at]
        try:
            calls = tuple(self._driver.call(kind, value, asked.tools) for kind, value in step.wants)
        except AssertionError as error:
            self.faults.append(str(error))
            return Script(text=str(error))
        if self._driver.search is not None and self._driver.search[0] in [name for name, _ in calls]:
            return Script(text="", calls=calls)
        self._at += 1
        return Script(text=step.text or "", thinking=step.thinking, calls=calls, **step.more)


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a run.

    :param answer: the text that the user gets.
    """

    status: int
    answer: str
    output: str
    errors: str


class World:
    """Everything that runs. ``vendor`` serves each name that is asked for.

    :param names: of the models that clients ask for.
    """

    def __init__(self, home: Path, vendor: str, names: Iterable[str], *, more: str = "") -> None:
        self.vendor = vendor
        self.stand_in = in_reactor(STARTERS[vendor], reactor, keys=[account_key(vendor)], forbidden=[CLIENT])
        models = ", ".join(_entry(vendor, name) for name in names)
        section = _SECTIONS[vendor].format(key=account_key(vendor), url=self.stand_in.url, models=models)
        home.mkdir(parents=True, exist_ok=True)
        self.service = Service(home, f"port: 0\napi-keys: [{CLIENT}]\n{section}{more}")
        self._sockets = tempfile.TemporaryDirectory()
        self._bridge = Bridge(Path(self._sockets.name), [self.service.port, self.stand_in.port])
        self._plain_plan = self.stand_in.vendor.plan
        self._play: Play | None = None
        self.stand_in.vendor.plan = self._plan

    def _plan(self, request: Any, asked: Asked) -> Any:
        script = None if self._play is None else self._play.script(asked)
        if script is not None:
            self.stand_in.vendor.scripts.add([script])
        return self._plain_plan(request, asked)

    def run(self, driver: Driver, errand: Errand, play: Play, timeout: float = 180) -> Ran:
        """Let an agent do an errand; the model plays its part."""
        for folder in (errand.home, errand.work):
            folder.mkdir(parents=True, exist_ok=True)
        return self.start(driver, errand, play, driver.prepare(errand), driver.arguments(errand), timeout)

    def start(
        self,
        driver: Driver,
        errand: Errand,
        play: Play,
        variables: Mapping[str, str],
        arguments: Sequence[str],
        timeout: float = 180,
    ) -> Ran:
        """The same with other arguments, and nothing but these variables beside the usual ones."""
        environ = {
            "PATH": f"{driver.program.path.parent}:{os.environ['PATH']}",
            "HOME": str(errand.home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            **variables,
        }
        command = self.command(play, *driver.program.command, *arguments)
        process = subprocess.Popen(
            command,
            env=environ,
            cwd=errand.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            # Some leave a server behind; all of this run are in one session.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return Ran(process.returncode, driver.answer(output), output, errors)

    def command(self, play: Play, *words: str) -> list[str]:
        """The command that runs another one where nothing is but the gateway and the vendor, who plays."""
        self._play = play
        self.stand_in.requests.clear()
        return self._bridge.command(*words)

    @property
    def refused(self) -> list[str]:
        """What the vendor refused, in its words, and where the gateway logged a defect."""
        wrong = [one for one in self.stand_in.requests if one.status >= 400 and one.method == "POST"]
        lines = [f"{one.status} {one.uri}" for one in wrong]
        log = self.service.log_text.splitlines()
        return lines + [line for line in log if "Traceback" in line or "Unhandled" in line]

    def stop(self) -> None:
        self._bridge.stop()
        self._sockets.cleanup()
        self.service.stop()
        in_reactor(self.stand_in.stop)
