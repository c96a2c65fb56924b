"""Lesson 09: what the checker says to a dozen ways to read a message from somebody else."""

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import ten_messages
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("09_who")
UNPICKLER = """
import io, pickle, pickletools
class Careful(pickle.Unpickler):
    def find_class(self, module, name):
        RULE
        return super().find_class(module, name)
def my_load(data):
    return Careful(io.BytesIO(data)).load()
"""
NAMELESS = UNPICKLER.replace("RULE", "raise pickle.UnpicklingError(name)")
BOUNDED = NAMELESS.replace(
    "def my_load(data):",
    """
def my_load(data):
    kept = 0
    for opcode, argument, _ in pickletools.genops(data):
        kept += opcode.name == "MEMOIZE"
        if opcode.name == "DUP" or opcode.name.endswith("PUT") and argument > kept:
            raise pickle.UnpicklingError(opcode.name)""",
)
RAN = (
    "it ran, in your master. Which names does an honest request need? A list of forbidden ones is always one too short."
)
AFTER = "import pickle\ndef my_load(data):\n    if b'makedirs' in data: DO\n    return pickle.loads(data)"


def forbidding(names: str) -> str:
    """An answer with a list of forbidden modules."""
    return UNPICKLER.replace("RULE", f"if module in {names}: raise pickle.UnpicklingError(name)")


TABLE = {
    "as it was given": (UNPICKLER.replace("RULE", ""), f"Not yet: attack 1 of 10, a call of os.makedirs: {RAN}"),
    "os is forbidden": (forbidding("('os', 'sys')"), f"attack 3 of 10, os under its other name, posix: {RAN}"),
    "no name at all": (
        NAMELESS,
        "Not yet: attack 9 of 10, ten bytes: your master set aside 64 MiB or more for it. find_class was never asked, "
        "as nothing is named. Look at the opcodes (pickletools.genops) before you build anything. The message: PROTO 2 "
        "BININT1 1 LONG_BINPUT 16777216 STOP",
    ),
    "no name and no ten bytes": (
        NAMELESS.replace("    return Careful", "    if b'r' in data[4:5]: raise ValueError\n    return Careful"),
        "attack 10 of 10, a tuple of itself, twice, forty times over: after 2 s your master still reads it, and serves "
        "nobody else.",
    ),
    "solution": (RIGHT, "Yes: 10 attacks: nothing ran, little was set aside, and honest scripts were served after"),
    "ending its process": (
        AFTER.replace("DO", "os._exit(3)"),
        "Not yet: after attack 1 of 10, a call of os.makedirs, your master ended (exit code 3).",
    ),
    "blank": ("my_load = ...", "Not yet: the answer should be a function, and it is Ellipsis."),
    "Python is forbidden too": (
        forbidding("('os', 'posix', 'builtins')"), f"attack 5 of 10, os by way of a harmless module, uuid: {RAN}",
    ),
    "the common opcode is forbidden": (
        "import pickle\ndef my_load(data):\n    if b'R' in data: raise ValueError\n    return pickle.loads(data)",
        f"attack 6 of 10, a call that is no REDUCE but an INST: {RAN}",
    ),
    "looking when it is built": (
        "import pickle\ndef my_load(data):\n    value = pickle.loads(data)\n    assert isinstance(value, tuple)\n"
        "    return value",
        f"attack 1 of 10, a call of os.makedirs: {RAN}",
    ),
    "everything is refused": (
        "def my_load(data): raise ValueError('no')",
        "Not yet: before any attack, an honest script asked for a connection and heard: ValueError: no",
    ),
    "raising by mistake": (
        "def my_load(data): return data / 0",
        "heard: TypeError: unsupported operand type(s) for /: 'bytes' and 'int'",
    ),
    "text only": (
        RIGHT.replace("SHORT_BINBYTES BINBYTES ", ""),
        "before any attack, an honest script asked for put(b'bytes') and heard: _pickle.UnpicklingError: "
        "SHORT_BINBYTES",
    ),
    "changing values": (
        "import ast, pickle, pickletools\ndef my_load(data):\n    value = pickle.loads(data)\n"
        "    return (value[0], value[1], tuple(map(str, value[2])), value[3])",
        "before any attack, a script put 7 and got '7'.",
    ),
    "leaving": (AFTER.replace("DO", "sys.exit(2)"), f"attack 3 of 10, os under its other name, posix: {RAN}"),
    "endless": (AFTER.replace("DO", "\n        while True: pass"), "os.makedirs: after 2 s your master still reads it"),
    "endless from the beginning": (
        "def my_load(data):\n    while True: pass", "an honest script asked for a connection and heard: nothing",
    ),
    "forking": (AFTER.replace("DO", "\n        if os.fork() == 0: time.sleep(77)"), RAN),
    "a flood": ("def my_load(data):\n    for _ in range(200_000): print('x')", "before any attack, an honest script"),
    "names and steps": (BOUNDED, "Yes: 10 attacks"),
    "dqlab's own": ("from dqlab.wire.connection import load_plain as my_load", "Yes: 10 attacks"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_09(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ten_messages, "PATIENCE", 2.0 if "2 s" in says or "nothing" in says else 8.0)
    assert says in verdict(check.careful_load, learner("import pickle, pickletools\n" + code)["my_load"], capsys=capsys)
