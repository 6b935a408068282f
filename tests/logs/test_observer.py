"""Everything that is written goes through one place, which lets no secret and no foreign control pass."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogBeginner, Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.python.log import LogPublisher as LegacyPublisher
from zope.interface.verify import verifyObject

from ampproxy.config.schema import Logging
from ampproxy.logs.observer import MAX_PENDING, MAX_SECRETS, PUT_OFF, LogObserver
from ampproxy.logs.sanitize import MAX_LINES_CHARS, MAX_TEXT_CHARS, Cleaner
from ampproxy.model.events import Usage
from ampproxy.relay.record import SERVING, ExchangeRecord, Outcome
from ampproxy.wire.redact import Secret
from tests.cases import each

CANARY = 'canary-4711/plus"x'
SECRETS = (Secret(CANARY), Secret("canary-of-a-client"))
ZONE = time.struct_time((2026, 7, 14, 9, 21, 33, 1, 195, 1), {"tm_gmtoff": 7200, "tm_zone": "CEST"})
NOW = 1784013693.1239


class Lines:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""
        self.levels: list[str] = []
        self.logging: Logging | None = None

    def write(self, line: str, level: str) -> None:
        assert line.endswith("\n")
        self.text += line
        self.levels.append(level)

    def start(self) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        self.settled = self.text

    def use(self, logging: Logging) -> None:
        self.logging = logging

    def reopen(self) -> None:
        raise NotImplementedError


class Sink:
    """An observer, what it wrote, and loggers that lead to it."""

    def __init__(self, format: str = "text", level: str = "info") -> None:
        self.clock = Clock()
        self.lines = Lines()
        #: What is to be called in the reactor's thread, once it comes to that.
        self.calls: list[Any] | None = None
        self.observer = LogObserver(
            self.lines,
            now=self.clock.seconds,
            later=self.clock.callLater,
            in_reactor=self.in_reactor,
            local=lambda moment: ZONE,
            wall=lambda: NOW,
        )
        self.use(format, level)
        self.log = self.logger("ampproxy")

    def in_reactor(self, what: Any, *args: Any) -> None:
        if self.calls is None:
            what(*args)
        else:
            self.calls.append((what, args))

    def use(self, format: str, level: str) -> None:
        self.observer.use(Logging(format=format, level=level), SECRETS)  # type: ignore[arg-type]

    def logger(self, namespace: str) -> Logger:
        def observe(event: Any) -> None:
            self.observer({**event, "log_time": NOW})

        return Logger(namespace=namespace, observer=observe)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        self.clock.advance(PUT_OFF)
        return self.lines.text

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def exchange(**members: object) -> ExchangeRecord:
    record = ExchangeRecord(started=1.0, method="POST", path="/v1/messages", request="id-1")
    for name, value in members.items():
        setattr(record, name, value)
    record.close(2.5, Outcome.COMPLETED, str(members.get("why", "")))
    return record


def test_text() -> None:
    """Local time with its offset, the level in a column, the message; more lines are indented."""
    sink = Sink()
    verifyObject_is_an_observer(sink.observer)
    sink.log.info("Listening on {address}", address="127.0.0.1:8317")
    sink.log.warn("To serve it:\n{remedy}", remedy="ampcode:\n  model-mappings:\n", request="id-1")
    assert sink.text == (
        "2026-07-14T09:21:33.123+02:00 info  Listening on 127.0.0.1:8317\n"
        "2026-07-14T09:21:33.123+02:00 warn  [id-1] To serve it:\n"
        "    ampcode:\n"
        "      model-mappings:\n"
    )


def verifyObject_is_an_observer(observer: LogObserver) -> None:
    from twisted.logger import ILogObserver

    assert verifyObject(ILogObserver, observer)


def test_text_of_an_exchange() -> None:
    """One line, in columns; the id last."""
    sink = Sink()
    exchange(kind="local", status=200, asked="m", served="m").log_line(sink.log)
    (line,) = sink.text.splitlines()
    assert re.fullmatch(
        r"\S+ info  local      200 completed        1500\.0ms POST /v1/messages m -> m bytes=0 client=-"
        r" request=id-1",
        line,
    )


def test_json() -> None:
    """An object a line, with the event's fields beside its message."""
    sink = Sink("json")
    sink.log.warn("{account} failed\n{remedy}", account="a[0]", remedy="x:\n  y\n", code=7, request="id-1")
    assert sink.told == [
        {
            "time": "2026-07-14T09:21:33.123+02:00", "level": "warn", "logger": "ampproxy",
            "message": "a[0] failed\nx:\n  y\n", "request": "id-1", "account": "a[0]",
            "remedy": "x:\n  y\n", "code": 7,
        }
    ]  # fmt: skip


