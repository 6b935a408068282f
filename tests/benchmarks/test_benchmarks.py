"""The parts of the benchmarks that need no process: payloads, the rows, ratios, verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ampproxy.config.load import parse
from ampproxy.ledger.file import DAY
from ampproxy.ledger.store import Store
from benchmarks import tunnels
from benchmarks.contenders import ACCOUNTS, CLIENT_KEY, Bench, Contender, bench, gateway_config
from benchmarks.ledger import entries
from benchmarks.load import Ask, BadAnswer, Client, ask_once
from benchmarks.payloads import MARK, chunk, request_body, stream_events, text_deltas, whole_answer
from benchmarks.report import against_table, cpu_table, footprint_table, tunnel_table, verdicts
from benchmarks.results import Footprint, Results, Sample, Tunnels
from benchmarks.scenarios import SCENARIOS, chosen
from benchmarks.vendor import Vendor
from tests.loopback.process import Service

STREAMING = ("anthropic", "openai-chat", "openai-responses", "gemini")
SAMPLE = Sample(cpu=0.001, rate=100, busy=0.5, p50=0.001, p99=0.002)


@pytest.mark.parametrize("dialect", STREAMING)
def test_streams_have_as_many_events_and_texts_as_they_say(dialect: str) -> None:
    """CPU an event is CPU divided by the number of events that the vendor really sends."""
    events = stream_events(dialect, 200, f" {MARK} ipsum")
    joined = b"".join(events)
    assert len(events) == 200
    assert joined.count(MARK.encode()) == text_deltas(dialect, 200) > 180
    for event in events:
        data = event.rpartition(b"data: ")[2].strip()
        assert data == b"[DONE]" or isinstance(json.loads(data), dict)


@pytest.mark.parametrize("dialect", ["anthropic", "openai-chat"])
@pytest.mark.parametrize("size", [2048, 200_000])
def test_requests_and_answers_have_their_size(dialect: str, size: int) -> None:
    """A body of 200 KB is one, within a line of text."""
    body = request_body(dialect, "m", stream=True, size=size)
    assert size - 200 < len(body) <= size
    members = list(json.loads(body))
    assert (members[0], members[-1]) == ("model", "stream")
    assert len(whole_answer(dialect)) == 1024


def test_the_configuration_is_one_that_the_gateway_takes() -> None:
    """Every account that a scenario asks for is configured, and reached by a mapping."""
    text = gateway_config(8317, 9999, Path("/state"))
    config = parse(text, name="c", environ={}, home=Path("/"), read_secret=lambda path: "")
    assert [key.reveal() for key in config.api_keys] == [CLIENT_KEY]
    assert len(config.accounts) == len(ACCOUNTS)
    named = {mapping.source for mapping in config.ampcode.mappings}
    for scenario in SCENARIOS:
        ask = scenario.ask("ampproxy")
        if ask.path.startswith("/api/provider/"):
            assert json.loads(ask.body)["model"] in named


def test_a_chosen_scenario_brings_what_it_is_compared_with() -> None:
    """``--only translated-chat`` also measures the pass-through that its limit names."""
    assert [each.name for each in chosen(["translated-chat"])] == ["bulk-anthropic", "translated-chat"]
    assert chosen([]) == list(SCENARIOS)
    assert chosen(["no such"]) == []


def test_ratios_compare_rounds_with_their_neighbours() -> None:
    """A machine that becomes twice as slow between two rounds changes no ratio."""
    results = Results()
    for slowness in (1, 2, 2):
        results.add("json-32", "plain", replace(SAMPLE, cpu=0.001 * slowness))
        results.add("json-32", "ampproxy", replace(SAMPLE, cpu=0.0008 * slowness))
    assert results.ratio(("json-32", "ampproxy"), ("json-32", "plain")) == pytest.approx(0.8)
    assert results.ratio(("json-32", "ampproxy"), ("json-1", "plain")) is None


@pytest.mark.parametrize(("cpu", "good"), [(0.0008, True), (0.0009, False)])
def test_a_limit_that_does_not_hold_is_told(cpu: float, good: bool) -> None:
    """JSON may cost 0.85 of plain's CPU: 0.8 passes, 0.9 fails; what was not measured is not told."""
    results = Results()
    results.add("json-32", "plain", SAMPLE)
    results.add("json-32", "ampproxy", replace(SAMPLE, cpu=cpu))
    lines, verdict = verdicts(results)
    assert verdict is good
    assert [line.split()[0] for line in lines] == ["PASS" if good else "FAIL"]


