"""The threads that fetch when a crawl has no workers: futures as everywhere, and nobody waits for them at the end."""

import subprocess
import sys
import time

import pytest

from dqlab.crawl.threads import Threads


def test_results_and_errors_come_as_futures_bring_them():
    threads = Threads()
    assert threads.submit(divmod, 7, 2).result(timeout=10) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(timeout=10)


def test_a_process_ends_without_what_still_waits():
    program = "import threading; from dqlab.crawl.threads import Threads; Threads().submit(threading.Event().wait, 60)"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
    assert time.monotonic() - began < 50
