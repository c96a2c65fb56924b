"""What is installed, how it is set up, and that importing it stays cheap."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import dqlab

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LAB = PROJECT["optional-dependencies"]["lab"]
ECOSYSTEM = PROJECT["optional-dependencies"]["ecosystem"]

#: What neither `import dqlab` nor a worker on another machine needs.
HEAVY = {
    "IPython",
    "PIL",
    "anywidget",
    "hypothesis",
    "ipywidgets",
    "jupyterlab",
    "matplotlib",
    "numpy",
    "requests",
    "tqdm",
}


def run(*command: str, timeout: float = 60, **options) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing on its standard input; what it prints, errors included, is in `stdout`."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, text=True, timeout=timeout, **streams, **options)


# -- the package ------------------------------------------------------------------------------------------------------


def test_import_dqlab_loads_nothing_heavy() -> None:
    assert not HEAVY & modules_after("import dqlab")


def test_a_master_a_client_and_a_worker_load_nothing_heavy() -> None:
    assert not HEAVY & modules_after(
        "import dqlab.master.process, dqlab.client.client, dqlab.worker.worker, dqlab.worker.child"
    )


def modules_after(statement: str) -> set[str]:
    """The names of all modules that a fresh Python has loaded after `statement`."""
    loaded = run(sys.executable, "-c", f"{statement}; import json, sys; print(json.dumps(list(sys.modules)))")
    return set(json.loads(loaded.stdout))


@pytest.mark.parametrize("name", dqlab.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dqlab, name) is not None


def test_the_base_needs_only_what_the_crawl_needs() -> None:
    names = {requirement.partition(">=")[0] for requirement in PROJECT["dependencies"]}
    assert names == {"cloudpickle", "requests", "tqdm", "urllib3"}


def test_what_the_package_imports_is_what_it_asks_for() -> None:
    asked = {requirement.partition(">=")[0] for requirement in [*PROJECT["dependencies"], *LAB, *ECOSYSTEM]}
    asked |= {"dask", "idna", "ipython", "traitlets"}  # distributed, requests, ipykernel, ipywidgets stand on these
    imported = set()
    for file in (ROOT / "dqlab").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    from_where = packages_distributions()
    for name in imported - sys.stdlib_module_names - {"dqlab"}:
        assert asked & {distribution.lower() for distribution in from_where[name]}, f"{name} comes by luck only"


def test_one_version_everywhere() -> None:
    said = run(sys.executable, "-m", "dqlab", "--version").stdout.split()
    assert said == ["dqlab", dqlab.__version__] == ["dqlab", PROJECT["version"]]


def test_the_console_script_is_installed() -> None:
    script = shutil.which("dqlab", path=str(Path(sys.executable).parent))
    assert script, "no dqlab beside this Python: pip install --editable '.[lab,test]'"
    assert run(script, "--version").stdout == f"dqlab {dqlab.__version__}\n"


# -- conda and Binder -------------------------------------------------------------------------------------------------


def test_environment_yml_asks_for_what_pyproject_asks_for() -> None:
    *packages, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    python = [package for package in packages if package.startswith("python>")]
    assert python[0].removeprefix("python").split(",")[0] == PROJECT["requires-python"]
    assert set(packages) - {*python, "pip"} == {*PROJECT["dependencies"], *LAB}
    assert pip == {"pip": ["--editable ."]}


def test_binder_gets_the_courses_settings(tmp_path: Path) -> None:
    assert run(str(ROOT / "postBuild"), cwd=ROOT, env=os.environ | {"NB_PYTHON_PREFIX": str(tmp_path)}).returncode == 0
    copy = tmp_path / "share/jupyter/lab/settings/overrides.json"
    assert json.loads(copy.read_text()) == json.loads((ROOT / ".jupyter/overrides.json").read_text())


# -- make -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with nothing but what make reads, and a Python in its environment that is never run."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in `folder`, as from a shell of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return run("make", "--no-print-directory", *arguments, cwd=folder, env=environment)


def test_plain_make_names_every_target(bare: Path) -> None:
    targets = [line.split()[1] for line in make(bare).stdout.splitlines()]
    assert targets == ["help", "lab", "demo", "test", "lint", "bench", "html", "reset", "clean"]


@pytest.mark.parametrize(("target", "extras"), [("lab", "lab"), ("test", "lab,test"), ("bench", "lab,bench")])
def test_a_target_installs_what_it_needs_once_and_again_when_pyproject_changes(
    bare: Path, target: str, extras: str
) -> None:
    def plan() -> str:
        return make(bare, "--dry-run", target).stdout

    def stamp(name: str, seconds: int) -> None:
        (bare / ".venv" / name).touch()
        os.utime(bare / ".venv" / name, (seconds, seconds))

    now = int((bare / "pyproject.toml").stat().st_mtime)
    os.utime(bare / ".venv" / "bin" / "python", (now - 10, now - 10))
    assert f"--editable '.[{extras}]'" in plan()
    stamp(".lab", now + 10)
    stamp(f".{target}", now + 10)
    assert "pip install" not in plan()
    os.utime(bare / "pyproject.toml", (now + 20, now + 20))
    assert f"--editable '.[{extras}]'" in plan()


def test_no_suitable_python_is_said_in_words(bare: Path) -> None:
    (bare / ".venv" / "bin" / "python").unlink()
    refused = make(bare, "lab", "PYTHON=")
    assert refused.returncode == 2
    assert "dqlab needs Python 3.11 or newer" in refused.stdout
    assert "make PYTHON=" in refused.stdout


def test_a_missing_venv_module_is_said_in_words(bare: Path) -> None:
    (bare / ".venv" / "bin" / "python").unlink()
    refused = make(bare, "lab", "PYTHON=false")
    assert refused.returncode == 2
    assert "apt install python3-venv" in refused.stdout


def test_a_python_that_is_named_but_too_old_is_refused_in_words(bare: Path) -> None:
    (bare / ".venv" / "bin" / "python").unlink()
    old = bare / "python3.9"
    old.write_text('#!/bin/sh\ncase "$*" in *version_info*) exit 1;; --version) echo Python 3.9.2;; esac\n')
    old.chmod(0o755)
    refused = make(bare, "lab", f"PYTHON={old}")
    assert refused.returncode == 2
    assert f"dqlab needs Python 3.11 or newer, and {old} is Python 3.9.2" in refused.stdout
    assert not (bare / ".venv" / "bin" / "python").exists()


def test_an_environment_that_was_left_half_made_is_no_environment(bare: Path) -> None:
    """Not when the Python in it is there, but what comes after failed."""
    (bare / ".venv" / "bin" / "python").unlink()
    halfway = bare / "halfway"
    halfway.write_text('#!/bin/sh\ncase "$*" in *"-m venv"*) touch .venv/bin/python; exit 1;; esac\n')
    halfway.chmod(0o755)
    assert make(bare, "lab", "PYTHON=./halfway").returncode == 2
    assert not (bare / ".venv" / "bin" / "python").exists()


@pytest.mark.parametrize(
    ("origin", "anew"),
    [
        ("{0.major} {0.minor} '{1}'", False),
        ("{0.major} {0.minor} '{1}/elsewhere'", True),  # moved or copied
        ("3 10 '{1}'", True),  # upgraded beneath it
    ],
)
def test_an_environment_that_cannot_work_any_more_is_made_anew(bare: Path, origin: str, anew: bool) -> None:
    python = bare / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(sys.executable)
    (bare / ".venv" / ".lab").touch()
    (bare / ".venv" / ".origin").write_text(origin.format(sys.version_info, bare) + "\n")
    assert ("-m venv --clear .venv" in make(bare, "--dry-run", "lab").stdout) == anew


def test_the_python_found_is_new_enough(bare: Path) -> None:
    old = bare / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    new = bare / "python3.12"
    new.symlink_to(sys.executable)
    (bare / ".venv" / "bin" / "python").unlink()
    plan = run("make", "--dry-run", "lab", cwd=bare, env=os.environ | {"PATH": f"{bare}:/usr/bin:/bin"})
    assert "python3.12 -m venv" in plan.stdout
