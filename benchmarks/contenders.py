"""The processes that are compared, each pinned to the core under test."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trustme

from benchmarks.meter import cpu_ns

#: The key that clients of the gateway send.
CLIENT_KEY = "benchmark-client-key"

#: The gateway when it keeps no record of exchanges, and when it tells nothing of them: no line in the log, no
#: metrics.
WITHOUT_LEDGER = "ampproxy-no-ledger"
UNOBSERVED = "ampproxy-unobserved"
#: The gateway while somebody looks at its page: the same process, with one more connection.
WATCHED = "ampproxy-watched"

#: The gateway of another checkout (``--against``), and CLIProxyAPI, whose binary this variable names.
BEFORE = "before"
PEER = "cliproxyapi"
PEER_VARIABLE = "CLIPROXYAPI"

#: What ends the name of a contender that speaks TLS with its clients and with its vendor.
TLS = "-tls"

#: What each of these configurations has that others have not. The usual one listens for Prometheus, too.
_SHOWN = "metrics: {listen: '127.0.0.1:0'}"
GATEWAYS = {
    "ampproxy": [_SHOWN],
    WITHOUT_LEDGER: [_SHOWN, "ledger: false"],
    UNOBSERVED: ["metrics: {enable: false}", "logging: {level: error}"],
}
GATEWAYS[WATCHED] = GATEWAYS["ampproxy"]

#: Seconds that a process has to become ready.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Account:
    """An account of the gateway's configuration.

    :param section: of the configuration file.
    :param version: what of the path belongs to the base URL.
    :param behaviour: of the vendor, see :mod:`benchmarks.vendor`.
    """

    section: str
    version: str
    behaviour: str

    @property
    def label(self) -> str:
        """Names the account's model."""
        return f"{self.section.partition('-')[0]}-{self.behaviour}"

    @property
    def asked(self) -> str:
        """The model that clients ask for, and that is mapped to the account's."""
        return f"claude-opus-4-5-{self.label}"


#: Where a vendor's dialect is spoken: the section of the configuration and the version in its base URL.
_SECTIONS = {
    "anthropic": ("claude-api-key", ""),
    "openai-chat": ("openai-compatibility", "/v1"),
    "openai-responses": ("codex-api-key", "/v1"),
    "gemini": ("gemini-api-key", ""),
}


def is_gateway(contender: str) -> bool:
    """Whether it is one of ours, of this checkout or another: it has our paths."""
    return contender.removesuffix(TLS) in (*GATEWAYS, BEFORE)


def account(dialect: str, behaviour: str) -> Account:
    """The account whose vendor speaks a dialect and behaves so."""
    return Account(*_SECTIONS[dialect], behaviour)


ACCOUNTS = (
    *(account("anthropic", behaviour) for behaviour in ("json", "bulk", "paced", "held", "cut", "fails")),
    *(account(dialect, "bulk") for dialect in ("openai-chat", "openai-responses", "gemini")),
)


def gateway_config(
    port: int,
    vendor: int,
    state: Path,
    name: str = "ampproxy",
    upstream: str = "",
    certificate: Path | None = None,
) -> str:
    """The gateway's configuration: keys, accounts, mappings, the Amp upstream.

    :param state: where what is kept goes.
    :param name: which of :data:`GATEWAYS`; another checkout has the usual one.
    :param upstream: the Amp upstream's address; else the vendor is that, too.
    :param certificate: a PEM file with a certificate and its key: then it speaks TLS on both sides.
    """
    origin = f"http{'s' if certificate else ''}://127.0.0.1:{vendor}"
    # Accounts whose vendor fails on purpose are asked again at once.
    lines = [f"port: {port}", f"api-keys: [{CLIENT_KEY}]", f"state-dir: {state}", "disable-cooling: true"]
    lines += GATEWAYS.get(name, GATEWAYS["ampproxy"])
    if certificate:
        lines.append(f"tls: {{enable: true, cert: {certificate}, key: {certificate}}}")
    for section in dict.fromkeys(each.section for each in ACCOUNTS):
        lines.append(f"{section}:")
        for each in ACCOUNTS:
            if each.section == section:
                lines += _entry(each, f"{origin}/{each.behaviour}{each.version}")
    lines += ["ampcode:", f"  upstream-url: {upstream or origin}", "  upstream-api-key: benchmark-amp-key"]
    lines += ["  model-mappings:"]
    for each in ACCOUNTS:
        lines += [f"    - from: {each.asked}", f"      to: alias-{each.label}"]
    return "\n".join(lines) + "\n"