def test_memory_that_is_kept_fails() -> None:
    """Each limit of the footprint is told once it was measured."""
    results = Results(footprints={"ampproxy": Footprint([0.5], [0.3], 60e6, 40e3, 400e6)})
    lines, good = verdicts(results)
    assert not good
    assert [line[:4] for line in lines] == ["PASS", "PASS", "PASS", "FAIL"]
    assert "400 MB" in lines[-1]


def test_how_much_sooner() -> None:
    """Each start of the gateway is compared with the other's of the same round."""
    found = {
        "ampproxy": Footprint([0.5, 1.0, 0.4], [0.3] * 3, 60e6, 40e3, 0),
        "before": Footprint([1.0, 1.5, 0.6], [0.3] * 3, 60e6, 40e3, 0),
    }
    assert "ready 1.50 times sooner than before" in footprint_table(Results(footprints=found))
    del found["before"]
    assert "sooner" not in footprint_table(Results(footprints=found))


@pytest.mark.parametrize(("used", "good"), [(59e3, True), (61e3, False)])
def test_tunnels_that_take_much_fail(used: float, good: bool) -> None:
    """A tunnel may take 60 KB, also after large messages."""
    results = Results(tunnels=Tunnels(1000, 50e3, used, 100e3, 100.0, 0.01, 0.02, 0.005))
    lines, verdict = verdicts(results)
    assert verdict is good
    assert [line[:4] for line in lines] == ["PASS", "PASS" if good else "FAIL", "PASS"]
    assert "50.0" in tunnel_table(results)
    assert results.to_json()["tunnels"]["count"] == 1000


class Here(Bench):
    """A bench whose gateway chooses its own port."""

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Contender]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(self.authority))
            service = Service(
                self.folder, gateway_config(0, self.vendor, self.folder, upstream=self.upstream)
            )
        try:
            yield Contender(name, service.port, service.process, 0.0, 0.0)
        finally:
            service.stop()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "a client could send everything to a server that read nothing"),
        (ConnectionResetError(), "a tunnel that was held back broke: ConnectionResetError"),
    ],
)
def test_what_is_not_held_back(error: Exception | None, message: str) -> None:
    """A tunnel that broke is not one without back-pressure."""

    async def look() -> None:
        held, ended = (asyncio.get_running_loop().create_future() for _ in range(2))
        tunnels.check_none_ended([held])
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
        with pytest.raises(BadAnswer, match=f"^{message}$"):
            tunnels.check_none_ended([held, ended])

    asyncio.run(look())


@pytest.mark.loopback
def test_tunnels_are_measured(tmp_path: Path) -> None:
    """A few of them, through a real gateway to a real server: each does all that is asked of it."""
    measuring = tunnels.measure(Here(tmp_path, 1, None, None), 6, before=2, rest=0.0)
    measured = asyncio.run(asyncio.wait_for(measuring, 120))
    assert measured.count == 6
    assert measured.opened > 0
    assert measured.cpu > 0
    assert measured.meanwhile > 0


def test_the_table_shows_what_is_missing() -> None:
    """A scenario that cannot be measured says why in its row."""
    results = Results(missing={"json-1": "not available with ampproxy: status 501"})
    results.add("json-32", "plain", SAMPLE)
    results.add("json-32", "ampproxy", SAMPLE)
    table = cpu_table(results, [each for each in SCENARIOS if each.name in ("json-1", "json-32")])
    assert "status 501" in table
    assert "1.00" in table.splitlines()[2]


@pytest.mark.parametrize(
    ("name", "most"), [("ledger", 0.00103), ("observed", 0.00105), ("observed-stream", 0.00105)]
)
def test_what_can_be_switched_off_is_compared_with_its_absence(name: str, most: float) -> None:
    """Both are the gateway, asked the same; what it costs is told, and a few percent are the most."""
    scenario = chosen([name])[0]
    ours, other = (scenario.ask(name) for name in scenario.contenders)
    assert ours == other
    for cpu, good in ((most - 0.00001, True), (most + 0.00001, False)):
        results = Results()
        results.add(name, "ampproxy", replace(SAMPLE, cpu=cpu))
        results.add(name, scenario.rival, SAMPLE)
        assert verdicts(results)[1] is good
        assert f"x {scenario.rival}" in cpu_table(results, [scenario])
    configs = [
        parse(
            gateway_config(1, 2, Path("/state"), gateway),
            name="c",
            environ={},
            home=Path("/"),
            read_secret=lambda path: "",
        )
        for gateway in scenario.contenders
    ]
    on, off = ((config.ledger, config.metrics.enable, config.logging.level) for config in configs)
    assert on != off
    assert on[1:] == (True, "info")
    assert off[1:] == ((True, "info") if name == "ledger" else (False, "error"))


