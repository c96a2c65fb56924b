"""`dqlab crawl --dask`: on workers of its own, on a scheduler that runs, and on one that is lost."""

import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dqlab import sandbox
from dqlab.crawl import read_manifest
from dqlab.crawl.summary import LOSSES
from dqlab.sandbox import Site
from tests.cluster import environment
from tests.engines.dask_processes import scheduler, worker
from tests.helpers import eventually, free_port

PICTURES = 96


@pytest.fixture
def site() -> Iterator[Site]:
    with sandbox.site(images=PICTURES, delay=0.02) as site:
        dict(site.images)  # drawn before the clocks tick
        yield site


def start(*words: str | int | Path) -> subprocess.Popen[str]:
    """Start the command."""
    command = [sys.executable, "-W", "default", "-m", "dqlab", "crawl", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code of a command, what it said, and its errors."""
    with process:
        output, errors = process.communicate(timeout=90)
    return process.returncode, output, errors


def digests(out: Path) -> list[str]:
    """What the pictures in a folder are."""
    return sorted(entry.sha256 or "" for entry in read_manifest(out) if entry.error is None)


def originals(site: Site) -> list[str]:
    """What the pictures of a site are."""
    return sorted(hashlib.sha256(body).hexdigest() for body in site.images.values())


def test_workers_of_its_own(site: Site, tmp_path: Path) -> None:
    code, output, errors = ended(start(site.url, "--out", tmp_path / "out", "--dask", "local", "-n", 2))

    assert (code, errors) == (LOSSES, "")
    assert output.startswith(f"{PICTURES} images, ")
    assert digests(tmp_path / "out") == originals(site)


@pytest.mark.timeout(240)
def test_a_lost_scheduler_is_said_in_a_line_and_the_same_command_goes_on(site: Site, tmp_path: Path) -> None:
    site.delay, out, port = 0.1, tmp_path / "out", free_port()
    words = [site.url, "--out", out, "--dask", tmp_path / "scheduler.json"]
    with scheduler(tmp_path, port) as (address, process), worker(address, tmp_path / "workers", 1):
        first = start(*words)
        eventually(lambda: len(list(out.glob("*.*"))) > PICTURES // 4, timeout=60)
        process.kill()
        code, output, errors = ended(first)
    here = digests(out)
    with scheduler(tmp_path, port) as (address, _), worker(address, tmp_path / "workers", 1):
        second = ended(start(*words, "--quiet"))

    told = [line for line in errors.splitlines() if "no worker has joined" not in line]
    assert (code, output) == (1, "")
    assert told == [
        f"dqlab: the executor is broken: the Dask scheduler at {address} is gone",
        "  what has arrived stays; the same crawl goes on",
    ]
    assert 0 < len(here) < PICTURES and set(here) < set(originals(site))
    assert second[:2] == (LOSSES, "")
    assert digests(out) == originals(site)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_command_ends_its_workers(site: Site, tmp_path: Path, number: int) -> None:
    site.delay, out = 0.1, tmp_path / "out"
    process = start(site.url, "--out", out, "--dask", "local", "-n", 2)
    eventually(lambda: len(list(out.glob("*.*"))) > PICTURES // 4, timeout=60)
    process.send_signal(number)
    code, output, errors = ended(process)

    assert output == ""
    if number == signal.SIGKILL:  # its files stay
        shutil.rmtree(tempfile.gettempdir())
    else:
        assert code == 130
        assert errors.splitlines()[-2:] == [
            f"dqlab: interrupted; what has arrived lies in {out}",
            "  the same command goes on from there",
        ]


@pytest.mark.long
def test_workers_without_dqlab_are_told_apart_from_a_bad_address(tmp_path: Path) -> None:
    (tmp_path / "dqlab.py").write_text("raise ImportError('no dqlab here')")
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path / "workers", PYTHONPATH=str(tmp_path)):
        code, _, errors = ended(start("http://127.0.0.1:1/", "--out", tmp_path / "out", "--dask", address))
    told = [line for line in errors.splitlines() if "no worker has joined" not in line]
    assert code == 1
    assert told[0].startswith("dqlab: Dask's workers can't run dqlab: ")
    assert told[1] == "  install it there, in our version"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--dask", "local", "-n", 0], "-n 0 makes no sense"),
        (["--dask", "tcp://host:8786", "-n", 2], "-n 2 is not allowed with tcp://host:8786"),
        (["--dask", "local", "--connection", "f"], "not allowed with"),
        (["--dask", "no.json"], "no scheduler file no.json: No such file"),
    ],
)
def test_nonsense_is_refused(words: list[str | int], says: str, tmp_path: Path) -> None:
    code, output, errors = ended(start("http://host/", "--out", tmp_path / "out", *words))
    lines = errors.splitlines()
    assert (code, output) == (2, "")
    assert says in lines[0] and len(lines) == 2
