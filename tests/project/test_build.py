"""What is built and installed: the sdist holds what its tests need, type checkers find it, the base is enough."""

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import dqlab
import dqlab.dashboard
import dqlab.sandbox
from tests.project.test_packaging import LAB, PROJECT, ROOT, run

#: what installing dqlab alone doesn't bring
ABSENT = sorted(
    name
    for name, distributions in packages_distributions().items()
    if {"ipython", "traitlets", *(wanted.partition(">=")[0] for wanted in LAB)} & {d.lower() for d in distributions}
)

#: a program as a base install runs it: every public name is there, and using one that needs the lab says what to do
IN_THE_BASE = """
import types
import dqlab
from dqlab import *
assert all(hasattr(dqlab, name) for name in dqlab.__all__) and Dashboard is not None
for use in (lambda: Dashboard(None), lambda: Dashboard.replay("r.jsonl"), lambda: isinstance(1, Dashboard),
            lambda: types.new_class("Mine", (Dashboard,)), lambda: dqlab.sandbox.site()):
    try:
        import dqlab.sandbox
        use()
    except ImportError as error:
        assert isinstance(error, DqlabError) and "pip install 'dqlab[lab]'" in str(error), error
    else:
        raise AssertionError("nothing was said")
print("said each time")
"""


@pytest.mark.parametrize("package", [dqlab, dqlab.dashboard, dqlab.sandbox], ids=lambda package: package.__name__)
def test_dir_lists_the_public_names(package) -> None:
    assert [name for name in dir(package) if not name.startswith("__")] == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018 - that it is looked up is what counts


def test_without_the_lab_the_names_are_there_and_say_what_to_install() -> None:
    absent = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
    assert {"anywidget", "PIL", "ipywidgets"} <= set(ABSENT)
    assert run(sys.executable, "-c", absent + IN_THE_BASE).stdout == "said each time\n"


@pytest.mark.timeout(240)
def test_type_checkers_know_what_the_public_names_are(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "from dqlab import Future, Master, as_completed, wait\n"
        "def half(x: int, by: float = 2.0) -> float: return x / by\n"
        "with Master() as master:\n"
        "    future: Future[float] = master.submit(half, 3, by=1.5)\n"
        "    again: list[Future[float]] = list(as_completed([future]))\n"
        "    done: set[Future[float]] = wait(again, timeout=1).done\n"
        "    master.submit(half, '3')\n"  # line 7
        "import dqlab\n"
        "dqlab.Nothing\n"  # line 9
    )
    for checker, *options in (
        ["mypy", f"--cache-dir={tmp_path / 'cache'}"],
        ["basedpyright", "--level", "error", "--pythonpath", sys.executable],
    ):
        said = run(sys.executable, "-m", checker, *options, "use.py", cwd=tmp_path, timeout=110).stdout
        wrong = {line.split(":")[1] for line in said.splitlines() if "error: " in line and "use.py" in line}
        assert wrong == {"7", "9"}, said


# -- what is built ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an sdist and a wheel of what is here."""
    folder = tmp_path_factory.mktemp("built")
    done = run(sys.executable, "-m", "hatchling", "build", "-d", str(folder), cwd=ROOT)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def unpacked(built: Path, tmp_path: Path) -> Path:
    """The sdist, unpacked."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("dqlab-*")
    return folder


def test_the_sdist_holds_all_that_git_does(unpacked: Path) -> None:
    known = (
        [ROOT / name for name in run("git", "ls-files", cwd=ROOT).stdout.splitlines()]
        if (ROOT / ".git").exists()
        else []
    )
    known = [path.relative_to(ROOT) for path in known if path.exists()] or [
        Path("Makefile"),
        Path("tests/sanitize.cfg"),
    ]
    assert [path for path in known if not (unpacked / path).exists()] == []
    assert not (unpacked / ".git").exists() and not (unpacked / ".venv").exists()


@pytest.mark.long
def test_the_tests_of_the_sdist_are_found(unpacked: Path) -> None:
    found = pytest_on(unpacked, "--collect-only", "-q", "tests")
    assert found.returncode == 0 and "test_two_hundred_tasks_survive" in found.stdout, found.stdout[-2_000:]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_tests_of_the_sdists_own_project_pass(unpacked: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="") as place:  # the way to a browser's socket has 107 characters at most
        done = pytest_on(unpacked, "-q", f"--basetemp={place}", "tests/project", timeout=850)
    assert done.returncode == 0, done.stdout[-5_000:]


def pytest_on(folder: Path, *arguments: str, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    """Run pytest on an unpacked sdist, whose dqlab comes before the one that is installed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (archive,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(archive).namelist())
    assert {"dqlab/py.typed", "dqlab/dashboard/dashboard.css", "dqlab/dashboard/dashboard.js"} <= names
    assert {name.partition("/")[0] for name in names} == {"dqlab", f"dqlab-{PROJECT['version']}.dist-info"}


def test_pictures_and_links_of_the_readme_work_where_only_the_readme_is(built: Path) -> None:
    (archive,) = built.glob("*.whl")
    metadata = zipfile.ZipFile(archive).read(f"dqlab-{PROJECT['version']}.dist-info/METADATA").decode()
    assert "](https://raw.githubusercontent.com/dqlab/dqlab/main/notebooks/images/dashboard.png)" in metadata
    assert f"]({PROJECT['urls']['Homepage']}/blob/main/dqlab/broker/broker.py)" in metadata
    assert "](dqlab/" not in metadata and "](#read-it-in-an-afternoon)" in metadata


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_base_install_has_all_names(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    python = tmp_path / "base" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "base")], check=True, timeout=120)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True, timeout=150)
    assert run(str(python), "-c", IN_THE_BASE, cwd=tmp_path).stdout == "said each time\n"