def test_made_up_entries_are_what_a_service_writes(tmp_path: Path) -> None:
    """The same each time, in order, within the span, of many kinds; the writer takes them."""
    end = 1_790_000_000_000_000
    found = list(entries(3000, 10.0, end))
    assert found == list(entries(3000, 10.0, end))
    assert [each.at for each in found] == sorted({each.at for each in found})
    assert end - 10 * DAY <= found[0].at < found[-1].at < end
    assert len({each.series for each in found}) > 300
    store = Store(tmp_path / "ledger.sqlite3")
    store.write(found)
    store.close()


class _Pipe:
    """A transport that writes into a list."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))


def _talk(what: Any) -> Any:
    async def run() -> Any:
        return what()

    return asyncio.run(run())


@pytest.mark.parametrize("split", [1, 7, 100_000])
def test_vendor_and_client_understand_each_other(split: int) -> None:
    """However the bytes are cut, the client gets the vendor's whole stream, then the next answer."""

    def exchange() -> list[tuple[int, bytes, Exception | None]]:
        vendor, client = Vendor(), Client()
        up, down = _Pipe(), _Pipe()
        vendor.transport, client.transport = down, up  # type: ignore[assignment]
        client.keep = True
        met: list[tuple[int, bytes, Exception | None]] = []
        for path in ("/bulk/v1/messages", "/json/v1/messages"):
            ask = Ask("POST", path, (), b"{}")
            client.send(ask.head(), ask.body, lambda error: met.append((client.status, client.answer, error)))
            for source, sink in ((up, vendor), (down, client)):
                data = b"".join(source.written)
                source.written.clear()
                for at in range(0, len(data), split):
                    sink.data_received(data[at : at + split])
        return met

    (status, stream, error), (_, whole, _) = _talk(exchange)
    assert (status, error) == (200, None)
    assert stream.count(MARK.encode()) == text_deltas("anthropic", 200)
    assert stream.endswith(b"\r\n0\r\n\r\n")
    assert msgspec.json.decode(whole)["role"] == "assistant"


def test_a_broken_answer_is_no_answer() -> None:
    """A connection that closes in mid-answer, and a status other than 200, are told as such."""

    def exchange() -> list[Exception | None]:
        met: list[Exception | None] = []
        for answer in (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x"),
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1\r\n\r\nx",
        ):
            client = Client()
            client.transport = _Pipe()  # type: ignore[assignment]
            client.send(b"", b"", met.append)
            client.data_received(answer)
            client.connection_lost(None)
        return met

    assert [type(error) for error in _talk(exchange)] == [BadAnswer, BadAnswer]


def test_the_generated_file_is_yaml() -> None:
    """A person can read what the gateway was started with."""
    assert yaml.safe_load(gateway_config(1, 2, Path("/state"), "ampproxy-unobserved"))["port"] == 1


def test_another_checkout_is_compared_round_by_round() -> None:
    """Half of the CPU is "2.00 times cheaper", and a contender that was not measured has no row."""
    results = Results()
    for slowness in (1, 3, 3):
        results.add("json-32", "before", replace(SAMPLE, cpu=0.002 * slowness, p99=0.004))
        results.add("json-32", "ampproxy", replace(SAMPLE, cpu=0.001 * slowness))
    results.add("tls", "before-tls", replace(SAMPLE, cpu=0.003))
    results.add("tls", "ampproxy-tls", SAMPLE)
    rows = against_table(results, chosen(["json-32", "tls", "json-1"])).splitlines()
    assert [row.split()[-4:] for row in rows[1:]] == [
        ["2.00", "4.00", "2.00", "0.50"],
        ["3.00", "2.00", "2.00", "1.00"],
    ]


@pytest.mark.loopback
def test_the_bench_measures_over_tls(tmp_path: Path) -> None:
    """The vendor, the gateway's configuration and the clients agree on one certificate."""
    with bench(tmp_path) as place:
        assert place.vendor_tls not in (0, place.vendor)
        text = gateway_config(8317, place.vendor_tls, tmp_path, certificate=place.certificate)
        config = parse(text, name="c", environ={}, home=Path("/"), read_secret=lambda path: "")
        assert config.tls is not None
        assert all(account.base_url.startswith("https://") for account in config.accounts)
        trusted = ssl.create_default_context(cafile=str(place.authority))
        path = "/json/v1/messages"
        status, _ = asyncio.run(ask_once(place.vendor_tls, Ask("POST", path, (), b"{}"), trusted))
        assert status == 200