def test_json_of_an_exchange() -> None:
    """The fields of the table, typed, in its order; no message, for they say it all."""
    sink = Sink("json")
    exchange(usage=Usage(1, 2, 3, 4, 5), attempts=["a: 429 x\ny"], stream=True).log_line(sink.log)
    (told,) = sink.told
    assert list(told)[:5] == ["time", "level", "event", "request", "kind"]
    assert (told["event"], told["input"], told["reasoning"], told["first_ms"]) == ("exchange", 1, 5, None)
    assert (told["attempts"], told["losses"], told["stream"]) == (["a: 429 x\ny"], {}, True)
    assert "message" not in told
    assert "line" not in told


@pytest.mark.parametrize("format", ["text", "json"])
def test_levels(format: str) -> None:
    """What is below the level is not told; a reload changes it for the next event; warnings are counted."""
    sink = Sink(format, "warn")
    sink.log.info("no")
    exchange().log_line(sink.log)
    sink.log.debug("no")
    assert sink.text == ""
    sink.use(format, "debug")
    sink.log.debug("yes")
    sink.use(format, "error")
    sink.log.warn("no")
    sink.log.error("yes")
    sink.log.critical("yes")
    assert sink.lines.levels == ["debug", "error", "critical"]
    assert sink.observer.counts == {"warn": 1, "error": 1, "critical": 1}
    assert sink.lines.logging == Logging(format=format, level="error")  # type: ignore[arg-type]


def test_format_changes() -> None:
    """So does the format."""
    sink = Sink()
    sink.log.info("one")
    sink.use("json", "info")
    sink.log.info("two")
    first, second = sink.text.splitlines()
    assert first.endswith("one")
    assert json.loads(second)["message"] == "two"


class Hides:
    """An object whose text is a secret, as an exception's may be."""

    def __str__(self) -> str:
        return f"inside {CANARY}"

    __repr__ = __str__


def failing() -> Failure:
    try:
        raise ValueError(f"with {CANARY}\nand authorization: Bearer canary9")
    except ValueError:
        return Failure()


#: Every place of an event in which a secret could stand.
PLACES = {
    "format": lambda log: log.info("x " + CANARY.replace("{", "{{")),
    "field": lambda log: log.info("{x}", x=f"a {CANARY} b"),
    "field not in the message": lambda log: log.info("x", x=CANARY),
    "field's bytes": lambda log: log.info("{x}", x=CANARY.encode()),
    "list": lambda log: log.info("{x}", x=[CANARY, ("a", CANARY)]),
    "mapping": lambda log: log.info("{x}", x={"a": CANARY, CANARY: "b"}),
    "object": lambda log: log.info("{x} {y!r}", x=Hides(), y=Hides()),
    "several lines": lambda log: log.info("{remedy}", remedy=f"a\n  key: {CANARY}\nb"),
    "request id": lambda log: log.info("x", request="canary-of-a-client"),
    "name of a header": lambda log: log.info("{x}", x="x-api-key: canary9"),
    "a header's value": lambda log: log.info("{x}", x="sent Authorization: Bearer canary9 there"),
    "query": lambda log: log.info("{x}", x="GET /v1beta/models?key=canary9"),
    "name of the field": lambda log: log.info("{api_key} {token}", api_key="canary9", token="canary8"),
    "percent-encoded": lambda log: log.info("{x}", x="canary-4711%2Fplus%22x"),
    "in JSON": lambda log: log.info("{x}", x='{"a":"canary-4711/plus\\"x"}'),
    "shape": lambda log: log.info("{x}", x="refused sk-ant-canary9-canary9"),
    "failure": lambda log: log.failure("x", failing()),
    "path": lambda log: exchange(path=f"/v1/{CANARY}").log_line(log),
    "model": lambda log: exchange(asked=CANARY).log_line(log),
    "thread": lambda log: exchange(thread=CANARY).log_line(log),
    "why": lambda log: exchange(why=f"no {CANARY}").log_line(log),
    "client's id": lambda log: exchange(request="canary-of-a-client").log_line(log),
    "attempts": lambda log: exchange(attempts=[f"a[0]: 401 bad key {CANARY}"]).log_line(log),
    "served": lambda log: exchange(served=CANARY, account=CANARY, code=CANARY, role=CANARY).log_line(log),
    "not a number": lambda log: log.info("{x}", x=float("nan"), y=CANARY, z=Hides()),
    "namespace": lambda log: Logger(namespace=CANARY, observer=log.observer).info("x"),
}


