"""Lesson 02: what the checker says to two dozen ways to save a picture; none depends on when a kill hits."""

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import atomic_save
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("02_workers")
JOINED = """
from pathlib import Path
def save(name, folder):
    Path(folder, name).write_bytes(b"".join(check.pieces(name)))
"""
COPIED = """
import shutil
def save(name, folder):
    part = os.path.join(folder, name + ".part")
    with open(part, "wb") as file:
        for piece in check.pieces(name):
            file.write(piece)
    COPY
    os.remove(part)
"""
SUBFOLDER = RIGHT.replace("    part = ", "    os.makedirs(folder + '/parts', exist_ok=True)\n    part = ").replace(
    'name + ".part"', '"parts", name'
)
AT_ONCE = """
def save(name, folder):
    data = b"".join(check.pieces(name))
    part = os.path.join(folder, name + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, data)
    os.close(handle)
    os.rename(part, os.path.join(folder, name))
"""
IF_NOT_THERE = RIGHT.replace("    part = ", "    if os.path.exists(os.path.join(folder, name)): return\n    part = ")
AWAY = """
import shutil, tempfile
def save(name, folder):
    handle, part = tempfile.mkstemp()
    with open(handle, "wb") as file:
        for piece in check.pieces(name):
            file.write(piece)
    shutil.move(part, os.path.join(folder, name))
"""
FIRST = "    real = os.path.join(folder, name)\n    if os.path.exists(real): os.remove(real)\n    part = "
LINKED = RIGHT.replace("os.replace(part, os.path.join(folder, name))", "LINK(part, os.path.join(folder, name))")
LINK_AND_REMOVE = """
    try: os.link(part, os.path.join(folder, name))
    except FileExistsError: pass
    os.remove(part)
"""
EARLY = """
def save(name, folder):
    part, real = os.path.join(folder, name + ".part"), os.path.join(folder, name)
    with open(part, "wb") as file:
        file.truncate(8 * 4096)
        os.path.exists(real) or os.link(part, real)
        for piece in check.pieces(name):
            file.write(piece)
    os.remove(part)
"""
PATCHED = RIGHT.replace(
    "    part = ", "    real = os.path.join(folder, name)\n    part = real if os.path.exists(real) else "
)
HALF = (
    "0.png is there with 0 of 32768 bytes: whoever looks now, or a kill now, finds that under the picture's real name."
)
REMEDY = "Write to another name, from the beginning, and give the file its name (os.replace) when it is whole."

TABLE = {
    "blank": ("save = ...", "Not yet: the answer should be a function, and it is Ellipsis."),
    "does nothing": ("def save(name, folder): pass", "came to its end, and there is no 0.png in the folder."),
    "in place": (RIGHT.replace(' + ".part"', ""), f"Not yet: after open(...), {HALF} {REMEDY}"),
    "collected, then in place": (JOINED, f"Not yet: after open(...), {HALF} {REMEDY}"),
    "copied": (COPIED.replace("COPY", "shutil.copy(part, os.path.join(folder, name))"), f"after open(...), {HALF}"),
    "copied by a program": (
        COPIED.replace("COPY", "os.system(f'cp {part} {os.path.join(folder, name)}')").replace("    part = ", FIRST),
        "Not yet: another program has written 0.png (os.system), maybe piece by piece. Which one gives a file its name",
    ),
    "into the old one": (
        PATCHED.replace('"wb"', '"r+b" if part == real else "wb"'),
        f"0.png was there already, and the second run wrote into that very file: a kill in the middle leaves a "
        f"mixture. {REMEDY}",
    ),
    "moved from the system's folder": (
        AWAY,
        f"Not yet: after open(...), {HALF} Its file came from another folder, and here that is on another disk: "
        "shutil.move copies it, then. Where must the other name be, so that os.replace can do it?",
    ),
    "renamed from the system's folder": (
        AWAY.replace("shutil.move", "os.replace"),
        "your function raised OSError: [Errno 18] Invalid cross-device link (here all other folders are on another "
        "disk than the pictures): '/",
    ),
    "if it is new": (RIGHT.replace("name + \".part\"", "name").replace('"wb"', '"xb"'), f"after open(...), {HALF}"),
    "a name too early": (
        EARLY,
        "Not yet: after link(...), 0.png is there with wrong bytes so far: whoever looks now, or a kill now, finds",
    ),
    "a second name, once": (LINKED.replace("LINK", "os.link"), "raised FileExistsError: [Errno 17] File exists"),
    "appending": (RIGHT.replace('"wb"', '"ab"').replace("write(piece)", "write(piece); file.flush()"), "is too long"),
    "random names": (
        RIGHT.replace('".part"', "os.urandom(4).hex()"),
        "Let the temporary file's name come from the picture's, so that the next try writes over it.",
    ),
    "one shared name": (
        RIGHT.replace('name + ".part"', '"part"'),
        "Not yet: while 0.png was half saved, another worker saved 1.png. Then when it saved 0.png, your function",
    ),
    "wrong bytes": (RIGHT.replace("write(piece)", "write(piece[::-1])"), "the right size but not the right bytes. Are"),
    "raising": (
        "def save(name, folder): 1 / 0",
        "Not yet: when it saved 0.png, your function raised ZeroDivisionError: division by zero Traceback",
    ),
    "leaving": ("def save(name, folder): sys.exit(2)", "raised SystemExit: 2"),
    "ending its process": ("def save(name, folder): os._exit(3)", "your function ended its process (exit code 3)."),
    "endless": ("def save(name, folder):\n    while True: pass", "your function still ran after 2 s."),
    "forking": (
        "def save(name, folder):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(77)\n", "there is no 0.png",
    ),
    "a flood": (
        "def save(name, folder):\n    for _ in range(200_000): print('x')",
        "there is no 0.png in the folder. it printed: x x x x x x x x ... and 4992 lines more",
    ),
    "at once": (AT_ONCE, "Yes: killed 6 times; 6 of 6 pictures, each whole, and nothing else in the folder."),
    "a folder for temporaries": (SUBFOLDER, "Yes: killed 6 times"),
    "only if it isn't there": (IF_NOT_THERE, "Yes: killed 6 times"),
    "a second name": (
        RIGHT.replace("    os.replace(part, os.path.join(folder, name))\n", LINK_AND_REMOVE), "Yes: killed 6 times",
    ),
    "renamed by a program": (
        LINKED.replace("LINK(", "os.spawnlp(os.P_WAIT, 'mv', 'mv', '-f', "),
        "Yes: killed 6 times",
    ),
    "from another folder": (
        RIGHT.replace("    part = ", "    os.chdir(folder)\n    folder = ''\n    part = "), "Yes: killed 6 times",
    ),
    "printing": (RIGHT.replace("file.write", "print(name); file.write"), "Yes: killed 6 times"),
    "solution": (RIGHT, "Yes: killed 6 times; 6 of 6 pictures, each whole, and nothing else in the folder."),
}  # fmt: skip


@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_02(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(atomic_save, "PATIENCE", 2.0 if "2 s" in says else 15.0)
    assert says in verdict(check.idempotent, learner(code)["save"], kills=6, capsys=capsys)