def _entry(each: Account, base: str) -> list[str]:
    models = f"    models: [{{name: vendor-{each.label}, alias: alias-{each.label}}}]"
    if each.section == "openai-compatibility":
        keys = f"    api-key-entries: [{{api-key: benchmark-{each.label}}}]"
        return [f"  - name: {each.label}", f"    base-url: {base}", keys, models]
    return [f"  - api-key: benchmark-{each.label}", f"    base-url: {base}", models]


_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  keepalive_requests 100000000;
  upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off;
    }}
  }}
}}
"""


@dataclass
class Contender:
    """A running process, or a gateway's process under one of its configurations.

    :ivar ready: seconds from its start to its first answer.
    :ivar ready_cpu: seconds of CPU until then.
    :ivar tls: what its clients trust, if it speaks TLS with them.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    ready: float
    ready_cpu: float
    switch: Switch | None = None
    tls: ssl.SSLContext | None = None

    def use(self) -> None:
        """Go by this contender's configuration from now on."""
        if self.switch is not None:
            self.switch.use(self.name)

    def under(self, name: str) -> Contender:
        """The same process, under another configuration."""
        return replace(self, name=name)

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self.process.pid


class Switch:
    """Has a gateway's process go by another of :data:`GATEWAYS`, by a reload.

    Two processes of the same program differ by several percent, by where their memory happens to lie; so
    what can be switched off is measured with and without it in one process.
    """

    def __init__(self, bench: Bench, port: int, process: subprocess.Popen[bytes], name: str) -> None:
        self._bench = bench
        self._port = port
        self._process = process
        self._name = name

    def use(self, name: str) -> None:
        """Return when it is in force.

        :raises RuntimeError: it does not come in force.
        """
        if GATEWAYS[name] == GATEWAYS[self._name]:
            return
        before, deadline = self._generation(), time.monotonic() + _PATIENCE
        self._bench.configure(self._port, name)
        self._process.send_signal(signal.SIGHUP)
        while self._generation() == before:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the configuration {name} does not come in force")
            time.sleep(0.01)
        self._name = name

    def _generation(self) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/healthz")
            return connection.getresponse().headers["X-Ampproxy-Generation"]


@dataclass(frozen=True)
class Bench:
    """Where everything runs.

    :param folder: for generated configurations and logs.
    :param vendor: the vendor's port.
    :param load_core: where clients and vendor run; ``None`` where nothing can be pinned.
    :param core: where the contenders run.
    :param upstream: the address of the gateway's Amp upstream, where that is not the vendor.
    :param authority: a certificate that contenders trust beside those of the system.
    :param vendor_tls: the vendor's port that speaks TLS.
    :param certificate: of 127.0.0.1, with its key, issued by the authority.
    :param against: another checkout, whose gateway is measured beside this one's.
    """

    folder: Path
    vendor: int
    load_core: int | None
    core: int | None
    upstream: str = ""
    authority: Path | None = None
    vendor_tls: int = 0
    certificate: Path | None = None
    against: Path | None = None

    def start(self, name: str) -> Contender:
        """Start a contender and wait until it answers.

        :raises RuntimeError: it ended, or does not answer; the message holds the end of its log.
        """
        port = free_port()
        command = _COMMANDS[name](self, port)
        tls = None
        if name.endswith(TLS):
            tls = ssl.create_default_context(cafile=str(self.authority))
        log = self.folder / f"{name}-{port}.log"
        begin = time.perf_counter()
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=environment(self.authority, self.folder, self._checkout(name)),
                preexec_fn=self._pin,
            )
        while not _answers(port, tls):
            if process.poll() is not None or time.perf_counter() - begin > _PATIENCE:
                stop(process)
                raise RuntimeError(f"{name} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.002)
        ready = time.perf_counter() - begin
        switch = Switch(self, port, process, name) if name in GATEWAYS else None
        return Contender(name, port, process, ready, cpu_ns(process.pid) / 1e9, switch, tls)

    def configure(self, port: int, name: str) -> Path:
        """Write the configuration of the gateway at that port."""
        config = self.folder / f"ampproxy-{port}.yaml"
        state = self.folder / f"state-{port}"
        certificate = self.certificate if name.endswith(TLS) else None
        vendor = self.vendor_tls if certificate else self.vendor
        config.write_text(gateway_config(port, vendor, state, name, self.upstream, certificate))
        return config

    def _checkout(self, name: str) -> Path:
        before = name.removesuffix(TLS) == BEFORE
        return self.against if before and self.against is not None else _HERE

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Contender]:
        """A contender that is stopped at the end."""
        contender = self.start(name)
        try:
            yield contender
        finally:
            stop(contender.process)

    def _pin(self) -> None:
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})


