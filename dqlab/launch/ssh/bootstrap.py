"""What runs first on another machine: looks around, unpacks dqlab if it is sent, then becomes `dqlab worker --owned`.

The near side (`link`) sends this file through ssh's standard input, so it must run where dqlab is missing and where
Python is too old: standard library only, no annotations. It ends by replacing itself, so nothing of it stays.

    near side                                        here
    this file, with the archive's name or None ----> starts
         <---- {"event": "hello", "python": "3.11", "dqlab": "0.1.0" or None, "have": true, ...}
    {"size": N} and N bytes, or {"size": 0} ----->   unpacks into ~/.cache/dqlab/NAME unless it is there
         <---- {"event": "ready"}
    settings of the worker, and then its commands    python -P -m dqlab worker --owned
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

#: the file in an unpacked archive that lists what else must be there.
CONTENT = "CONTENT"


def say(**message):
    """Send one message. It begins a line, whatever a login script has printed before."""
    sys.stdout.write("\n" + json.dumps(message) + "\n")
    sys.stdout.flush()


def cache_folder(name):
    """Where the archive of that name is unpacked."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "dqlab", name)


def installed():
    """The version of the dqlab that is installed here, and why there is none: one of them is None."""
    try:
        import cloudpickle  # noqa: F401 - what its workers can't do without

        from dqlab import __version__

        return __version__, None
    except Exception as error:
        return None, ": ".join([type(error).__name__, str(error)])


def is_whole(folder):
    """Whether an archive is unpacked there and complete: some machines clear away old files of a cache one by one."""
    content = os.path.join(folder, CONTENT)
    if not os.path.isfile(content):
        return False
    with open(content) as file:
        return all(os.path.isfile(os.path.join(folder, line.rstrip("\n"))) for line in file)


def unpack(data, name):
    """Unpack an archive beside its final place and move it there: nobody ever sees half of it."""
    if hashlib.sha256(data).hexdigest()[:16] != name.rpartition("-")[2]:
        raise ValueError("the archive was damaged on the way")
    final = cache_folder(name)
    parent = os.path.dirname(final)
    if not os.path.isdir(parent):
        os.makedirs(parent, 0o700)
    temporary = tempfile.mkdtemp(prefix="new-", dir=parent)
    new, old = os.path.join(temporary, "new"), os.path.join(temporary, "old")
    try:
        content = zipfile.ZipFile(io.BytesIO(data))
        content.extractall(new)
        with open(os.path.join(new, CONTENT), "w") as file:
            file.write("\n".join(content.namelist()))
        if os.path.isdir(final) and not is_whole(final):
            os.rename(final, old)
        os.rename(new, final)
    except OSError:
        if not is_whole(final):  # else another host with this same home was faster
            raise
    finally:
        shutil.rmtree(temporary, True)


def main(name):
    """Do as the module says; `name` is the archive's, or None to use what is installed."""
    version, missing = (None, None) if name else installed()
    have = name is not None and is_whole(cache_folder(name))
    python = "{}.{}".format(*sys.version_info)
    say(event="hello", python=python, path=sys.executable, dqlab=version, missing=missing, have=have)
    stdin = getattr(sys.stdin, "buffer", sys.stdin)  # bytes, so that nothing is read ahead
    order = json.loads(stdin.readline().decode() or "null")  # type: ignore[union-attr]
    if order is None:
        return  # the near side doesn't want us
    program = ["-m", "dqlab"]
    if name:
        if order["size"]:
            unpack(stdin.read(order["size"]), name)
        # No PYTHONPATH: tasks would inherit it.
        first = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        program = ["-c", first + "from dqlab.cli import main; sys.exit(main())", cache_folder(name)]
    say(event="ready")
    command = [sys.executable, "-P"] + program + ["worker", "--owned"]  # -P: nothing here shadows the standard library
    if os.name == "posix":
        os.execv(sys.executable, command)
    sys.exit(subprocess.call(command))


if "ARCHIVE" in globals():  # set by the near side; not when this file is merely imported
    try:
        main(globals()["ARCHIVE"])
    except Exception as error:
        say(event="failed", text=": ".join([type(error).__name__, str(error)]))
        sys.exit(1)
