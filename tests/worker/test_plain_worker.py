"""`dqlab worker --handler` at a plain master: what it makes up for, what it says, how it ends."""

import signal
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import eventually, free_port
from tests.plain import ROOT, Hand, Lab, get, hand


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, free_port())
    yield lab
    lab.end()


class Job:
    def __init__(self, number: int) -> None:
        self.number = number


class Unknown:
    """Of a module that the handler's process can't import."""


class Queues:
    """The two queues of the lab's plain master, reached by hand."""

    def __init__(self, by_hand: Hand, lab: Lab) -> None:
        self._hand = by_hand
        self.idents = {}
        for name in ("get_task_queue", "get_result_queue"):
            with hand(lab.address, accept=False) as manager:
                self.idents[name] = get(manager.ask(None, "create", name))[0]

    def put(self, *values: object) -> None:
        for value in values:
            get(self._hand.ask(self.idents["get_task_queue"], "put", value))

    def results(self, count: int) -> list:
        return [get(self._hand.ask(self.idents["get_result_queue"], "get", True, 20)) for _ in range(count)]

    def waiting(self) -> int:
        return get(self._hand.ask(self.idents["get_task_queue"], "qsize"))

    def join(self) -> None:
        get(self._hand.ask(self.idents["get_task_queue"], "join"))


@pytest.fixture
def queues(lab: Lab) -> Iterator[Queues]:
    lab.plain_master()
    with hand(lab.address) as by_hand:
        yield Queues(by_hand, lab)


def crash_once(lab: Lab, how: str) -> str:
    """A handler whose process ends at the first try of the task "bad"."""
    return lab.handler(
        "import os, pathlib, signal\n"
        f"tried = pathlib.Path({str(lab.folder)!r}, 'tried')\n"
        "def handle(x):\n"
        "    if x == 'bad' and not tried.exists():\n"
        "        tried.touch()\n"
        f"        {how}\n"
        "    return x + ' done'\n"
    )


@pytest.mark.parametrize(
    "how", ["os._exit(1)", "os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGSEGV)", "1 / 0"]
)
def test_a_task_whose_process_dies_or_that_raises_is_run_again(lab: Lab, queues: Queues, how: str) -> None:
    queues.put("a", "bad", "c")
    lab.worker("--handler", crash_once(lab, how), "--until-empty").ends()
    assert queues.results(3) == ["a done", "bad done", "c done"]
    queues.join()


def test_a_task_that_always_kills_its_process_is_given_up_after_three_attempts(lab: Lab, queues: Queues) -> None:
    handler = lab.handler(
        "import os\ndef handle(x):\n    print('trying', x)\n    if x == 'bad': os._exit(7)\n    return x + ' done'\n"
    )
    queues.put("bad", "good")
    said = lab.worker("--handler", handler, "--until-empty").ends()
    assert queues.results(1) == ["good done"]
    assert "task 'bad' failed 3 times: the task's process ended with exit code 7" in said
    assert "Traceback" not in said
    queues.join()  # it counts as done: nobody waits for it for ever


def test_a_task_that_always_raises_is_reported_with_what_it_raised(lab: Lab, queues: Queues) -> None:
    handler = lab.handler("def handle(x): raise ValueError('no such thing: ' + x)")
    queues.put("bad" * 100)
    said = lab.worker("--handler", handler, "--until-empty").ends()
    assert "failed 3 times: ValueError: no such thing: bad" in said
    assert "task 'badbad" in said


def test_a_result_that_has_no_pickle_is_an_error_of_its_task(lab: Lab, queues: Queues) -> None:
    queues.put("x")
    said = lab.worker("--handler", lab.handler("def handle(x): return lambda: x"), "--until-empty").ends()
    assert "lambda" in said and "failed 3 times" in said


def test_tasks_and_results_of_any_type_that_both_ends_know(lab: Lab, queues: Queues) -> None:
    """The worker passes their pickles on; an exception, say, is no plain data."""
    queues.put(ValueError("bad page"), array("d", [1.5]))
    lab.worker("--handler", lab.handler("def handle(x): return [x]"), "--until-empty").ends()
    (error,), (numbers,) = queues.results(2)
    assert repr(error) == "ValueError('bad page')" and numbers == array("d", [1.5])


