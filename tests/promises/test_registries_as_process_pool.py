"""Classes that keep their instances, to give each out once: what runs on ProcessPoolExecutor gives the same here."""

from __future__ import annotations

from tests.cluster import script
from tests.promises.two_ways import both

REGISTRIES = """
import collections, weakref
from tests.promises import two_ways

class Lone:
    it = None
    def __new__(cls):
        if cls.it is None:
            cls.it = super().__new__(cls)
            cls.it.asked = 0
        return cls.it
    def __reduce__(self):
        return Lone, ()
class Known:
    by_name = {}
    def __new__(cls, name):
        if name not in cls.by_name:
            cls.by_name[name] = super().__new__(cls)
            cls.by_name[name].name = name
        return cls.by_name[name]
    def __getnewargs__(self):
        return self.name,
class Weak(Known):
    by_name = weakref.WeakValueDictionary()
    def __new__(cls, name):
        known = cls.by_name.get(name)
        if known is None:
            known = cls.by_name[name] = object.__new__(cls)
            known.name = name
        return known
class Ordered(Known):
    by_name = collections.OrderedDict()
class Grouped:
    groups = collections.defaultdict(dict)
    def __new__(cls, group, name):
        members = cls.groups[group]
        if name not in members:
            members[name] = super().__new__(cls)
            members[name].place = group, name
        return members[name]
    def __getnewargs__(self):
        return self.place
class Listed(Known):
    all = weakref.WeakSet()
    def __new__(cls, name):
        listed = object.__new__(cls)
        listed.name = name
        return listed
    def __init__(self, name):
        self.all.add(self)
    def __eq__(self, other):
        return self.name == other.name
    def __hash__(self):
        return hash(self.name)
EVERYWHERE, WEAKLY = {}, weakref.WeakValueDictionary()
class Global(Known):
    registry = staticmethod(lambda: EVERYWHERE)
    def __new__(cls, name):
        known = cls.registry().get(name)
        if known is None:
            known = cls.registry()[name] = object.__new__(cls)
            known.name = name
        return known
class WeakGlobal(Global):
    registry = staticmethod(lambda: WEAKLY)
LONE, RED, THIN, FIRST = Lone(), Known("red"), Weak("thin"), Ordered("first")
DEEP, LISTED, SEEN, LIGHT = Grouped(1, 2), Listed("a"), Global("seen"), WeakGlobal("light")

def lone():
    LONE.asked += 1
    return Lone() is LONE, Lone().asked
def known(red):
    return Known("red") is RED is red, list(Known.by_name)
def weak(thin):
    return Weak("thin") is THIN is thin, list(Weak.by_name)
def ordered(first):
    return Ordered("first") is FIRST is first, list(Ordered.by_name)
def grouped(deep):
    return Grouped(1, 2) is DEEP is deep, {**Grouped.groups}[1][2] is DEEP
def listed():
    return LISTED in Listed.all, len(Listed.all)
def everywhere(seen):
    return Global("seen") is SEEN is seen, EVERYWHERE["seen"] is SEEN
def weakly(light):
    return WeakGlobal("light") is LIGHT is light, WEAKLY["light"] is LIGHT
def more(name):
    return Known(name).name, sorted(Known.by_name)

if __name__ == "__main__":
    with two_ways.executor() as executor:
        two_ways.say(executor, [
            (lone,), (known, RED), (weak, THIN), (ordered, FIRST), (grouped, DEEP), (listed,), (everywhere, SEEN),
            (weakly, LIGHT), (more, "blue"), (more, "green"), (known, RED), (lone,),
        ])
        print(executor.submit(Known, "red").result() is RED, executor.submit(Lone).result() is LONE)
"""


def test_each_instance_is_there_once_whatever_registry_its_class_keeps(tmp_path):
    there, here, trouble = both(script(tmp_path, REGISTRIES, "own.py"))
    assert len(there) == 13
    assert here == there, trouble
