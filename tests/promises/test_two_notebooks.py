"""Two notebooks with one master: nothing of one is the other's."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager

from dqlab import LocalWorkers, Master
from tests.cluster import ROOT

#: seconds that a cell may take
CELL = 60

#: what both notebooks begin with
FIRST_CELL = """
import helper, json, time
from dqlab import connect
client = connect({file!r})
def lazily():
    import late
    return late.NAME
def threads():
    import os
    return os.environ.get("OMP_NUM_THREADS")
def shout(x):
    time.sleep(0.2)
    print(helper.NAME, x)
    return x
def slow(x):
    time.sleep(0.2)
    return [helper.NAME, x]
"""


class Notebook:
    """A real kernel, in a folder of its own in which a `helper.py` and a `late.py` lie."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        (folder / "helper.py").write_text(f"NAME = {folder.name!r}\ndef name():\n    return NAME\n")
        (folder / "late.py").write_text(f"NAME = 'late {folder.name}'\n")
        self._kernel = KernelManager()
        self._kernel.start_kernel(cwd=str(folder), env={**os.environ, "PYTHONPATH": str(ROOT), **environment})
        self._client: BlockingKernelClient = self._kernel.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=CELL)

    def run(self, code: str) -> str:
        """Run a cell; what is seen below it."""
        seen: list[str] = []

        def see(message: dict[str, Any]) -> None:
            seen.append(message["content"].get("text", ""))

        reply = self._client.execute_interactive(code, timeout=CELL, output_hook=see)["content"]
        assert reply["status"] == "ok", reply
        return "".join(seen)

    def value(self, expression: str) -> Any:
        """The value of an expression, which is plain data."""
        return json.loads(self.run(f"print(json.dumps({expression}))"))

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._kernel.shutdown_kernel(now=True)


@pytest.fixture
def notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Notebook, Notebook]]:
    """Two notebooks that are connected to one master with one worker; only its owner has set the number of threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with Master() as master, contextlib.ExitStack() as kernels:
        LocalWorkers(master, 1).wait()
        both = []
        for name, threads in (("one", "5"), ("two", "7")):
            notebook = Notebook(tmp_path / name, {"OMP_NUM_THREADS": threads})
            kernels.callback(notebook.close)
            notebook.run(FIRST_CELL.format(file=str(master.connection_file)))
            both.append(notebook)
        yield both[0], both[1]


def test_nothing_of_one_is_the_others(notebooks: tuple[Notebook, Notebook]) -> None:
    one, two = notebooks
    for _ in range(2):  # the helper module and the search path, in turns, on one worker
        for notebook, name in ((one, "one"), (two, "two")):
            assert notebook.value("client.submit(helper.name).result(30)") == name
            assert notebook.value("client.submit(lazily).result(30)") == f"late {name}"
    one.run("helper.NAME = 'ONE'")
    assert one.value("client.submit(helper.name).result(30)") == "ONE"
    assert two.value("client.submit(helper.name).result(30)") == "two"
    # The number of threads is whose the workers are.
    assert one.value("client.submit(threads).result(30)") == two.value("client.submit(threads).result(30)") == "3"
    # Results and cancelling: one gives up what the other waits for as well.
    for notebook in notebooks:
        notebook.run("futures = [client.submit(slow, x) for x in range(8)]; client.flush(30)")
    one.run("cancelled = [future.cancel() for future in futures[4:]]")
    assert two.value("[future.result(30) for future in futures]") == [["two", x] for x in range(8)]
    assert one.value("[future.result(30) for future in futures[:4]]") == [["ONE", x] for x in range(4)]
    assert one.value("cancelled == [future.cancelled() for future in futures[4:]] and any(cancelled)")
    # What tasks print is seen below the cell that waits for them, in the notebook that submitted them.
    submit = "loud = [client.submit(shout, x) for x in range(3)]; client.flush(30)"
    one.run(submit)
    lines = two.run(f"{submit}; print([future.result(30) for future in loud])").splitlines()
    assert [line.partition("] ")[2] for line in lines[:-1]] == ["two 0", "two 1", "two 2"]
    assert lines[-1] == "[0, 1, 2]"
    one.run("assert [future.result(30) for future in loud] == [0, 1, 2]")
    assert one.run("print(client.submit(shout, 3).result(30))").partition("] ")[2] == "ONE 3\n3\n"
    # The end of one is not the other's.
    one.run("client.shutdown()")
    assert two.value("list(client.map(slow, range(3)))") == [["two", x] for x in range(3)]