def test_what_the_master_calls_main_is_found_beside_the_handler(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "Job", Job, raising=False)
    monkeypatch.setattr(Job, "__module__", "__main__")
    handler = lab.handler("class Job: pass\ndef handle(job): job.result = job.number ** 2; return job")
    lab.plain_master(**{"tasks = Queue()": "tasks = Queue()\nclass Job: pass"})
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put(Job(3))
        lab.worker("--handler", handler, "--until-empty").ends()
        (job,) = queues.results(1)
    assert type(job) is Job and job.result == 9


def test_the_first_task_that_cannot_be_read_stops_the_worker(lab: Lab) -> None:
    """Those behind it are for others, who perhaps can."""
    lab.plain_master(**{"tasks = Queue()": f"import sys; sys.path.insert(0, {str(ROOT)!r}); tasks = Queue()"})
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put("a", Unknown(), "c")
        handler = lab.handler(f"import sys\nsys.modules[{Unknown.__module__!r}] = None\ndef handle(x): return x")
        said = lab.worker("--handler", handler).ends(1)
        assert "a task can't be read: ModuleNotFoundError" in said and "handler's module" in said
        assert queues.results(1) == ["a"] and queues.waiting() == 1


@pytest.mark.parametrize("pill", [None, "STOP", 0, ("stop", b"x")])
def test_a_stop_sign_sends_it_home(lab: Lab, queues: Queues, pill: object) -> None:
    queues.put("a", pill, "c")
    named = () if pill is None else ("--pill", "STOP" if pill == "STOP" else repr(pill), "--pill", "-1")
    said = lab.worker("--handler", lab.handler("def handle(x): return x + ' done'"), *named).ends(0)
    assert queues.results(1) == ["a done"] and queues.waiting() == 1
    assert "failed" not in said


def test_system_exit_in_the_handler_ends_it(lab: Lab, queues: Queues) -> None:
    queues.put("a", "bad", "c")
    handler = lab.handler("import sys\ndef handle(x):\n    if x == 'bad': sys.exit('enough')\n    return x")
    said = lab.worker("--handler", handler).ends(0)
    assert "enough" in said and queues.results(1) == ["a"] and queues.waiting() == 1


def handler_that_waits(lab: Lab) -> str:
    """A handler that returns its value once there is a file `go` in the lab's folder."""
    return lab.handler(
        "import pathlib, time\n"
        "def handle(x):\n"
        f"    while not pathlib.Path({str(lab.folder)!r}, 'go').exists(): time.sleep(0.01)\n"
        "    return x\n"
    )


def test_it_takes_one_task_at_a_time(lab: Lab, queues: Queues) -> None:
    queues.put(*"abc")
    worker = lab.worker("--handler", handler_that_waits(lab))
    eventually(lambda: queues.waiting() == 2)
    worker.popen.send_signal(signal.SIGTERM)  # after the task in hand: a signal that comes in mid-task loses nothing
    (lab.folder / "go").touch()
    worker.ends(0)
    assert queues.results(1) == ["a"] and queues.waiting() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_it_has_nothing_to_do(lab: Lab, queues: Queues, number: int) -> None:
    worker = lab.worker("--handler", lab.handler("def handle(x): return x"))
    queues.put(1)
    assert queues.results(1) == [1]
    worker.popen.send_signal(number)
    assert "Traceback" not in worker.ends(0, timeout=10)
    queues.put(2)
    assert queues.waiting() == 1


def test_without_until_empty_it_waits_for_more(lab: Lab, queues: Queues) -> None:
    worker = lab.worker("--handler", lab.handler("def handle(x): return -x"))
    for i in (1, 2):
        queues.put(i)
        assert queues.results(1) == [-i]
    assert worker.popen.poll() is None


def test_it_does_not_ask_empty(lab: Lab) -> None:
    """What `empty()` says may be wrong by the time that it is read."""
    lab.plain_master(**{"tasks = Queue()": "tasks = Queue(); del Queue.empty; print(vars(Queue))"})
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put(1)
        lab.worker("--handler", lab.handler("def handle(x): return x"), "--until-empty").ends()
        assert queues.results(1) == [1]


def test_a_full_result_queue_is_waited_for(lab: Lab) -> None:
    lab.plain_master(**{"results = Queue()": "results = Queue(1)"})
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put(*range(4))
        worker = lab.worker("--handler", lab.handler("def handle(x): return x"), "--until-empty")
        eventually(lambda: queues.waiting() == 2)  # one result is in the queue, one waits in the worker
        assert queues.results(4) == [0, 1, 2, 3]
        worker.ends()


