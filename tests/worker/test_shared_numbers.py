"""The numbers that a worker and its child share."""

from __future__ import annotations

import os
import subprocess
import sys

from dqlab.worker.shared_numbers import BEGUN, LIMIT, STARTED, SharedNumbers


def test_both_ends_see_the_same_numbers():
    ours = SharedNumbers.create("dqlab-test-both")
    theirs = SharedNumbers(ours.memory, ours.handle, None)
    ours.numbers[LIMIT] = 2**40
    theirs.numbers[BEGUN] = -1
    assert (ours.numbers[BEGUN], theirs.numbers[LIMIT], ours.numbers[STARTED]) == (-1, 2**40, 0)
    theirs.numbers.release()
    ours.close()


def test_another_process_opens_it_by_its_handle():
    ours = SharedNumbers.create("dqlab-test-other")
    ours.numbers[LIMIT] = 17
    code = (
        "import sys; from dqlab.worker.shared_numbers import *\n"
        "cursor = SharedNumbers.open(sys.argv[1]); cursor.numbers[BEGUN] = cursor.numbers[LIMIT] + 1; cursor.close()"
    )
    fds = [ours.fd] if ours.fd is not None else []
    subprocess.run([sys.executable, "-c", code, ours.handle], pass_fds=fds, check=True, timeout=30)
    assert ours.numbers[BEGUN] == 18
    ours.close()


def test_closing_gives_the_descriptor_back_and_leaves_no_file(own_folders):
    cursor = SharedNumbers.create("dqlab-test-close")
    assert not list((own_folders / "tmp").iterdir())
    fd = cursor.fd
    cursor.close()
    if fd is not None:
        try:
            os.fstat(fd)
        except OSError:
            return
        raise AssertionError("the descriptor is still open")