#: Those that a line of text does not show at all.
NOT_IN_TEXT = ("not a number", "field not in the message", "attempts")


@each("format", ["text", "json"])
@each("place", PLACES)
def test_no_secret(format: str, place: str) -> None:
    """Wherever a secret stands in an event, known by value or betrayed by a name: it is not written."""
    sink = Sink(format, "debug")
    PLACES[place](sink.log)
    assert sink.text
    assert "canary" not in sink.text
    assert "***" in sink.text or place in NOT_IN_TEXT


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_of_others_code(format: str) -> None:
    """What Twisted's old log, ``print`` and warnings say goes the same way."""
    sink = Sink(format)
    publisher = LogPublisher()
    streams = type("Streams", (), {"stdout": None, "stderr": None})()
    warnings = type("Warnings", (), {"showwarning": None})()
    beginner = LogBeginner(publisher, None, streams, warnings)  # type: ignore[arg-type]
    beginner.beginLoggingTo([sink.observer])
    legacy = LegacyPublisher(observerPublisher=publisher, publishPublisher=publisher)
    legacy.msg(f"legacy {CANARY} x-api-key: canary9\nforged")
    legacy.msg(failure=failing(), isError=1, why="it failed")
    print(f"printed {CANARY}\x1b[2J", file=streams.stdout)
    warnings.showwarning(f"warned {CANARY}", UserWarning, "file", 1)
    for word in ("legacy", "printed", "warned", "ValueError"):
        assert word in sink.text
    assert "canary" not in sink.text
    assert "\x1b" not in sink.text
    assert not [line for line in sink.text.splitlines() if line.startswith("forged")]


def test_a_renewed_token_stays_secret() -> None:
    """A token that was replaced, a key that was taken away, may turn up later; memory of them has an end."""
    sink = Sink()
    for number in range(MAX_SECRETS + 10):
        sink.observer.use(Logging(), [Secret(f"canary-token-{number:04d}")])
    for number in (11, MAX_SECRETS + 9):
        sink.log.info("{x}", x=f"canary-token-{number:04d}")
    assert "canary" not in sink.text
    sink.log.info("{x}", x="canary-token-0001")
    assert "canary-token-0001" in sink.text


def test_many_secrets_at_once() -> None:
    """More secrets than are remembered of the past are all known as long as they are in force."""
    sink = Sink()
    sink.observer.use(Logging(), [Secret(f"canary-key-{number:04d}") for number in range(300)])
    for number in (0, 150, 299):
        sink.log.info("{x}", x=f"canary-key-{number:04d}")
    assert "canary" not in sink.text


#: Any text, control characters and lone surrogates often among them.
TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\x00\x07\x0a\x0b\x0d\x1b\x1c\x1d\x1e\x7f\x85\x9b\u061c\u200b\u2028\u2029\u202e\ufeff"
        ),
        st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF),
    )
)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@given(TEXTS, st.sampled_from(["text", "json"]))
def test_no_control_character(text: str, format: str) -> None:
    """Whatever others say, one event is one line, no line can be forged and no terminal steered; as JSON
    each line is an object.
    """
    sink = Sink(format, "debug")
    sink.log.info("said: {x}", x=text, y=[text], z={text: text})
    sink.log.info("{remedy}", remedy="ours:\n" + text)
    exchange(path=text, asked=text, thread=text, why=text, attempts=[text], code=text).log_line(sink.log)
    sink.logger("twisted.web").info("{x}", x=text)
    assert not CONTROL.search(sink.text)
    sink.text.encode("utf-8")
    lines = sink.text[:-1].split("\n")
    if format == "json":
        assert len(lines) == 4
        assert all(type(json.loads(line)) is dict for line in lines)
    else:
        stamped = [line for line in lines if not line.startswith("    ")]
        assert len(stamped) == 4
        assert all(line.startswith("2026-07-14T09:21:33.123+02:00 info  ") for line in stamped)


