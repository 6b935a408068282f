"""``python -m benchmarks``: measure, print tables of ratios, and fail when a limit does."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import measure, report, tunnels
from benchmarks.contenders import BEFORE, GATEWAYS, PEER, PEER_VARIABLE, TLS, Bench, bench, nginx_path
from benchmarks.load import BadAnswer
from benchmarks.results import Results
from benchmarks.scenarios import Scenario, chosen

#: What is measured beside the scenarios.
_OTHERS = ("footprint", "tunnels")

#: The load average up to which a machine counts as idle.
_QUIET = 0.7


def main() -> int:
    """Run what the command line asks for; 1 if a limit does not hold."""
    options = _options()
    _allow_many_files()
    named = [name for name in options.only if name not in _OTHERS]
    scenarios = [] if options.only and not named else chosen(named)
    others = [name for name in _OTHERS if not options.only or name in options.only]
    if not scenarios and not others:
        print("No scenario's name begins so. There are:", *(each.name for each in chosen([])), *_OTHERS)
        return 2
    began = time.monotonic()
    load = os.getloadavg()[0]
    if load > _QUIET:
        print(f"The machine is busy (load {load:.1f}): ratios hold roughly, absolute figures are too high.\n")
    gc.disable()
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        bench(Path(folder), options.against) as place,
    ):
        if place.core is None:
            print("Only one core: clients and contenders share it, so the wall clock says little.")
        results = asyncio.run(_run(place, scenarios, others, options))
    _print(results, scenarios, others)
    if options.json:
        options.json.write_text(json.dumps(results.to_json(), indent=1))
    lines, good = report.verdicts(results)
    print("\n".join(lines))
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if good and not _failures(results, scenarios) else 1


async def _run(
    place: Bench, scenarios: list[Scenario], others: list[str], options: argparse.Namespace
) -> Results:
    results = Results()
    if "footprint" in others:
        names = ("plain", "ampproxy", *([BEFORE] if options.against else []))
        _say(f"footprints of {', '.join(names)}")
        results.footprints |= await measure.footprints(place, names, 2 if options.quick else 9)
    if "tunnels" in others:
        _say("tunnels")
        try:
            results.tunnels = await tunnels.measure(place, 200 if options.quick else 1000)
        except (BadAnswer, asyncio.TimeoutError) as error:
            results.missing["tunnels"] = f"not available with ampproxy: {error or type(error).__name__}"
    if not scenarios:
        return results
    wanted = dict.fromkeys(name for each in scenarios for name in each.contenders)
    names = [name for name in wanted if _is_here(name, options)]
    with contextlib.ExitStack() as stack:
        processes = dict.fromkeys("ampproxy" if name in GATEWAYS else name for name in names)
        running = {name: stack.enter_context(place.running(name)) for name in processes}
        running |= {name: running["ampproxy"].under(name) for name in names if name in GATEWAYS}
        for scenario in scenarios:
            _say(scenario.title)
            await measure.scenario(scenario, running, results, options.rounds, 0.4 if options.quick else 1.0)
    return results


def _is_here(name: str, options: argparse.Namespace) -> bool:
    """Whether a contender can be measured, and is to be."""
    if name == "nginx":
        return bool(nginx_path()) and not options.quick
    if name == PEER:
        return bool(os.environ.get(PEER_VARIABLE))
    return options.against is not None or name.removesuffix(TLS) != BEFORE


def _print(results: Results, scenarios: list[Scenario], others: list[str]) -> None:
    _say("")
    if scenarios:
        print(report.cpu_table(results, scenarios) + "\n")
        print(report.wall_table(results, scenarios) + "\n")
        for name in (BEFORE, PEER):
            if any(contender == name for _, contender in results.samples):
                print(report.against_table(results, scenarios, name) + "\n")
    if "footprint" in others:
        print(report.footprint_table(results) + "\n")
    if "tunnels" in others:
        print(report.tunnel_table(results) + "\n")


def _failures(results: Results, scenarios: list[Scenario]) -> list[str]:
    """What could not be measured and has to work."""
    named = [each.name for each in scenarios if not each.base] + ["tunnels"]
    return [name for name in named if name in results.missing]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="scenarios whose name begins so, 'footprint' or 'tunnels'; repeatable",
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured [6; 2 with --quick]")
    parser.add_argument(
        "--quick", action="store_true", help="two short rounds without nginx: rough figures in half a minute"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout, measured in the same rounds; its own .venv is used if it has one",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there, too")
    options = parser.parse_args()
    if options.against is not None:
        options.against = options.against.resolve()
        if not (options.against / "ampproxy").is_dir():
            parser.error(f"{options.against} is no checkout of ampproxy")
    if options.rounds is None:
        options.rounds = 2 if options.quick else 6
    return options


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