#: This checkout.
_HERE = Path(__file__).resolve().parent.parent


def _gateway(bench: Bench, port: int, name: str) -> list[str]:
    # Another checkout's own packages, where it has them: the program is measured as it would be installed.
    own = bench._checkout(name) / ".venv/bin/twistd"
    twistd = own if own.exists() else Path(sys.executable).parent / "twistd"
    return [str(twistd), "-n", "--pidfile=", "ampproxy", "--config", str(bench.configure(port, name))]


def _peer(bench: Bench, port: int) -> list[str]:
    config = bench.folder / f"{PEER}-{port}.yaml"
    config.write_text(_peer_config(port, bench.vendor, bench.folder))
    return [os.environ[PEER_VARIABLE], "--config", str(config)]


def _peer_config(port: int, vendor: int, folder: Path) -> str:
    """The same for CLIProxyAPI, where an account's alias does what a mapping does here."""
    origin = f"http://127.0.0.1:{vendor}"
    lines = [f"port: {port}", "host: 127.0.0.1", f"auth-dir: {folder}/{PEER}", f"api-keys: [{CLIENT_KEY}]"]
    for section in dict.fromkeys(each.section for each in ACCOUNTS):
        lines.append(f"{section}:")
        for each in ACCOUNTS:
            if each.section == section:
                entry = _entry(each, f"{origin}/{each.behaviour}{each.version}")
                lines += [
                    line.replace(f"alias: alias-{each.label}", f"alias: {each.asked}") for line in entry
                ]
    return "\n".join(lines) + "\n"


def _plain(bench: Bench, port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.plain", str(port), f"http://127.0.0.1:{bench.vendor}"]


def _nginx(bench: Bench, port: int) -> list[str]:
    config = bench.folder / f"nginx-{port}.conf"
    config.write_text(_NGINX.format(folder=bench.folder, vendor=bench.vendor, port=port))
    return [str(nginx_path()), "-p", str(bench.folder), "-c", str(config)]


#: The gateways, and what they are compared with.
_COMMANDS: dict[str, Callable[[Bench, int], list[str]]] = {
    **{name: partial(_gateway, name=name) for name in (*GATEWAYS, BEFORE, f"ampproxy{TLS}", BEFORE + TLS)},
    PEER: _peer,
    "plain": _plain,
    "nginx": _nginx,
}


def nginx_path() -> str | None:
    """Where nginx is, if it is installed."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def cores() -> tuple[int, int] | tuple[None, None]:
    """A core for the load, and one for the contenders; nothing where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


@contextlib.contextmanager
def bench(folder: Path, against: Path | None = None) -> Iterator[Bench]:
    """Pin this process to the load's core and start the vendor beside it.

    :param against: another checkout that is to be measured, too.
    """
    load, core = cores()
    if load is not None:
        os.sched_setaffinity(0, {load})
    trusted, certificate = issue(folder, "127.0.0.1")
    vendor = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.vendor", str(certificate)],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert vendor.stdout is not None
        plain, tls = map(int, vendor.stdout.readline().split())
        yield Bench(
            folder,
            plain,
            load,
            core,
            authority=trusted,
            vendor_tls=tls,
            certificate=certificate,
            against=against,
        )
    finally:
        stop(vendor)


def issue(folder: Path, name: str) -> tuple[Path, Path]:
    """Write an authority's certificate, and one with its key that it has issued for a name."""
    authority = trustme.CA()
    trusted, certificate = folder / "authority.pem", folder / "certificate.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return trusted, certificate


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process; by force if it does not hear."""
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def environment(
    authority: Path | None = None, home: Path | None = None, checkout: Path | None = None
) -> Mapping[str, str]:
    """The environment of a process of the benchmarks.

    :param authority: a certificate that it is to trust.
    :param home: in place of the user's own, where nothing is to be read or written.
    :param checkout: whose package it runs; this one's by default.
    """
    kept = {name: value for name, value in os.environ.items() if home is None or name not in _PLACES}
    # Else what is started from a fresh checkout compiles all of it each time.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    kept["PYTHONPATH"] = str(checkout or _HERE)
    if authority is not None:
        kept["SSL_CERT_FILE"] = str(authority)
    if home is not None:
        kept["HOME"] = str(home)
    return kept


#: Where else a program may look for what is the user's.
_PLACES = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "STATE_DIRECTORY", "AMP_API_KEY")


def _answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    try:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 1))
            sock.settimeout(5)
            if tls is not None:
                sock = stack.enter_context(tls.wrap_socket(sock, server_hostname="127.0.0.1"))
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
