"""`python -m tests.lessons.frozen NOTEBOOK`: while a cell has a frozen worker, stop it; then kill the kernel."""

import json
import sys
import time
from pathlib import Path

import psutil
from jupyter_client import BlockingKernelClient, KernelManager

from tests.helpers import eventually
from tests.lessons.rerun import a_kernel, execute, until_idle

#: seconds that the end of a stopped cell may take; without regard to the frozen worker it takes one
STOPPED = 5.0


def frozen_below(kernel: psutil.Process) -> set[psutil.Process]:
    """All processes below a kernel, once one of them is frozen."""

    def processes() -> set[psutil.Process]:
        below = set(kernel.children(recursive=True))
        return below if any(process.status() == psutil.STATUS_STOPPED for process in below) else set()

    return eventually(processes, 30, "a frozen process")


def stopped(kernel: KernelManager, client: BlockingKernelClient, cell: str) -> float:
    """Press the stop button when a process is frozen; return the seconds until the kernel is idle."""
    client.execute(cell)
    frozen_below(psutil.Process(kernel.provisioner.pid))
    began = time.monotonic()
    kernel.interrupt_kernel()
    until_idle(client, "")
    return time.monotonic() - began


def main(notebook: Path) -> int:
    """Return 0 if all went well; say what did not."""
    cells = json.loads(notebook.read_text("utf8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    cell = next(source for source in code if "freeze(" in source)
    with a_kernel(notebook.parent) as (kernel, client):
        execute(client, next(source for source in code if "import" in source and "freeze" in source))
        if (seconds := stopped(kernel, client, cell)) > STOPPED:
            print(f"the stop button took {seconds:.1f} s")
            return 1
        client.execute(cell)
        below = frozen_below(psutil.Process(kernel.provisioner.pid))
    eventually(lambda: not any(process.is_running() for process in below), 15, "nothing of a killed kernel is left")
    print("stopped while frozen, killed while frozen")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
