"""The command that starts a part of dqlab in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dqlab.errors import LaunchFailed

__all__ = ["python_command"]

#: where this dqlab is found: the folder around the package
ROOT = str(Path(__file__).parents[2])


def python_command(entry: str, *words: str) -> list[str]:
    """The command that calls `main()` of the module `entry` with `words` as its arguments.

    It is this interpreter with the options that it was given itself (`-O`, `-W`, `-X` and the like). `-P` keeps what
    lies in the working folder from taking the place of the standard library, and dqlab's own folder comes last in the
    search path, so that it needs no environment variable, which tasks would inherit. `LaunchFailed` if this process
    does not know its interpreter.
    """
    if not sys.executable:
        raise LaunchFailed(
            "this Python does not know its own interpreter: sys.executable is empty, as in programs that embed Python",
            "set sys.executable to the path of a Python that has dqlab",
        )
    given = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # as multiprocessing does
    options = [option for option in given if option != "-P"]
    # What was sent to another machine in one archive stands first there (see `launch.ssh.bootstrap`), and stays first.
    first = sys.flags.safe_path and sys.path[:1] == [ROOT]
    place = f"insert(0, {ROOT!r})" if first else f"append({ROOT!r})"
    program = f"import sys; sys.path.{place}; from {entry} import main; sys.exit(main())"
    return [sys.executable, *options, "-P", "-c", program, *words]
