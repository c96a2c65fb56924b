"""The same crawl on every engine, as a script of its own: the same pictures, whoever of the workers is killed."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dqlab import sandbox
from dqlab.crawl import read_manifest
from dqlab.sandbox import Site
from tests.cluster import environment, run
from tests.engines.dask_processes import scheduler, worker

#: pictures of the site that can be had, as it is and as it is made for this
PICTURES = 96
#: where `make` has put ipyparallel, whose extension of JupyterLab the lessons must not meet
APART = Path(sys.prefix) / "apart"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with sandbox.site(images=PICTURES, delay=0.02) as site:
        dict(site.images)  # drawn before the clocks tick
        yield site


def pictures(out: Path) -> set[str | None]:
    """The digests of the pictures that lie in a folder."""
    entries = [entry for entry in read_manifest(out) if entry.error is None]
    for entry in entries:
        assert hashlib.sha256((out / str(entry.path)).read_bytes()).hexdigest() == entry.sha256
    return {entry.sha256 for entry in entries}


def wanted(site: Site) -> set[str]:
    """The digests of the pictures of a site."""
    return {hashlib.sha256(body).hexdigest() for body in site.images.values()}


def crawl_on(address: str, site: Site, out: Path, *words: str) -> str:
    """What the script prints; it warns of nothing, but that workers which start elsewhere aren't there yet."""
    path = [str(APART), *filter(None, [environment().get("PYTHONPATH")])]
    env = environment() | {"PYTHONPATH": os.pathsep.join(path)}
    done = run("-W", "default", "-m", "tests.engines.crawl_on", address, site.url, out, *words, timeout=100, env=env)
    assert done.stderr in ("", f"dqlab: no worker has joined. Start one: dask worker {address}\n")
    return done.stdout


ENGINES = [
    "threads:2",
    "processes:2",
    "dqlab://local?n=2",
    "dask://local?n=2",
    "ipyparallel:2",
]


@pytest.mark.parametrize("address", ENGINES)
def test_every_engine_brings_the_same_pictures(address: str, site: Site, tmp_path: Path) -> None:
    assert crawl_on(address, site, tmp_path / "out").startswith(f"{PICTURES} images")
    assert pictures(tmp_path / "out") == wanted(site)


@pytest.mark.parametrize(
    "address",
    ["dask://local?n=2", pytest.param("dqlab://local?n=2", marks=pytest.mark.long),
     pytest.param("ipyparallel:2", marks=pytest.mark.long)],
)  # fmt: skip
def test_one_of_two_workers_is_killed_half_way(address: str, site: Site, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert crawl_on(address, site, out, "--kill", str(PICTURES // 2)).startswith(f"{PICTURES} images")
    assert pictures(out) == wanted(site)


def test_a_pool_that_breaks_is_said_in_a_line_and_another_goes_on(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = crawl_on("processes:2", site, out, "--kill", str(PICTURES // 2))
    assert said.startswith("the executor is broken: A ") and "(what has arrived stays; the same crawl goes on)" in said
    here = pictures(out)
    assert here < wanted(site)
    assert f"{len(here)} were here already" in crawl_on("processes:2", site, out)
    assert pictures(out) == wanted(site)


@pytest.mark.long
@pytest.mark.parametrize("own", [False, True])
def test_a_scheduler_and_workers_that_run_elsewhere(own: bool, site: Site, tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path / "workers"):
        assert json.loads((tmp_path / "scheduler.json").read_text())["address"] == address
        where = f"get_executor {address}" if own else address
        assert crawl_on(where, site, tmp_path / "out", "--kill", "32").startswith(f"{PICTURES} images")
    assert pictures(tmp_path / "out") == wanted(site)
