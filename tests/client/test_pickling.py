"""Functions and values as they travel: what goes by name, what by value, and what is pickled only once."""

from __future__ import annotations

import functools
import gc
import importlib
import math
import pickle
import subprocess
import sys
import threading
import types
import weakref
from pathlib import Path

import pytest

from dqlab.client.code_pickler import CodePickler
from dqlab.client.pickling import dump_call, dump_function, dump_values
from dqlab.wire.envelope import PYTHON, Envelope
from dqlab.wire.value_pickler import Dumper
from dqlab.worker.functions import Function
from tests.cluster import ROOT

FACTOR = 2
TABLE = [1]


def double(x):
    return FACTOR * x


def look_up(i):
    return TABLE[i]


CALL = """
import sys
import threading
from dqlab.worker.functions import Function
print(Function(sys.stdin.buffer.read()).callable(int(sys.argv[1])))
"""


def elsewhere(function: bytes, argument: object, folder: Path) -> str:
    """Call a pickled function in another process, which has not imported what stands here."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(argument)],
        input=function, cwd=folder, capture_output=True, timeout=60, env={"PATH": "", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_what_is_installed_travels_by_name_and_any_python_can_load_it():
    digest, data, python = dump_function(math.sqrt)
    envelope = Envelope.load(data)
    assert python == "" and len(envelope.pickled) < 100 and not envelope.shared and len(digest.split()[0]) == 32
    assert pickle.loads(envelope.pickled) is math.sqrt


def test_what_a_module_beside_the_notebook_defines_travels_by_value(tmp_path):
    _, data, python = dump_function(double)
    assert python == PYTHON == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert elsewhere(data, 21, tmp_path) == "42"


def test_a_lambda_travels_with_what_it_refers_to(tmp_path):
    offset = 5
    assert elsewhere(dump_function(lambda x: double(x) + offset)[1], 1, tmp_path) == "7"


def test_the_same_function_is_pickled_once():
    assert dump_function(double) is dump_function(double)
    assert dump_function(math.sqrt) is dump_function(math.sqrt)


def test_a_global_that_changed_makes_another_function(monkeypatch, tmp_path):
    before = dump_function(double)
    monkeypatch.setitem(globals(), "FACTOR", 3)
    after = dump_function(double)
    assert before[0] != after[0]
    assert elsewhere(after[1], 21, tmp_path) == "63"


def test_a_list_that_changed_in_place_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "TABLE", [1])
    dump_function(look_up)
    TABLE[0] = 9
    assert elsewhere(dump_function(look_up)[1], 0, tmp_path) == "9"


def test_a_cell_that_changed_is_noticed(tmp_path):
    def counter():
        n = 0

        def raise_it():
            nonlocal n
            n += 1

        return raise_it, lambda x: n + x

    raise_it, function = counter()
    assert elsewhere(dump_function(function)[1], 0, tmp_path) == "0"
    raise_it()
    assert elsewhere(dump_function(function)[1], 0, tmp_path) == "1"


def test_a_default_that_changed_is_noticed(tmp_path):
    def add(x, y=1):
        return x + y

    dump_function(add)
    add.__defaults__ = (5,)
    assert elsewhere(dump_function(add)[1], 1, tmp_path) == "6"


def test_a_function_within_a_function_is_seen_when_it_uses_what_changed(monkeypatch, tmp_path):
    def outer(x):
        def inner():
            return FACTOR * x

        return inner()

    assert dump_function(outer) is dump_function(outer)
    assert elsewhere(dump_function(outer)[1], 4, tmp_path) == "8"
    monkeypatch.setitem(globals(), "FACTOR", 5)
    assert elsewhere(dump_function(outer)[1], 4, tmp_path) == "20"


def test_partials_and_what_has_no_hash_travel_too(tmp_path):
    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return x + 1

    assert elsewhere(dump_function(functools.partial(pow, 2))[1], 10, tmp_path) == "1024"
    assert elsewhere(dump_function(Unhashable())[1], 1, tmp_path) == "2"


def test_values_that_any_python_can_load_are_not_bound_to_one():
    assert dump_values([1, "a", {"b": 2.5}])[1] == ""
    data, python = dump_values([double])
    assert python == PYTHON and pickle.loads(data)[0](4) == 8


@pytest.mark.parametrize(("args", "kwargs"), [((1, "a"), {}), ((), {"x": 1}), (([1, 2],), {"y": None}), ((), {})])
def test_the_arguments_of_a_call_come_back_as_they_were(args, kwargs):
    data, python = dump_call(args, kwargs)
    assert pickle.loads(data) == (args, kwargs) and python == ""


def test_what_cannot_be_pickled_says_so():
    with pytest.raises((TypeError, pickle.PicklingError)):
        dump_values([sys._getframe()])


def test_code_that_travels_keeps_the_name_of_its_file():
    def outer():
        def inner():
            return 1 / 0

        return inner

    loaded = Function(dump_function(outer)[1]).callable
    assert {loaded.__code__.co_filename, loaded().__code__.co_filename} == {__file__}


def test_a_function_is_followed_to_the_functions_it_uses(monkeypatch, tmp_path):
    def through(x):
        return double(x)

    assert dump_function(through) is dump_function(through)
    before = dump_function(through)[0]
    monkeypatch.setitem(globals(), "FACTOR", 3)
    assert dump_function(through)[0] != before
    assert elsewhere(dump_function(through)[1], 2, tmp_path) == "6"


def test_what_may_have_changed_in_place_is_pickled_again():
    class Thing:
        pass

    numbers = {"a": 1}
    for function in (Thing, numbers.get, lambda: numbers, lambda: Thing, functools.partial(len, "a")):
        assert dump_function(function) is not dump_function(function)


def test_a_global_that_nobody_can_pickle_is_left_out_unless_it_is_used(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "LOCK", threading.Lock())
    assert elsewhere(dump_function(double)[1], 2, tmp_path) == "4"


def test_of_a_module_beside_the_notebook_travels_what_is_named(tmp_path, monkeypatch):
    (tmp_path / "beside_p.py").write_text("BIG = 'x' * 10_000\nRATE = 2\ndef rate(x): return RATE * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    beside = importlib.import_module("beside_p")
    try:
        _, data, python = dump_function(lambda x: beside.rate(x))
        assert len(data) < 5_000 and python == PYTHON
        assert elsewhere(data, 4, tmp_path) == "8"
    finally:
        del sys.modules["beside_p"]


def test_what_is_a_global_is_asked_for_each_value_as_the_source_of_a_map_may_change_it(tmp_path, monkeypatch):
    beside = types.ModuleType("beside_g")
    beside.__file__ = str(tmp_path / "beside_g.py")
    monkeypatch.setitem(sys.modules, "beside_g", beside)
    exec("SHARED = [1]\nclass Thing:\n    shared = SHARED\n", vars(beside))
    dumper = Dumper(CodePickler)
    assert b"brought_global" in dumper.dump(beside.Thing())
    beside.SHARED = [2]
    assert b"brought_global" not in dumper.dump(beside.Thing())


def test_the_callers_folder_is_among_the_envelopes_path_and_site_packages_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/x/site-packages", "sub", *sys.path])
    monkeypatch.chdir(tmp_path)
    path = Envelope.load(dump_function(len)[1]).path
    assert path[:2] == (str(tmp_path), str(tmp_path / "sub"))
    assert not [folder for folder in path if "site-packages" in folder]


def test_a_text_that_names_cloudpickle_binds_to_no_python():
    assert dump_values(["cloudpickle"])[1] == ""


def test_a_class_that_comes_home_is_left_as_it_is_here_by_now():
    class Thing:
        k = 1

    data, _ = dump_values(Thing())
    Thing.k = 2
    thing = pickle.loads(data)
    assert type(thing) is Thing and Thing.k == 2


def test_a_function_travels_where_python_minds_that_bytes_are_compared_with_text(tmp_path):
    text = "from dqlab.client.pickling import dump_function\ndef f(): return b'a'\ndump_function(f)"
    done = subprocess.run([sys.executable, "-bb", "-c", text], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Large:
    """Whose instances may be large."""

    def method(self):
        return Large


@pytest.mark.parametrize(
    "dump", [dump_values, lambda value: dump_call((value,), {}), Dumper().dump, Dumper(CodePickler).dump]
)
def test_nothing_is_kept_of_what_was_pickled_once_it_is(dump):
    value = Large()
    freed = weakref.ref(value)
    gc.disable()  # no cycle may have it either: those are looked for once many things were made, however small
    try:
        dump(value)
        del value
        assert freed() is None
    finally:
        gc.enable()
