"""Lesson 02: a function that saves a picture, and may be killed or run twice at any instant.

A `FileWatch` looks at the picture after each step of the function, in its own process: nothing depends on luck.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dqlab.lessons.check.answer import Answer
from dqlab.lessons.check.file_watch import FileWatch
from dqlab.lessons.check.verdict import NotYet, a_function, checker
from dqlab.lessons.guard import guard

__all__ = ["idempotent", "pieces"]

#: how often the process that runs the answer is killed
KILLS = 20
#: the pictures: how many, and seconds after which a function that saves one is given up
PICTURES, PATIENCE = 6, 10.0
#: a picture comes in so many pieces, of so many bytes, with so many seconds before each
PIECES, PIECE_BYTES, PIECE_SECONDS = 8, 4096, 0.008
#: seconds that a half saved picture waits, at most, until another is saved
HELD = 5.0
#: what a mended answer does
REMEDY = "Write to another name, from the beginning, and give the file its name (os.replace) when it is whole."
#: and one that takes its file from another folder
FAR = (
    "Its file came from another folder, and here that is on another disk: shutil.move copies it, then. Where must the "
    "other name be, so that os.replace can do it?"
)
#: in the process of an answer: called between two pieces
_between: list[Callable[[int], None]] = []


def pieces(name: str) -> Iterator[bytes]:
    """The picture of that name as it comes from the network: piece by piece."""
    for number in range(PIECES):
        time.sleep(PIECE_SECONDS)
        for pause in _between:
            pause(number)
        yield f"{name} piece {number} ".encode().ljust(PIECE_BYTES, b".")


def whole(name: str) -> bytes:
    """All pieces of a picture."""
    return b"".join(f"{name} piece {number} ".encode().ljust(PIECE_BYTES, b".") for number in range(PIECES))


@checker
def idempotent(answer: Callable[[str, str], Any], *, kills: int = KILLS) -> str:
    """Let `answer(name, folder)` save pictures: watched, killed at `kills` instants, run again, two at a time."""
    a_function(answer)
    names = [f"{number}.png" for number in range(PICTURES)]
    with tempfile.TemporaryDirectory(prefix="dqlab-check-") as parent:
        guard.note("/", parent)
        try:
            folder, other = Path(parent, "pictures"), Path(parent, "two at a time")
            folder.mkdir()
            other.mkdir()
            steps = _watch(answer, names[0], folder)
            killed = 0
            for number in range(kills):
                killed += _kill(answer, names[number % PICTURES], folder, at=1 + steps * number // kills)
                _only_whole(folder, names, f"after kill {number + 1}")
            for name in names:
                _save(answer, name, folder)
            _only_whole(folder, names, "at the end")
            _again(answer, names[0], folder)
            _two_at_a_time(answer, names[:2], other)
            _nothing_else(folder, names)
        finally:
            guard.note("-", parent)
    return f"killed {killed} times; {PICTURES} of {PICTURES} pictures, each whole, and nothing else in the folder."


def _watched(answer: Callable[[str, str], Any], name: str, folder: str, last: int = 0) -> list[Any]:
    """In the answer's process: what its `FileWatch` has seen."""
    watch = FileWatch(Path(folder, name), whole(name), last)
    watch.begin()
    try:
        answer(name, folder)
    finally:
        watch.end()
    return [watch.steps, watch.half, watch.far, watch.program]


def _held(answer: Callable[[str, str], Any], name: str, folder: str, half: str, gate: str) -> None:
    """In the answer's process: half-way, make the file `half` and wait until there is a file `gate`."""

    def wait(number: int) -> None:
        if number == PIECES // 2:
            Path(half).touch()
            deadline = time.monotonic() + HELD
            while not Path(gate).exists() and time.monotonic() < deadline:
                time.sleep(0.005)

    _between.append(wait)
    answer(name, folder)


def _called(answer: Callable[[str, str], Any], name: str, folder: str) -> None:
    """In the answer's process: what it returns doesn't matter."""
    answer(name, folder)


