"""The globals of a client's functions, in the process of its tasks."""

from __future__ import annotations

import sys
import types

import pytest

from dqlab.client.pickling import dump_function
from dqlab.wire import local_code
from dqlab.wire.envelope import Envelope
from dqlab.worker import functions as module_of_functions
from dqlab.worker.functions import Functions


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A module of the client's, beside the notebook."""
    here = types.ModuleType(f"names_{tmp_path.name}")
    here.__file__ = str(tmp_path / "names.py")
    monkeypatch.setitem(sys.modules, here.__name__, here)
    text = """
        class Thing:
            made = 0
        def up(): COUNT[0] += 1; return COUNT[0]
        def look(): return COUNT[0], RATE
        def set_rate(x): global RATE; RATE = x
        def make(): Thing.made += 1; return Thing.made
        def name(): return __name__
    """
    exec("\n".join(line[8:] for line in text.splitlines()), vars(here))
    here.COUNT, here.RATE = [0], 1
    return here


class Process:
    """The functions of a process of tasks."""

    def __init__(self, here):
        self.here, self.functions = here, Functions()

    def send(self, function):
        """A function as it is now; what is returned calls it as a task does."""
        local_code.hide_all()
        local_code.imported_behind.clear()  # the client's own module here, as client and tasks are one process
        sys.modules[self.here.__name__] = self.here
        digest, pickled, python = dump_function(function)
        held = self.functions.hold(digest, {digest: pickled})
        return lambda *args: self.functions.load(held, python)(*args)


def test_a_global_may_have_any_name(here):
    """Also that of a method which the module had that stands in for its own."""
    exec("def tell(x): COUNT[0] += 1; return x", vars(here))
    process = Process(here)
    assert process.send(here.tell)(3) == 3
    assert process.send(here.up)() == 2


def test_what_one_function_leaves_another_finds(here):
    process = Process(here)
    assert process.send(here.up)() == process.send(here.up)() - 1 == 1
    assert process.send(here.look)() == (2, 1)
    process.send(here.set_rate)(5)
    assert process.send(here.look)() == (2, 5)


def test_what_has_changed_at_the_client_is_set_anew_and_nothing_else_is(here):
    process = Process(here)
    process.send(here.up)()
    process.send(here.set_rate)(5)
    here.RATE = 7
    assert process.send(here.look)() == (1, 7)
    here.COUNT.append(0)
    assert process.send(here.look)() == (0, 7)


def test_what_was_deleted_at_the_client_is_gone_but_not_what_a_task_has_made(here):
    process = Process(here)
    before = process.send(here.look)
    assert before() == (0, 1)
    del here.RATE
    after = process.send(here.look)
    with pytest.raises(NameError, match="RATE"):
        after()
    assert before() == (0, 1)
    process.send(here.set_rate)(5)
    assert after() == (0, 5)
    here.RATE = 2
    assert process.send(here.look)() == (0, 2)


def test_a_task_that_was_submitted_before_a_change_finds_what_there_was_then(here):
    process = Process(here)
    before = process.send(here.look)
    assert before() == (0, 1)
    here.RATE = 2
    after = process.send(here.look)
    assert [after(), before(), after()] == [(0, 2), (0, 1), (0, 2)]


def test_a_global_goes_with_the_last_function_that_uses_it(here, monkeypatch):
    monkeypatch.setattr(module_of_functions, "FUNCTION_BYTES", 1)
    process = Process(here)
    process.send(here.name)()
    process.send(here.up)()
    client = Envelope.load(dump_function(here.up)[1]).client
    names = module_of_functions.names_of(client)
    found = names.module({"__name__": here.__name__})
    assert "COUNT" in vars(found)
    process.send(here.set_rate)(1)
    process.send(here.make)()
    assert "COUNT" not in vars(found) and found.__name__ == here.__name__


def test_main_is_the_clients(here):
    process = Process(here)
    process.send(here.up)()
    main = sys.modules["__main__"]
    assert main.__name__ == "__main__" and not hasattr(main, "__file__")
    main.something = 3
    assert main.something == 3
    with pytest.raises(AttributeError, match="brought none"):
        _ = main.nothing


def test_what_was_deleted_at_the_client_is_gone_and_what_tasks_have_made_stays(here):
    process = Process(here)
    before = process.send(here.look)
    assert before() == (0, 1)
    del here.RATE
    with pytest.raises(NameError, match="RATE"):
        process.send(here.look)()
    assert before() == (0, 1)
    process.send(here.set_rate)(5)
    assert process.send(here.look)() == process.send(here.look)() == (0, 5)
