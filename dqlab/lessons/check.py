"""The exercises' checkers: each tries an answer and says what is wrong with it, not just that something is.

An answer may be empty, crash, hang or lie: the checker ends all the same, and leaves nothing running.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dqlab import LocalWorkers, Master, TaskFailed, TaskTimeout
from dqlab.lessons.scripts import Script
from dqlab.lessons.tap import Tap, said

__all__ = ["NotYet", "checker", "idempotent", "pieces", "raw_client", "worker_that_stays", "workers_needed"]

#: characters of a printed line: JupyterLab shows no more in a window of 1280 pixels
COLUMNS = 105
#: the key of the plain scripts
PLAIN_KEY = b"abc"


class NotYet(Exception):
    """The answer isn't right; the message says why."""


def checker(check: Callable[..., str]) -> Callable[..., None]:
    """Make a function that returns praise, or raises `NotYet`, into one that prints its verdict."""

    @functools.wraps(check)
    def told(*args: Any, **kwargs: Any) -> None:
        try:
            verdict = f"Yes: {check(*args, **kwargs)}"
        except NotYet as why:
            verdict = f"Not yet: {why}"
        print(textwrap.fill(verdict, COLUMNS))

    return told


# -- lesson 00: a worker that leaves too early ------------------------------------------------------------------------

#: seconds between the end of page 1's pictures and page 2
PAGE_PAUSE = 1.5
#: seconds that two workers may take for the pictures of a page, and to end after the last
PAGE_PATIENCE, LEAVE_PATIENCE = 15.0, 12.0


@checker
def worker_that_stays(path: str = "my_worker.py", *, patience: float = PAGE_PATIENCE) -> str:
    """Run two workers from the script ``path`` against a producer whose second page comes late."""
    if not Path(path).exists():
        raise NotYet(f"there is no {path} here; run the cell above, which writes it")
    pages = [[f"url_{i}" for i in range(first, first + 3)] for first in (0, 3)]
    with Master(authkey=PLAIN_KEY) as master, ExitStack() as stack:
        master.tasks.put_many(pages[0])
        port = master.connection.port
        workers = [stack.enter_context(Script(path, port, name=f"worker {letter}")) for letter in "AB"]
        results = _page(master, workers, pages[0], patience)
        deadline = time.monotonic() + PAGE_PAUSE
        while time.monotonic() < deadline and all(worker.running for worker in workers):
            time.sleep(0.01)
        _nobody_crashed(workers)
        # One that left is enough: the other may have been caught in `get` only because somebody was quicker than it.
        if not all(worker.running for worker in workers):
            raise NotYet(
                "page 1 was done (3 of 3 urls), a worker went home, and page 2 came 1.5 s later. What ended its loop? "
                "An empty queue is not the end of the work: wait a while in task.get, and leave when it raises "
                "queue.Empty."
            )
        master.tasks.put_many(pages[1])
        results += _page(master, workers, pages[1], patience)
        _each_once(results, pages[0] + pages[1])
        _all_leave(workers)
    return "6 of 6 urls, each once, though page 2 came late; then both workers went home."


def _page(master: Master, workers: list[Script], urls: list[str], patience: float) -> list[str]:
    """The results of one page."""
    results: list[str] = []
    deadline = time.monotonic() + patience
    while len(results) < len(urls):
        try:
            results.append(str(master.results.get(timeout=0.05)))
        except Exception:
            ended = not any(worker.running for worker in workers)  # asked first: whoever has ended may have crashed
            _nobody_crashed(workers)
            if ended and master.results.empty():
                held = f"{len(results)} of {len(urls)} results of this page ({urls[0]} to {urls[-1]}) came"
                raise NotYet(f"both workers ended, and {held}. Does each url that is taken get a result?") from None
        if time.monotonic() > deadline:
            raise NotYet(
                f"after {patience:g} s there are {len(results)} of {len(urls)} results of this page; the workers still "
                "run. Do they take tasks, and put a result for each?"
            )
    return results


def _nobody_crashed(workers: list[Script]) -> None:
    for worker in workers:
        if not worker.running and worker.wait(1.0) and worker.error:
            raise NotYet(f"{worker.name} crashed: {worker.error}")


def _each_once(results: list[str], urls: list[str]) -> None:
    count = Counter(result.split(" ")[0] for result in results)
    for url in urls:
        if count[url] != 1:
            everything = ", ".join(sorted(results))
            raise NotYet(f"{url} has {count[url]} results, and should have 1. All of them: {everything}")
    odd = [result for result in results if "success" not in result]
    if odd:
        raise NotYet(f"a result should read 'url_0 ------> success'; one of yours reads {odd[0]!r}")