def _run(function: Callable[..., Any], answer: Callable[..., Any], name: str, folder: Path, *more: Any) -> Answer:
    title = f"when it saved {name}, your function"
    return Answer(function, answer, name, str(folder), *more, seconds=PATIENCE, learner=answer, name=title)


def _save(answer: Callable[[str, str], Any], name: str, folder: Path) -> None:
    """Let the answer save a picture, to its end."""
    with _run(_called, answer, name, folder) as run:
        run.result()
        _is_there(run, folder / name)


def _is_there(run: Answer, path: Path) -> None:
    if not path.exists():
        raise NotYet(f"your function came to its end, and there is no {path.name} in the folder.", run.details())


def _watch(answer: Callable[[str, str], Any], name: str, folder: Path) -> int:
    """Run the answer once, and see no half picture; return how many steps it takes."""
    with _run(_watched, answer, name, folder) as run:
        steps, half, far, program = run.result()
        _is_there(run, folder / name)
        _only_whole(folder, [name], "at its end")
    if half:
        why = f"{half}: whoever looks now, or a kill now, finds that under the picture's real name."
        raise NotYet(f"{why} {FAR if far else REMEDY}")
    if program:
        raise NotYet(
            f"another program has written {name} ({program}), maybe piece by piece. Which one gives a file its name "
            "and writes nothing? In Python it is os.replace."
        )
    return steps


def _kill(answer: Callable[[str, str], Any], name: str, folder: Path, *, at: int) -> bool:
    """Run the answer, and let its process be killed after step `at`; say whether it was."""
    (folder / name).unlink(missing_ok=True)
    with _run(_watched, answer, name, folder, at) as run:
        return run.wait_for_end() and run.exit_code != 0


def _only_whole(folder: Path, names: list[str], when: str) -> None:
    """Each picture is either whole or not there."""
    for path in (folder / name for name in names):
        if not path.exists() or (data := path.read_bytes()) == (right := whole(path.name)):
            continue
        if len(data) == len(right):
            raise NotYet(f"{when}, {path.name} has the right size but not the right bytes. Are the pieces in order?")
        problem = "part of it is there, under its real name" if len(data) < len(right) else "it is too long"
        raise NotYet(f"{when}, {path.name} has {len(data)} of {len(right)} bytes: {problem}. {REMEDY}")


def _again(answer: Callable[[str, str], Any], name: str, folder: Path) -> None:
    """Save a picture that is there: the old file may be replaced, and may not be written to."""
    kept = folder.parent / "kept"
    os.link(folder / name, kept)  # the same file under another name
    os.utime(kept, (0, 0))
    _save(answer, name, folder)
    if kept.stat().st_mtime:
        raise NotYet(
            f"{name} was there already, and the second run wrote into that very file: a kill in the middle leaves a "
            f"mixture. {REMEDY}"
        )


def _two_at_a_time(answer: Callable[[str, str], Any], names: list[str], folder: Path) -> None:
    """While one picture is half saved, another worker saves another one."""
    half, gate = folder.parent / "half", folder.parent / "gate"
    first, second = names
    with _run(_held, answer, first, folder, str(half), str(gate)) as run:
        deadline = time.monotonic() + PATIENCE
        while not half.exists() and run.running and time.monotonic() < deadline:
            time.sleep(0.005)
        _save(answer, second, folder)
        gate.touch()
        try:
            run.result()
            _is_there(run, folder / first)
            _only_whole(folder, names, "in the end")
        except NotYet as not_yet:
            raise NotYet(
                f"while {first} was half saved, another worker saved {second}. Then {not_yet.why} Do both write to the "
                "same temporary file? Let its name come from the picture's name.",
                not_yet.details,
            ) from None


def _nothing_else(folder: Path, names: list[str]) -> None:
    """Every other file is gone; an empty folder for them may stay."""
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if left := [name for name in left if name not in names]:
        raise NotYet(
            f"all pictures are there, and so are {len(left)} other files, such as {left[0]!r}. Let the temporary "
            "file's name come from the picture's, so that the next try writes over it."
        )
