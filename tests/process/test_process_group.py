"""A process and all that it starts end together, whoever is killed."""

import os
import signal

import psutil
import pytest

from dqlab.process.process_group import ProcessGroup
from tests.cluster import gone, script, start
from tests.helpers import eventually

#: leads a group: says the pids of a subprocess that ignores what can be ignored, and of what has left the group
LEADER = """
    import os, signal, subprocess, sys
    from dqlab.process.process_group import leave_guard

    def main():
        leave_guard()
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child", flush=True)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        print(subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
        sys.stdin.readline()
        os._exit(7)
"""

OWNER = """
    import sys, time
    from dqlab.process.process_group import ProcessGroup

    group = ProcessGroup("leader", pass_fds=[])
    group.stdout.readline()
    print(group.pid, group.stdout.readline().decode(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def escaped():
    """Pids of processes that left the group on purpose; they are ended here."""
    pids = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def leader(tmp_path, monkeypatch):
    """The folder of a module `leader`, which Python finds."""
    script(tmp_path, LEADER, "leader.py")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


@pytest.fixture
def group(leader, escaped):
    """A group with a leader, and the pid of a process that the leader has started."""
    group = ProcessGroup("leader", pass_fds=[])
    assert group.stdout.readline() == b"no child\n"  # tasks don't meet the guard
    started, away = map(int, group.stdout.readline().split())
    escaped.append(away)
    yield group, started
    group.end()
    group.stdout.close()


def test_a_kill_ends_all_of_it_also_what_is_stopped(group):
    group, started = group
    os.kill(started, signal.SIGSTOP)
    group.kill()
    eventually(lambda: gone(started), 5)
    assert group.wait(5) == -signal.SIGKILL


def test_the_end_of_the_leader_keeps_its_exit_code_and_the_end_of_the_group_ends_the_rest(group):
    group, started = group
    group.stdin.write(b"end\n")
    group.stdin.flush()
    assert group.wait(10) == 7
    assert not gone(started)
    assert group.end() == 7
    eventually(lambda: gone(started), 5)


def test_who_has_left_the_group_gets_away(group, escaped):
    group, started = group
    group.end()
    eventually(lambda: gone(started), 5)
    assert not gone(escaped[0])


@pytest.mark.parametrize("frozen", [False, True])
def test_when_the_owner_is_killed_the_group_ends(leader, escaped, frozen):
    owner = start(script(leader, OWNER, "owner.py"), env={**os.environ, "PYTHONPATH": os.environ["PYTHONPATH"]})
    try:
        pid, started, away = map(int, owner.stdout.readline().split())
        escaped.append(away)
        if frozen:
            for number in (pid, started):
                os.kill(number, signal.SIGSTOP)
                eventually(lambda: psutil.Process(number).status() == psutil.STATUS_STOPPED)
        owner.kill()
        owner.wait(5)
        eventually(lambda: gone(started), 5, "the guard's work")
        if frozen:
            os.kill(pid, signal.SIGKILL)  # this leader hasn't asked to die with its parent; the guard has killed it
    except ProcessLookupError:
        pass
    finally:
        owner.kill()
        os.kill(escaped.pop(), signal.SIGKILL)  # it holds the owner's standard error open
        owner.communicate()
