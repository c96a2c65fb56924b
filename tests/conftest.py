"""Every test runs in folders of its own and leaves nothing behind: no process, thread, port or file."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from dqlab import Client, LocalWorkers, Master, connect
from tests.cluster import cluster
from tests.helpers import MARK, command_lines, eventually, kill, marked_processes, nothing_left

hypothesis.settings.register_profile("dqlab", deadline=None, print_blob=True)
hypothesis.settings.load_profile("dqlab")

#: Where Jupyter and IPython keep a user's settings and running kernels: tests neither read nor write there.
USER_FOLDERS = ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")

#: Set for a whole run; what fixtures of several tests and notebooks start is known by it.
RUN = uuid.uuid4().hex


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a test its own temporary, runtime and settings folders; afterwards look for what it has left."""
    folder = tmp_path_factory.mktemp("own")
    temporary = folder / "tmp"
    temporary.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(temporary))
    for name in USER_FOLDERS:
        monkeypatch.setenv(name, str(folder / name.lower()))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv(MARK, mark := uuid.uuid4().hex)
    with nothing_left(mark, temporary):
        yield folder


def pytest_configure(config: pytest.Config) -> None:
    """Keep fixtures of several tests, and the kernels that nbval starts, out of the user's folders too.

    A run that a script has started in the background (`make test &`) hasn't Ctrl-C, and nor would the processes have
    that the tests interrupt: they would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[folder_key] = folder = Path(tempfile.mkdtemp(prefix="dqlab-tests-"))
    for name in USER_FOLDERS:
        os.environ[name] = str(folder / name.lower())
    os.environ[MARK] = RUN


folder_key = pytest.StashKey[Path]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when something started in it outlives it."""
    try:
        eventually(lambda: not marked_processes(RUN), timeout=5)
    except AssertionError:
        left = marked_processes(RUN)
        session.config.stash[left_key] = command_lines(left)
        kill(left)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


left_key = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what outlived the run."""
    for line in config.stash.get(left_key, []):
        terminalreporter.write_line(f"ERROR left behind by the run: {line}", red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's own folders."""
    shutil.rmtree(config.stash[folder_key], ignore_errors=True)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Master, LocalWorkers]]:
    """A master and two workers that the tests of one file share."""
    with cluster(2) as (master, workers):
        yield master, workers


@pytest.fixture
def client(shared: tuple[Master, LocalWorkers]) -> Iterator[Client]:
    """A client of the shared master."""
    with connect(shared[0].connection_file) as client:
        yield client
