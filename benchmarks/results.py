"""What was measured, in medians and ratios; and what of it must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.contenders import UNOBSERVED, WATCHED, WITHOUT_LEDGER


@dataclass(frozen=True)
class Sample:
    """One round of one scenario with one contender.

    :ivar cpu: seconds of CPU a unit.
    :ivar rate: units a second.
    :ivar busy: how much of its core the contender used.
    :ivar p50: seconds: of a request, or that a paced event took on its way. Likewise ``p99``.
    """

    cpu: float
    rate: float
    busy: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Footprint:
    """A process that does nothing yet, and one that holds streams open.

    :ivar ready: seconds until its first answer; ``ready_cpu``: of CPU.
    :ivar idle: bytes of resident memory.
    :ivar stream: bytes of it that each open stream takes.
    :ivar kept: by how many bytes it grows over some large requests one after another: what of them is
        not given back.
    """

    ready: list[float]
    ready_cpu: list[float]
    idle: float
    stream: float
    kept: float


@dataclass(frozen=True)
class Tunnels:
    """A process that holds tunnels open.

    :ivar idle: bytes of resident memory that each takes.
    :ivar used: the same after large messages went through each.
    :ivar stalled: bytes more that each takes when one of its ends does not read.
    :ivar opened: how many were opened a second.
    :ivar talked: seconds for a word and a ping of either side, with others at the same time.
    :ivar meanwhile: the same beside as many stalled ones.
    :ivar cpu: seconds of CPU for a megabyte.
    """

    count: int
    idle: float
    used: float
    stalled: float
    opened: float
    talked: float
    meanwhile: float
    cpu: float


@dataclass
class Results:
    """Everything that was measured.

    :ivar samples: by scenario and contender, one a round.
    :ivar missing: why a scenario has none.
    """

    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    footprints: dict[str, Footprint] = field(default_factory=dict)
    tunnels: Tunnels | None = None

    def add(self, scenario: str, contender: str, sample: Sample) -> None:
        """One more round."""
        self.samples.setdefault((scenario, contender), []).append(sample)

    def median(self, scenario: str, contender: str, what: str) -> float | None:
        """The median of one of :class:`Sample`'s figures; ``None`` if there is none."""
        samples = self.samples.get((scenario, contender))
        return median(getattr(sample, what) for sample in samples) if samples else None

    def ratio(self, this: tuple[str, str], that: tuple[str, str]) -> float | None:
        """How much CPU a unit costs in one place, of what it costs in another: the median over the rounds,
        each round with its own neighbour, so that a machine that slows down changes little.
        """
        pairs = list(zip(self.samples.get(this, ()), self.samples.get(that, ()), strict=False))
        return median(ours.cpu / theirs.cpu for ours, theirs in pairs) if pairs else None

    def to_json(self) -> dict[str, Any]:
        """All of it, for another program."""
        rows: dict[str, dict[str, Any]] = {}
        for (scenario, contender), samples in self.samples.items():
            rows.setdefault(scenario, {})[contender] = [asdict(sample) for sample in samples]
        footprints = {name: asdict(footprint) for name, footprint in self.footprints.items()}
        tunnels = None if self.tunnels is None else asdict(self.tunnels)
        return {
            "scenarios": rows,
            "missing": self.missing,
            "footprints": footprints,
            "tunnels": tunnels,
        }


def of_plain(scenario: str) -> Callable[[Results], float | None]:
    """The gateway's CPU as a share of plain's."""
    return lambda results: results.ratio((scenario, "ampproxy"), (scenario, "plain"))


def of_rival(scenario: str, rival: str) -> Callable[[Results], float | None]:
    """The gateway's CPU as a share of another contender's."""
    return lambda results: results.ratio((scenario, "ampproxy"), (scenario, rival))


def of_base(scenario: str, base: str) -> Callable[[Results], float | None]:
    """A scenario's CPU as a multiple of another's."""
    return lambda results: results.ratio((scenario, "ampproxy"), (base, "ampproxy"))


def _cpu_ms(scenario: str) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        cpu = results.median(scenario, "ampproxy", "cpu")
        return None if cpu is None else cpu * 1e3

    return value


def _footprint(take: Callable[[Footprint], float]) -> Callable[[Results], float | None]:
    return lambda results: take(results.footprints["ampproxy"]) if "ampproxy" in results.footprints else None


def _tunnels(take: Callable[[Tunnels], float]) -> Callable[[Results], float | None]:
    return lambda results: None if results.tunnels is None else take(results.tunnels)


@dataclass(frozen=True)
class Limit:
    """What must hold.

    :param value: what was measured; ``None`` if it was not.
    :param most: the largest value that is good.
    """

    what: str
    value: Callable[[Results], float | None]
    most: float
    unit: str


LIMITS = (
    Limit("log and metrics: CPU", of_rival("observed", UNOBSERVED), 1.05, "of that without them"),
    Limit(
        "log and metrics, streams: CPU", of_rival("observed-stream", UNOBSERVED), 1.05, "of that without them"
    ),
    Limit("the ledger: CPU", of_rival("ledger", WITHOUT_LEDGER), 1.03, "of that without it"),
    Limit(
        "the page, open: CPU",
        lambda results: results.ratio(("watched", WATCHED), ("watched", "ampproxy")),
        1.02,
        "of that without it",
    ),
    Limit("JSON at 32 connections: CPU", of_plain("json-32"), 0.85, "of plain's"),
    Limit("bulk Anthropic stream: CPU", of_plain("bulk-anthropic"), 0.75, "of plain's"),
    Limit("body of 200 KB: CPU", of_plain("body-200k"), 1.0, "of plain's"),
    Limit("body of 4 MB: CPU", _cpu_ms("body-4m"), 8.0, "ms"),
    Limit("ready after", _footprint(lambda each: median(each.ready)), 0.6, "s"),
    Limit("idle memory", _footprint(lambda each: each.idle / 1e6), 70.0, "MB"),
    Limit("memory of an open stream", _footprint(lambda each: each.stream / 1e3), 60.0, "KB"),
    Limit("memory after 50 bodies of 4 MB: growth", _footprint(lambda each: each.kept / 1e6), 40.0, "MB"),
    Limit("memory of an open tunnel", _tunnels(lambda each: each.idle / 1e3), 60.0, "KB"),
    Limit("memory of a tunnel after large messages", _tunnels(lambda each: each.used / 1e3), 60.0, "KB"),
    Limit("memory of a stalled tunnel: growth", _tunnels(lambda each: each.stalled / 1e3), 200.0, "KB"),
    *(
        Limit(f"{name}: CPU", of_base(name, base), 2.5, "times pass-through's")
        for name, base in (
            ("translated-chat", "bulk-anthropic"),
            ("translated-responses", "bulk-anthropic"),
            ("translated-gemini", "bulk-anthropic"),
            ("translated-anthropic", "bulk-chat"),
        )
    ),
)
