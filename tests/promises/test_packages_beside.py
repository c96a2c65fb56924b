"""A script with packages beside it gives the same with a pool of processes and here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

#: the files of `kit`, of `wide`, which has no `__init__.py`, of a module that is replaced by an object, and of another
FILES = {
    "kit/__init__.py": "from .tools import deep\nVALUE = 10\n",
    "kit/words.txt": "hello\n",
    "kit/tools/__init__.py": "",
    "kit/tools/other.py": "OTHER = 7\n",
    "kit/tools/deep.py": """
class Node:
    count = 0
def add(x):
    return x + 3
def relative():
    from .. import VALUE
    from . import other
    return VALUE, other.OTHER
""",
    "wide/inner/mod.py": "NUMBER = 5\ndef number():\n    return NUMBER\n",
    "itself.py": """
import sys
class Itself:
    asked = 0
    def twice(self, x):
        self.asked += 1
        return 2 * x, self.asked
sys.modules[__name__] = Itself()
""",
    "helper.py": """
import importlib.resources, importlib.util
LINES = []
def task_one(): return 1
def task_two(): return 2
def words():
    return importlib.resources.files("kit").joinpath("words.txt").read_text(), importlib.util.find_spec("kit").name
def lazy():
    import wide.inner.mod as lazy_mod
    from kit.tools.deep import add
    return lazy_mod.NUMBER, add(1)
""",
}
SCRIPT = """
import inspect, sys, types
import helper, itself, kit.tools.deep, wide.inner.mod
from tests.promises import two_ways

by_hand = types.ModuleType("by_hand")
exec("SCALE = 2\\ndef scale(x):\\n    return SCALE * x", vars(by_hand))
sys.modules["by_hand"] = by_hand

def deep(x):
    return kit.tools.deep.add(x), kit.deep.add(x), wide.inner.mod.number()
def count():
    kit.tools.deep.Node.count += 1
    return kit.tools.deep.Node.count
def tasks():
    return [vars(helper)[name]() for name in dir(helper) if name.startswith("task_")]
def members():
    return [name for name, _ in inspect.getmembers(helper, inspect.isfunction)]
def lines():
    return "LINES" in dir(helper)
def scale(x):
    return by_hand.scale(x)
def twice(x):
    return itself.twice(x)

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (deep, 1), (kit.tools.deep.relative,), (count,), (deep, 1), (tasks,), (members,), (lines,), (helper.words,),
            (helper.lazy,), (scale, 2), (by_hand.scale, 2), (count,), (wide.inner.mod.number,),
            (twice, 3), (twice, 4),
        ])
"""


def test_a_script_with_packages_beside_it_gives_the_same(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    there, here, trouble = both(script(tmp_path, SCRIPT, "own.py"))
    assert len(there) == 15
    assert here == there, trouble