def _all_leave(workers: list[Script]) -> None:
    deadline = time.monotonic() + LEAVE_PATIENCE
    for worker in workers:
        if not worker.wait(max(0.0, deadline - time.monotonic())):
            raise NotYet(
                f"all 6 results are here, but {worker.name} still runs {LEAVE_PATIENCE:g} s after the last of them. "
                "When does it go home? A timeout= of about 5 s is patient enough."
            )
    _nobody_crashed(workers)


# -- lesson 01: a client from raw messages ----------------------------------------------------------------------------

#: seconds that an answer given as a function may run
FUNCTION_PATIENCE = 8.0


@checker
def raw_client(answer: Callable[[tuple[str, int], bytes], Any], round_trips: Any = ...) -> str:
    """Let ``answer(address, key)`` take one task and give its result, and count its round trips."""
    _is_function(answer)
    with Master(authkey=PLAIN_KEY) as master, Tap(master.connection.port) as tap:
        master.tasks.put("url_7")
        with LocalWorkers(master, 1, queues="default") as workers:
            workers.wait()
            trouble = _run(master, answer, ("127.0.0.1", tap.port), PLAIN_KEY)
        tap.mark("answer")
        messages = [message for message in tap.sections["answer"] if not message.in_handshake]
        for message in messages:
            if message.direction == "<-" and (reply := said(message.data))[0] == "#TRACEBACK":
                if "Ellipsis" in reply[1]:
                    raise NotYet("one of your messages still has dots (...) in it.")
                raise NotYet(f"the master answered one of your messages with: {reply[1]}")
        if trouble:
            raise NotYet(trouble)
        if master.stats()["queues"]["plain"]["done"] == 0:
            raise NotYet("your client came and went, and url_7 is still not done. Which message takes a task?")
        result = master.results.get_nowait() if not master.results.empty() else None
    if result != "url_7 ------> success":
        raise NotYet(f"the result queue should hold 'url_7 ------> success', and it holds {result!r}")
    asked = sum(message.direction == "->" for message in messages)
    if round_trips != asked:
        said_so = "you have not said how many" if round_trips is ... else f"you said {round_trips}"
        raise NotYet(f"the task is done, with {asked} round trips after the handshake; {said_so}. Which are they?")
    return f"url_7 is done, with {asked} round trips after the handshake, as you said."


def _is_function(answer: object) -> None:
    if not callable(answer):
        raise NotYet(f"the answer should be a function, and it is {answer!r}. Run the cell that defines it.")


def _run(master: Master, answer: Callable[..., Any], *args: Any) -> str:
    """Run an answer on a worker, where it can crash or hang without harm; return what went wrong, if anything."""
    return _outcome(master.options(timeout=FUNCTION_PATIENCE, max_attempts=1).submit(answer, *args), FUNCTION_PATIENCE)


def _outcome(future: Any, patience: float) -> str:
    """What went wrong with an answer that may run ``patience`` seconds, if anything."""
    try:
        future.result(timeout=2 * patience + 5)
    except TaskTimeout:
        return f"it still ran after {patience:g} s. Does it wait for something that never comes?"
    except TaskFailed as failed:
        return f"the process in which it ran ended: {failed.reason}"
    except Exception as error:
        return f"it raised {type(error).__name__}: {error}"
    return ""


# -- lesson 02: a handler that may run twice --------------------------------------------------------------------------

#: how often the process that runs the answer is killed, and within how many seconds of its start
KILLS, KILL_WITHIN = 20, 0.12
#: the pictures: how many, and seconds after which a worker that saves nothing is given up
PICTURES, SAVE_PATIENCE = 6, 10.0
#: a picture comes in so many pieces, of so many bytes, with so many seconds before each
PIECES, PIECE_BYTES, PIECE_SECONDS = 8, 4096, 0.008


def pieces(name: str) -> Iterator[bytes]:
    """The picture of that name as it comes from the network: piece by piece."""
    for number in range(PIECES):
        time.sleep(PIECE_SECONDS)
        yield f"{name} piece {number} ".encode().ljust(PIECE_BYTES, b".")


def whole(name: str) -> bytes:
    """All pieces of a picture."""
    return b"".join(f"{name} piece {number} ".encode().ljust(PIECE_BYTES, b".") for number in range(PIECES))


