"""How it is shipped: a release with its tag and news, and a Debian package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ampproxy import __version__
from tests.etc import ETC

TREE = ETC.parent


def run(*command: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    identity = {
        f"GIT_{who}_{what}": "x@y.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = {"PATH": path, "HOME": str(cwd), "PYTHON": sys.executable, **identity, **environ}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with little of the package in it, so that it is built fast."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    tree = tmp_path / "tree"
    for name in (".ci/release", "ampproxy/__init__.py", "twisted/plugins/ampproxy_plugin.py", "setup.py",
                 "pyproject.toml", "README.md", "LICENSE", "NEWS.md", ".gitignore"):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TREE / name, tree / name)
    (tree / "newsfragments").mkdir()
    (tree / "newsfragments" / "+a.feature").write_text("It can fly.\n")
    (tree / "newsfragments" / "+b.removal").write_text("It cannot swim.\n")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "x"]):
        assert run("git", *command, cwd=tree).returncode == 0
    return tree


def test_release(checkout: Path) -> None:
    """One command: the version, the news without their fragments, a commit, a tag, and archives."""
    done = run(".ci/release", "0.9.1", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert run("git", "describe", cwd=checkout).stdout == "v0.9.1\n"
    assert run("git", "status", "--porcelain", cwd=checkout).stdout == ""
    news = (checkout / "NEWS.md").read_text()
    assert re.search(r"<!-- towncrier release notes start -->\n+## ampproxy 0\.9\.1 \(\d{4}-", news)
    assert "- It can fly." in news
    assert "### Deprecations and removals\n\n- It cannot swim." in news
    assert not [*checkout.glob("newsfragments/+*")]
    with tarfile.open(checkout / "dist" / "ampproxy-0.9.1.tar.gz") as sdist:
        names = sdist.getnames()
        assert "ampproxy-0.9.1/LICENSE" in names
        assert "ampproxy-0.9.1/twisted/plugins/ampproxy_plugin.py" in names
    with zipfile.ZipFile(checkout / "dist" / "ampproxy-0.9.1-py3-none-any.whl") as wheel:
        assert b"\nVersion: 0.9.1\n" in wheel.read("ampproxy-0.9.1.dist-info/METADATA")
        assert b'__version__ = "0.9.1"' in wheel.read("ampproxy/__init__.py")


@pytest.mark.parametrize("why", ["0.9", "changes", "exists", "nothing"])
def test_no_release(checkout: Path, why: str) -> None:
    """What would not be the release that is meant is refused, and nothing has changed."""
    if why == "changes":
        (checkout / "README.md").write_text("changed")
    elif why == "exists":
        run("git", "tag", "v0.9.1", cwd=checkout)
    elif why == "nothing":
        run("git", "rm", "--quiet", "-r", "newsfragments", cwd=checkout)
        run("git", "commit", "--quiet", "-m", "y", cwd=checkout)
    before = run("git", "rev-parse", "HEAD", cwd=checkout).stdout
    done = run(".ci/release", "0.9" if why == "0.9" else "0.9.1", cwd=checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("release: ")
    assert run("git", "rev-parse", "HEAD", cwd=checkout).stdout == before
    assert f'"{__version__}"' in (checkout / "ampproxy" / "__init__.py").read_text()


@pytest.fixture(scope="module")
def package(tmp_path_factory: Any) -> Path:
    """A Debian package of an environment that holds no more than one command."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    folder: Path = tmp_path_factory.mktemp("deb")
    made = folder / "environment"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    (made / "bin" / "ampproxy").write_text(f"#!{made}/bin/python\nprint('runs')\n")
    (made / "bin" / "ampproxy").chmod(0o755)
    (made / "pyvenv.cfg").write_text(f"command = python -m venv {made}\n")
    (made / "lib" / "__pycache__").mkdir(parents=True)
    (made / "lib" / "__pycache__" / "x.pyc").write_bytes(b"x")
    done = run(str(ETC / "debian" / "build"), str(folder), cwd=folder, TREE=str(made))
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("ampproxy_*.deb")
    return found


def test_package(package: Path, tmp_path: Path) -> None:
    """What it holds, whose it is, and nothing of the place where it was built."""
    assert re.fullmatch(rf"ampproxy_{re.escape(__version__)}_[a-z0-9]+\.deb", package.name)
    run("dpkg-deb", "--raw-extract", str(package), str(tmp_path / "root"), cwd=tmp_path)
    root = tmp_path / "root"
    for name in (
        "lib/systemd/system/ampproxy.service",
        "usr/share/doc/ampproxy/ampproxy.yaml",
        "usr/share/doc/ampproxy/copyright",
    ):
        assert (root / name).is_file()
    assert (root / "etc/ampproxy/credentials").stat().st_mode & 0o777 == 0o700
    assert (root / "usr/bin/ampproxy").readlink() == Path("/opt/ampproxy/bin/ampproxy")
    assert (root / "opt/ampproxy/bin/ampproxy").read_text().startswith("#!/opt/ampproxy/bin/python\n")
    assert (root / "opt/ampproxy/pyvenv.cfg").read_text() == "command = python -m venv /opt/ampproxy\n"
    assert not [*root.rglob("__pycache__")]
    control = (root / "DEBIAN" / "control").read_text()
    minor = f"python3.{sys.version_info[1]}"
    assert f"\nVersion: {__version__}\n" in control
    assert f"\nDepends: {minor}, ca-certificates\n" in control
    listed = run("dpkg-deb", "--contents", str(package), cwd=tmp_path).stdout
    assert all(line.split()[1] == "root/root" for line in listed.splitlines())


def test_what_the_unit_starts_is_in_it(package: Path, tmp_path: Path) -> None:
    """The unit's program is below the folder that the package has."""
    run("dpkg-deb", "--raw-extract", str(package), str(tmp_path / "root"), cwd=tmp_path)
    unit = (tmp_path / "root" / "lib/systemd/system/ampproxy.service").read_text()
    (started,) = re.findall(r"(?m)^ExecStart=(\S+)", unit)
    assert started == "/opt/ampproxy/bin/twistd"
