"""What tasks print, log, warn and write is shown where `ProcessPoolExecutor` shows it, and before their results."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from dqlab import LocalWorkers, Master, TaskFailed, as_completed, connect
from dqlab.wire.printed import TASK_CHARS
from tests.cluster import all_events, cluster, environment, run, script, start
from tests.helpers import eventually

#: what is an error in a test is one in its tasks, too: but for that which they show
pytestmark = pytest.mark.filterwarnings("default:warned:UserWarning")
#: who has printed a line, and what
LINE = re.compile(r"^\[(w\d+) task (\d+)\] (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Master]:
    with cluster(2) as (master, _):
        master.result(master.submit(int).task_id, 30)  # from now on its threads are there
        yield master


def shown(text: str) -> list[str]:
    """What was printed, without who did."""
    return [line for _, _, line in LINE.findall(text)]


def write_in_all_ways():
    import logging
    import warnings

    print("printed")
    logging.warning("logged")
    warnings.warn("warned", stacklevel=1)
    print("to standard error", file=sys.stderr)
    sys.stdout.buffer.write("bytes é\n".encode())
    sys.stdout.flush()
    os.write(1, b"to descriptor 1\n")
    os.write(2, b"to descriptor 2\xe9\n")
    subprocess.run("echo by a program; echo complained >&2", shell=True)
    subprocess.run(["echo", "to stdout"], stdout=sys.stdout)
    print("without an end", end="")


def test_all_that_a_task_writes_is_shown_before_its_result_is_given_out(lasting, capfd):
    future = lasting.submit(write_in_all_ways)
    future.result(30)
    out, err = capfd.readouterr()  # it is there already: nobody waits for it
    assert shown(out) == [
        "printed", "bytes é", "to descriptor 1", "by a program", "to stdout", "without an end",
    ]  # fmt: skip
    for line in ("WARNING:root:logged", "to standard error", "to descriptor 2\N{REPLACEMENT CHARACTER}", "complained"):
        assert line in shown(err)
    assert any("UserWarning: warned" in line for line in shown(err))
    assert {int(task) for _, task, _ in LINE.findall(out + err)} == {future.task_id}
    assert out.endswith("without an end\n") and not LINE.sub("", out + err).strip()


@pytest.mark.parametrize("way", ["map", "as_completed", "exception", "id"])
def test_each_way_to_wait_shows_it_first(lasting, capfd, way):
    def work(x):
        print("task", x)
        return 1 / x

    if way == "map":
        for x, _ in enumerate(lasting.map(work, range(1, 4)), 1):
            assert f"task {x}" in shown(capfd.readouterr().out) or x > 1
    elif way == "as_completed":
        futures = {lasting.submit(work, x): x for x in range(1, 4)}
        seen = ""
        for future in as_completed(futures, 30):
            seen += capfd.readouterr().out
            assert f"task {futures[future]}" in shown(seen)
    elif way == "exception":
        assert isinstance(lasting.submit(work, 0).exception(30), ZeroDivisionError)
        assert shown(capfd.readouterr().out) == ["task 0"]
    else:
        with connect(lasting.connection_file) as other:
            future = other.submit(work, 5)
            future.result(30)
            capfd.readouterr()
            lasting.result(future.task_id, 30)  # another's, which was not shown here
            assert shown(capfd.readouterr().out) == ["task 5"]
            other.result(future.task_id, 30)  # its own, which was
            assert capfd.readouterr().out == ""


def test_no_task_writes_between_the_lines_of_another(lasting, capfd):
    def work(x):
        for _ in range(5):
            print(x, "first")
            os.system(f"echo {x} second")
        return x

    assert list(lasting.map(work, range(16))) == list(range(16))
    lines = shown(capfd.readouterr().out)
    expected = [[f"{x} first", f"{x} second"] * 5 for x in range(16)]
    assert sorted(lines[i : i + 10] for i in range(0, 160, 10)) == sorted(expected)


def test_what_short_tasks_of_one_batch_print_is_each_ones_own(lasting, capfd):
    def work(x):
        if x % 3 == 0:
            print(x, end="" if x % 2 else "\n")
        return x

    first = lasting.submit(int)
    assert list(lasting.map(work, range(3_000), chunksize=3_000)) == list(range(3_000))
    lines = LINE.findall(capfd.readouterr().out)
    assert sorted((int(task) - first.task_id - 1, int(text)) for _, task, text in lines) == [
        (x, x) for x in range(0, 3_000, 3)
    ]


def test_a_flood_is_cut_with_a_note_that_says_how_much(lasting, capfd):
    def flood():
        for _ in range(20_000):
            print("x" * 50)

    lasting.submit(flood).result(60)
    out = capfd.readouterr().out
    assert 0.5 * TASK_CHARS < len(out) < 2 * TASK_CHARS
    note = re.search(r"\.\.\. ([\d,]+) characters more were printed, and dropped", out)
    assert note and int(note[1].replace(",", "")) == 20_000 * 51 - TASK_CHARS


def test_a_flood_past_python_without_a_newline_stays_bounded_too(lasting, capfd):
    lasting.submit(lambda: os.system("head -c 3000000 /dev/zero | tr '\\0' y")).result(60)
    assert TASK_CHARS < len(capfd.readouterr().out) < 2 * TASK_CHARS


def test_the_last_words_of_a_task_that_dies_are_shown(lasting, capfd):
    def die():
        print("begun")
        os.write(2, b"Fatal: out of luck\n")
        os._exit(3)

    with pytest.raises(TaskFailed):
        lasting.options(max_attempts=1).submit(die).result(30)
    out, err = capfd.readouterr()
    assert (shown(out), shown(err)) == (["begun"], ["Fatal: out of luck"])


def test_what_each_attempt_printed_is_shown(lasting, capfd, tmp_path):
    def work():
        print("attempt", len(list(tmp_path.iterdir())))
        (tmp_path / f"{time.monotonic_ns()}").touch()
        if len(list(tmp_path.iterdir())) < 3:
            raise ValueError

    lasting.options(retries=2).submit(work).result(30)
    assert shown(capfd.readouterr().out) == ["attempt 0", "attempt 1", "attempt 2"]


def test_a_progress_bar_is_shown_as_it_ended(lasting, capfd):
    def work():
        for i in range(3):
            sys.stderr.write(f"\r{i} of 2")
        sys.stderr.write("\n")

    lasting.submit(work).result(30)
    assert shown(capfd.readouterr().err) == ["2 of 2"]


def test_a_task_may_redirect_what_it_writes(lasting, capfd, tmp_path):
    def work():
        import contextlib
        import io

        with contextlib.redirect_stdout(io.StringIO()) as out:
            print("into a string")
        saved, file = os.dup(1), os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
        os.dup2(file, 1)
        print("into a file")
        os.dup2(saved, 1)
        for fd in (saved, file):
            os.close(fd)
        print("shown")
        return out.getvalue(), (sys.stdout.encoding, sys.stdout.fileno(), sys.stdout.isatty())

    assert lasting.submit(work).result(30) == ("into a string\n", ("utf-8", 1, False))
    assert (tmp_path / "file").read_text() == "into a file\n"
    assert shown(capfd.readouterr().out) == ["shown"]


def test_what_nobody_waits_for_is_shown_too(lasting, capfd):
    seen = ""

    def is_there():
        nonlocal seen
        seen += capfd.readouterr().out
        return "nobody asked" in seen

    future = lasting.submit(print, "nobody asked")
    eventually(is_there, what="the output of a task that nobody waits for")
    future.result(30)
    assert "nobody asked" not in capfd.readouterr().out


def test_who_waits_for_a_long_task_sees_what_others_print(lasting, capfd, tmp_path):
    def wait():
        while not (tmp_path / "go").exists():
            time.sleep(0.01)

    seen = ""

    def is_there():
        nonlocal seen
        seen += capfd.readouterr().out
        return "meanwhile" in seen

    long = lasting.submit(wait)
    lasting.submit(print, "meanwhile")
    with pytest.raises(TimeoutError):
        while not is_there():
            long.result(0.3)
        raise TimeoutError
    (tmp_path / "go").touch()
    long.result(30)


@pytest.mark.parametrize("how", ["output=False", "DQLAB_OUTPUT"])
def test_it_can_be_switched_off(capfd, monkeypatch, how):
    if how == "DQLAB_OUTPUT":
        monkeypatch.setenv("DQLAB_OUTPUT", "0")
    with Master(**({"output": False} if how == "output=False" else {})) as master:
        LocalWorkers(master, 1)
        master.submit(write_in_all_ways).result(30)
        assert len(list(master.map(print, range(5)))) == 5
        assert "printed\n" in [event["text"] for event in all_events(master, "printed")]
        with connect(master.connection_file, output=True) as loud:
            loud.submit(print, "loud").result(30)
    assert shown("".join(capfd.readouterr())) == ["loud"]


def test_a_script_shows_it_on_the_right_stream_and_at_its_end(tmp_path):
    path = script(tmp_path, """
        import sys
        from dqlab import LocalWorkers, Master
        def work(x):
            print("out", x)
            print("err", x, file=sys.stderr)
        if __name__ == "__main__":
            with Master() as master:
                LocalWorkers(master, 1)
                master.submit(work, 1).result()
                print("main")
                master.submit(work, 2)
        """)  # fmt: skip
    said = run(path)
    assert said.stdout.splitlines() == ["[w1 task 1] out 1", "main", "[w1 task 2] out 2"]
    assert said.stderr.splitlines() == ["[w1 task 1] err 1", "[w1 task 2] err 2"]


def test_an_untrusted_worker_writes_no_escape_sequences(capfd):
    with Master(results="plain") as master:
        LocalWorkers(master, 1)
        master.submit(print, "\x1b[31mred\x07").result(30)
    assert shown(capfd.readouterr().out) == ["\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("n", [1, 2])
def test_a_worker_by_hand_shows_it_in_its_terminal(n, tmp_path):
    with Master(output=False) as master:
        command = ["-m", "dqlab", "worker", str(master.connection_file), "-n", str(n)]
        worker = start(*command, env=environment())
        try:
            master.submit(write_in_all_ways).result(30)
            worker.send_signal(signal.SIGTERM)
            out, err = worker.communicate(timeout=30)
        finally:
            worker.kill()
    assert shown(out)[0] == "printed" and "by a program" in shown(out)
    assert "to standard error" in shown(err) and "complained" in shown(err)


def test_an_interrupt_while_output_is_shown_loses_none(tmp_path):
    path = script(tmp_path, """
        import os, signal, sys, threading, time
        from dqlab import LocalWorkers, Master
        def work(x):
            print("line", x)
            return x
        def interrupt():
            while not done:
                time.sleep(0.003)
                os.kill(os.getpid(), signal.SIGINT)
        def again(call):
            while True:
                try:
                    return call()
                except KeyboardInterrupt:
                    pass
        if __name__ == "__main__":
            done = False
            with Master() as master:
                LocalWorkers(master, 1).wait()
                futures = [master.submit(work, x) for x in range(300)]
                thread = threading.Thread(target=interrupt)
                thread.start()
                try:
                    for x, future in enumerate(futures):
                        assert again(future.result) == x
                finally:
                    while not done:
                        try:
                            done = True
                            thread.join()
                        except KeyboardInterrupt:
                            pass
            sys.stdout.flush()
        """)  # fmt: skip
    said = run(path, timeout=100)
    assert set(shown(said.stdout)) == {f"line {x}" for x in range(300)}, said.stderr[-2000:]


def test_a_broken_screen_changes_no_outcome(lasting, monkeypatch):
    class Broken:
        encoding = "ascii"

        def write(self, text):
            raise OSError("the terminal is gone")

    monkeypatch.setattr(sys, "stdout", Broken())
    assert lasting.submit(lambda: print("x") or 5).result(30) == 5
    monkeypatch.setattr(sys, "stdout", None)
    assert lasting.submit(lambda: print("x") or 6).result(30) == 6
