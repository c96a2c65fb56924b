"""dqlab in one file: complete, pure Python, and equal where its content is equal."""

import importlib.util
import io
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dqlab.errors import LaunchFailed
from dqlab.launch.ssh import archive as module
from dqlab.launch.ssh import bootstrap
from dqlab.launch.ssh.archive import archive


def test_equal_content_gives_an_equal_name() -> None:
    assert archive("1.2") == archive("1.2")
    assert archive("1.2")[0].startswith("1.2-")


def test_there_is_nothing_compiled_in_it() -> None:
    names = zipfile.ZipFile(io.BytesIO(archive("1.2")[1])).namelist()
    assert {Path(name).suffix for name in names} == {".py", ".pem"}
    assert "dqlab/__main__.py" in names and not any("__pycache__" in name for name in names)


def test_it_runs_where_there_is_nothing_but_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name, data = archive("1.2")
    bootstrap.unpack(data, name)
    program = (
        "import dqlab, dqlab.worker.worker, dqlab.worker.child, cloudpickle, requests, certifi, sys\n"
        "import dqlab.crawl.transport\n"
        "print(requests.certs.where())\n"
        "from dqlab.crawl.find import find\n"
        "print(*find(b'<img src=x>', 'http://a/').images)\n"
        "here = sys.argv[1]\n"
        "print(all(m.__file__.startswith(here) for m in (dqlab, cloudpickle, requests, certifi)))"
    )
    folder = bootstrap.cache_folder(name)
    assert folder == str(tmp_path / "dqlab" / name)
    run = subprocess.run(
        [sys.executable, "-S", "-c", program, folder],
        env={"PYTHONPATH": folder}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    where, picture, all_from_there = run.stdout.split()
    assert Path(where).is_file() and where.startswith(folder)
    assert (picture, all_from_there) == ("http://a/x", "True")
    assert [path.name for path in (tmp_path / "dqlab").iterdir()] == [name], "no temporary folder is left"


def test_unpacking_it_twice_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name, data = archive("1.2")
    bootstrap.unpack(data, name)
    bootstrap.unpack(data, name)  # as two hosts do that share a home directory
    assert [path.name for path in (tmp_path / "dqlab").iterdir()] == [name]


def test_a_cache_that_was_partly_cleared_is_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name, data = archive("1.2")
    folder = Path(bootstrap.cache_folder(name))
    assert not bootstrap.is_whole(folder)
    bootstrap.unpack(data, name)
    for part in ("dqlab/worker/worker.py", bootstrap.CONTENT):
        assert bootstrap.is_whole(folder)
        (folder / part).unlink()
        assert not bootstrap.is_whole(folder)
        bootstrap.unpack(data, name)
    assert bootstrap.is_whole(folder) and [path.name for path in (tmp_path / "dqlab").iterdir()] == [name]


def test_a_damaged_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name, data = archive("1.2")
    with pytest.raises(ValueError, match="damaged on the way"):
        bootstrap.unpack(data[:-7] + b"garbage", name)
    assert not list(tmp_path.iterdir())


def test_what_is_missing_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEEDED", ("nothing_like_it",))
    with pytest.raises(LaunchFailed, match="nothing_like_it, which is not installed here.*pip install"):
        archive("1.2")


def test_what_the_crawl_may_do_without_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WANTED", ("nothing_like_it",))
    data = archive("1.2")[1]
    assert {name.split("/")[0] for name in zipfile.ZipFile(io.BytesIO(data)).namelist()} == {"dqlab", "cloudpickle"}


def test_the_list_is_what_dqlab_says_it_needs() -> None:
    """Every package that pyproject.toml names, and what these need in turn, is in the archive."""
    from importlib.metadata import packages_distributions, requires

    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]

    names = packages_distributions()
    modules = {d.lower().replace("_", "-"): m for m, ds in names.items() for d in ds if importlib.util.find_spec(m)}
    todo, seen = list(project["dependencies"]), set()
    while todo:
        line = todo.pop()
        name = re.split(r"[<>=!~\[ (;]", line)[0].lower()
        if "extra ==" not in line and "platform_system" not in line and name not in seen:
            seen.add(name)
            todo += requires(name) or []
    wanted = {modules[name.replace("_", "-")] for name in seen if name.replace("_", "-") in modules}
    assert {"cloudpickle", "requests", "urllib3"} <= wanted <= set(module.NEEDED + module.WANTED)