@checker
def idempotent(answer: Callable[[str, str], Any], *, kills: int = KILLS) -> str:
    """Let ``answer(name, folder)`` save pictures, and kill its process at random instants while it does."""
    _is_function(answer)
    names = [f"{number}.png" for number in range(PICTURES)]
    with tempfile.TemporaryDirectory(prefix="dqlab-check-") as parent, Master() as master:
        folder, note = Path(parent, "pictures"), Path(parent, "process")
        folder.mkdir()
        LocalWorkers(master, 1).wait()
        client = master.options(max_attempts=4, timeout=SAVE_PATIENCE)  # a kill, and three that are its own
        killed = 0
        for number in range(5 * kills):
            if killed == kills:
                break
            name = names[number % PICTURES]
            future = client.submit(_save, answer, name, str(folder), str(note))
            killed += _kill_soon(note, future)
            _only_whole(folder, names, f"after kill {killed}")
            _saved(future, folder, name)
        for name in names:
            _saved(client.submit(_save, answer, name, str(folder), str(note)), folder, name)
        _only_whole(folder, names, "at the end")
        left = sorted(path.name for path in folder.iterdir() if path.name not in names)
        if left:
            raise NotYet(
                f"all pictures are there, and so are {len(left)} other files, such as {left[0]!r}. Let the temporary "
                "file's name come from the picture's, so that the next try writes over it."
            )
    return f"killed {killed} times; {PICTURES} of {PICTURES} pictures, each whole, and nothing else in the folder."


def _save(answer: Callable[[str, str], Any], name: str, folder: str, note: str) -> None:
    """In the worker: say which process this is, then let the answer work."""
    Path(note + ".new").write_text(str(os.getpid()))
    os.replace(note + ".new", note)
    answer(name, folder)
    Path(note).unlink(missing_ok=True)


def _kill_soon(note: Path, future: Any) -> bool:
    """Wait until the answer runs, and a random instant longer; kill the process it runs in, if it still does."""
    deadline = time.monotonic() + SAVE_PATIENCE
    while not note.exists() and not future.done() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(random.uniform(0, KILL_WITHIN))
    with contextlib.suppress(OSError, ValueError):  # it was quicker than the kill
        pid = int(note.read_text())
        note.unlink()
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        return True
    return False


def _only_whole(folder: Path, names: list[str], when: str) -> None:
    for name in names:
        if (folder / name).exists() and (size := len(data := (folder / name).read_bytes())) != len(whole(name)):
            problem = "half of it is there, under its real name" if size < len(whole(name)) else "it is too long"
            raise NotYet(
                f"{when}, {name} has {size} of {len(whole(name))} bytes: {problem}. Write to another name, from the "
                "beginning, and give the file its name (os.replace) when it is whole."
            )
        elif (folder / name).exists() and data != whole(name):
            raise NotYet(f"{when}, {name} has the right size but not the right bytes. Are the pieces in order?")


def _saved(future: Any, folder: Path, name: str) -> None:
    """The answer came to its end, and the picture is there."""
    if trouble := _outcome(future, SAVE_PATIENCE):
        raise NotYet(f"when it saved {name}, {trouble}")
    if not (folder / name).exists():
        raise NotYet(f"your function came to its end, and there is no {name} in the folder.")


# -- lesson 03: Little's law ------------------------------------------------------------------------------------------

#: pictures a second that are asked for, seconds that one takes, and the share of the law that a real machine reaches
WANTED, SECONDS_EACH, REACHED = 60, 0.2, 0.75


@checker
def workers_needed(answer: Any) -> str:
    """Compare with Little's law, then run so many workers and measure."""
    if answer is ...:
        raise NotYet("write your number of workers instead of the dots.")
    if not isinstance(answer, int) or isinstance(answer, bool) or answer < 1:
        raise NotYet(f"{answer!r} is no number of workers.")
    most = answer / SECONDS_EACH
    if most < WANTED:
        each = f"one worker does {1 / SECONDS_EACH:g} pictures/s, as each takes {SECONDS_EACH * 1000:g} ms"
        raise NotYet(f"{answer} workers do at most {most:g} pictures/s, and {WANTED} are wanted ({each}).")
    if most > 1.5 * WANTED:
        raise NotYet(f"{answer} workers could do {most:g} pictures/s; with {WANTED} wanted, many of them would idle.")
    with Master() as master:
        LocalWorkers(master, answer).wait(timeout=60)
        list(master.map(time.sleep, [0.01] * 4 * answer, timeout=60))  # everybody has begun
        began = time.monotonic()
        list(master.map(time.sleep, [SECONDS_EACH] * 10 * answer, timeout=60))
        rate = 10 * answer / (time.monotonic() - began)
    if rate < REACHED * WANTED:
        raise NotYet(f"the law says {most:g} pictures/s, and only {rate:.0f} pictures/s came. Is this machine busy?")
    return f"{answer} workers / {SECONDS_EACH:g} s = {most:g} pictures/s, and so it was (within a quarter)."