def test_other_names_for_the_queues(lab: Lab) -> None:
    lab.plain_master(get_task_queue="todo", get_result_queue="finished")
    handler = lab.handler("def handle(x): return x")
    said = lab.worker("--handler", handler).ends(2)
    assert "has no 'get_task_queue'" in said and "--task-name" in said and "Traceback" not in said
    said = lab.worker("--handler", handler, "--task-name", "todo").ends(2)
    assert "has no 'get_result_queue'" in said and "--result-name" in said
    lab.worker("--handler", handler, "--task-name", "todo", "--result-name", "finished", "--until-empty").ends(0)


def test_a_plain_master_needs_a_handler(lab: Lab, queues: Queues) -> None:
    said = lab.worker().ends(2)
    assert said.splitlines()[0].endswith("is a plain BaseManager: its tasks need a handler")
    assert "--handler module:function" in said and len(said.splitlines()) == 2


def test_the_wrong_key(lab: Lab, queues: Queues) -> None:
    lab.keyfile.write_text("another")
    said = lab.worker("--handler", lab.handler("def handle(x): return x")).ends(1)
    assert "has another key" in said and "Traceback" not in said


def test_status_of_a_plain_master_is_a_clear_error(lab: Lab, queues: Queues) -> None:
    said = lab.dqlab("status", f"127.0.0.1:{lab.port}", "--authkey-file", lab.keyfile).ends(1)
    assert "plain BaseManager" in said and "Traceback" not in said


def test_a_handler_that_does_not_load_takes_no_task(lab: Lab, queues: Queues) -> None:
    queues.put(1)
    said = lab.worker("--handler", lab.handler("def other(x): return x")).ends(2)
    assert "handler" in said and queues.waiting() == 1


def test_the_key_is_on_no_command_line(lab: Lab, queues: Queues) -> None:
    lab.worker("--handler", lab.handler("def handle(x): return x"), "-n", "2")
    queues.put(1, 2)
    assert sorted(queues.results(2)) == [1, 2]

    def started() -> list[psutil.Process]:
        processes = psutil.Process().children(recursive=True)
        return processes if len(processes) >= 6 else []  # master, supervisor, two workers with a child each

    for process in eventually(started):
        if "server.py" not in " ".join(process.cmdline()):
            assert all(b"abc" not in word.encode() and "YWJj" not in word for word in process.cmdline())


# -- the master goes away ----------------------------------------------------------------------------------------------


def test_the_end_of_the_master_ends_it_with_one_line(lab: Lab) -> None:
    master = lab.plain_master()
    worker = lab.worker("--handler", lab.handler("def handle(x): return x"), "--give-up", "1")
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put(1, 2)
        assert queues.results(2) == [1, 2]
    master.kill()
    said = worker.ends(0, timeout=20)
    assert f"the plain master at 127.0.0.1:{lab.port} is gone; 2 tasks done\n" in said
    assert len(said.splitlines()) == 2  # this, and that it had joined


def test_a_master_that_is_started_again_gets_the_result_of_the_task_in_hand(lab: Lab) -> None:
    master = lab.plain_master()
    worker = lab.worker("--handler", handler_that_waits(lab))
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put("one")
        eventually(lambda: queues.waiting() == 0)
    master.kill()
    lab.plain_master()
    (lab.folder / "go").touch()
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put("two")
        assert queues.results(2) == ["one", "two"]
    assert worker.popen.poll() is None


def test_a_killed_worker_leaves_no_process(lab: Lab, queues: Queues) -> None:
    worker = lab.worker("--handler", lab.handler("import time\ndef handle(x): time.sleep(1000)"))
    queues.put(1)
    eventually(lambda: queues.waiting() == 0)
    children = psutil.Process(worker.popen.pid).children()
    assert children
    worker.kill()
    eventually(lambda: not any(child.is_running() for child in children), 5)


def test_a_master_that_comes_later(lab: Lab) -> None:
    worker = lab.worker("--handler", lab.handler("def handle(x): return x * 2"))
    lab.plain_master()
    with hand(lab.address) as by_hand:
        queues = Queues(by_hand, lab)
        queues.put(21)
        assert queues.results(1) == [42]
    assert worker.popen.poll() is None