def test_json_gives_back_what_was_said() -> None:
    """Escapes are JSON's own: a program reads the text as it was."""
    sink = Sink("json")
    said = "a\x1b\x7f\u202e\u00e9\ud800\n\U0001f600"
    sink.log.info("x", said=said)
    assert sink.text.isascii()
    assert sink.told[0]["said"] == said


def test_long_texts() -> None:
    """A vendor's error of a megabyte is not written whole; a secret in it is not cut in two."""
    sink = Sink()
    page = "x" * (MAX_TEXT_CHARS - 3) + CANARY + "y" * 1_000_000
    sink.log.info("{said}", said=page)
    exchange(why=page).log_line(sink.log)
    assert len(sink.text) < 3 * MAX_TEXT_CHARS
    assert "canary" not in sink.text
    assert f"({len(page)} characters)" in sink.text


def test_many_lines_are_bounded() -> None:
    """A traceback that quotes a page is cut in its middle, at ends of lines: no half of a secret stays."""
    clean = Cleaner(SECRETS)
    for cut in (clean.lines, clean.texts, clean.known):
        for shift in range(0, 60, 7):
            text = "first\n" + "z" * shift + f"{CANARY}\n" * 20_000 + "last"
            told = cut(text)
            assert told.startswith("first\n")
            assert told.endswith("\nlast")
            assert len(told) < MAX_LINES_CHARS + 100
            assert "canary" not in told
        one = cut("x" * 1_000_000)
        assert len(one) < MAX_LINES_CHARS + 100
    assert len(clean.lines("x" * 1_000_000)) < MAX_TEXT_CHARS + 200


@pytest.mark.parametrize("format", ["text", "json"])
def test_tracebacks(format: str) -> None:
    """A defect's traceback is whole: in lines for people, one field for programs."""
    sink = Sink(format)

    def deep() -> None:
        raise KeyError("the key")

    try:
        deep()
    except KeyError:
        sink.log.failure("Unhandled error while {doing}", doing="serving", request="id-1")
    if format == "json":
        (told,) = sink.told
        assert (told["level"], told["message"]) == ("critical", "Unhandled error while serving")
        assert "in deep" in told["traceback"]
        assert told["traceback"].endswith("'the key'")
        return
    first, *rest = sink.text.splitlines()
    assert first.endswith(" CRIT  [id-1] Unhandled error while serving")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    builtins.KeyError: 'the key'"


def test_the_request_that_is_served() -> None:
    """A line written while a request is served has its id, without anybody handing it on."""
    sink = Sink("json")
    outside = SERVING.set("id-7")
    try:
        sink.log.info("in between")
        sink.log.info("of another", request="id-8")
    finally:
        SERVING.reset(outside)
    sink.log.info("of none")
    assert [told.get("request") for told in sink.told] == ["id-7", "id-8", None]


def test_keys_that_are_taken() -> None:
    """A field that has the name of one of the line's own keys does not replace it."""
    sink = Sink("json")
    sink.log.info("m", time="x", message="x", logger="x", traceback="x", event="x")
    (told,) = sink.told
    assert (told["level"], told["message"], told["logger"]) == ("info", "m", "ampproxy")
    assert "traceback" not in told


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"log_format": "{nothing}"},
        {"log_format": "{x.y.z()}", "x": 1},
        {"log_format": b"\xff{x}", "x": b"\xff"},
        {"log_format": 7},
        {"exchange": "x", "log_time": 0.0},
        {"log_format": "{x}", "x": type("Bad", (), {"__str__": lambda self: 1 / 0})()},
        {"log_format": "x", "x": type("Bad", (), {"__str__": lambda self: 1 / 0})()},
        {"log_format": "x", "log_namespace": "\x1b\n"},
    ],
)
@pytest.mark.parametrize("format", ["text", "json"])
def test_broken_events(event: dict[str, Any], format: str) -> None:
    """An event that cannot be shown does no harm: something is told, in one line."""
    sink = Sink(format)
    sink.observer(event)
    assert "\x1b" not in sink.text
    assert len([line for line in sink.text.splitlines() if not line.startswith("    ")]) == 1


@pytest.mark.parametrize("format", ["text", "json"])
def test_storm(format: str) -> None:
    """The same warning over and over is told some times, then counted; ids do not make it another."""
    sink = Sink(format)
    for number in range(1000):
        sink.log.warn("{account} failed", account="a[0]", request=f"id-{number}")
        exchange().log_line(sink.log)
    assert sink.lines.levels.count("warn") == 5
    assert sink.text.count("POST" if format == "text" else '"event":"exchange"') == 1000
    assert sink.observer.counts["warn"] == 1000
    sink.clock.advance(30)
    assert "995 more like this within 30 s: a[0] failed" in sink.text
    sink.log.warn("{account} failed", account="a[0]")
    assert sink.lines.levels.count("warn") == 7


def test_exchanges_are_written_together() -> None:
    """A moment later, in one piece; but never after what was told after them, and not too many at a time."""
    sink = Sink()
    for _ in range(3):
        exchange().log_line(sink.log)
    assert sink.lines.text == ""
    sink.clock.advance(PUT_OFF)
    assert sink.lines.levels == ["info"]
    assert sink.lines.text.count("\n") == 3
    exchange(path="/before").log_line(sink.log)
    sink.log.info("after")
    assert sink.lines.text.index("/before") < sink.lines.text.index("after")
    assert len(sink.lines.levels) == 3
    for _ in range(MAX_PENDING):
        exchange().log_line(sink.log)
    assert len(sink.lines.levels) == 4
    exchange(path="/last").log_line(sink.log)
    sink.observer.flush()
    assert "/last" in sink.lines.text
    sink.clock.advance(1)
    assert len(sink.lines.levels) == 5


def test_threads() -> None:
    """What threads tell at the same time comes whole, each line once."""
    sink = Sink()

    def tell(name: str) -> None:
        for number in range(200):
            exchange(path=f"/{name}/{number}").log_line(sink.log)
            sink.log.info("{name} said {number}", name=name, number=number)

    threads = [Thread(target=tell, args=(name,)) for name in ("a", "b", "c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    lines = sink.text.splitlines()
    assert len(lines) == len(set(lines)) == 1600


class Slow(Lines):
    """An output that another thread comes upon whenever it is used."""

    def __init__(self, other: Callable[[], None]) -> None:
        super().__init__()
        self.other = other
        self.threads: list[Thread] = []
        self.busy = self.met = False

    def use_alone(self) -> None:
        self.met = self.met or self.busy
        if self.busy or self.threads:
            return
        self.busy = True
        self.threads.append(Thread(target=self.other))
        self.threads[0].start()
        # Nobody lets it in before this returns: the test need not wait for long.
        self.threads[0].join(0.1)
        self.busy = False

    def write(self, line: str, level: str) -> None:
        super().write(line, level)
        self.use_alone()

    def reopen(self) -> None:
        self.use_alone()


@pytest.mark.parametrize("use", ["flush", "reopen", "held back"])
def test_output_has_one_user_at_a_time(use: str) -> None:
    """A thread that tells something meanwhile waits: its file may just be exchanged."""
    sink = Sink()
    for _ in range(7):
        sink.log.error("Trouble")
    sink.observer.output = slow = Slow(lambda: sink.log.info("from a thread"))
    if use == "held back":
        sink.clock.advance(30)
    else:
        getattr(sink.observer, use)()
    slow.threads[0].join(60)
    assert not slow.met
    assert slow.text.endswith("from a thread\n")


def test_timers_are_the_reactors() -> None:
    """What a thread tells may have to be told again later; only the reactor's thread can see to that."""
    sink = Sink()
    sink.calls = []
    thread = Thread(target=lambda: [sink.log.warn("Trouble") for _ in range(7)])
    thread.start()
    thread.join(60)
    assert not sink.clock.getDelayedCalls()
    for what, args in sink.calls:
        what(*args)
    sink.clock.advance(30)
    assert "2 more like this" in sink.text


def test_end_of_a_storm() -> None:
    """What was counted is told at the end of the service."""
    sink = Sink()
    for _ in range(7):
        sink.log.error("Trouble\nin lines")
    sink.observer.flush()
    assert sink.text.endswith(" error 2 more like this within 1 s: Trouble\n")


def test_storm_of_defects() -> None:
    """Of a traceback that comes again and again the message is told."""
    sink = Sink()
    for _ in range(7):
        sink.log.failure("Trouble", failing())
    sink.observer.flush()
    assert sink.text.endswith(" CRIT  2 more like this within 1 s: Trouble\n")
