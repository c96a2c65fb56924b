"""Which code no worker can import by itself, and how it is put together where it arrives."""

from __future__ import annotations

import pickle
import textwrap

import pytest

from dqlab.wire.local_code import attribute, is_local, stand_in


@pytest.mark.parametrize(
    "name, file, by_value",
    [
        ("beside", "/home/ann/course/beside.py", True),
        ("numpy", "/usr/lib/python3/dist-packages/numpy/__init__.py", False),
        ("numpy.linalg", "/home/ann/.local/lib/python3.11/site-packages/numpy/linalg/__init__.py", False),
        ("json", textwrap.__file__, False),
        ("dqlab.broker.tasks", "/home/ann/dqlab/dqlab/broker/tasks.py", False),
        ("cloudpickle", "/home/ann/vendored/cloudpickle/__init__.py", False),
        ("sys", None, False),
    ],
)
def test_what_is_installed_travels_by_name_and_the_rest_by_value(name, file, by_value):
    assert is_local(name, file) is by_value


def test_a_stand_in_holds_what_came_with_it_and_finds_the_rest_in_the_import(tmp_path, monkeypatch):
    (tmp_path / "beside_a.py").write_text("RATE = 1\nrest = 'of it'\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = stand_in({"__name__": "beside_a"})
    vars(module)["RATE"] = 9
    assert (module.RATE, module.rest) == (9, "of it")
    assert not hasattr(module, "nothing")
    assert pickle.loads(pickle.dumps(module)).RATE == 1


def test_a_stand_in_whose_module_is_not_there_says_so():
    with pytest.raises(AttributeError, match="'beside_b' came without 'x', and there: No module named 'beside_b'"):
        _ = stand_in({"__name__": "beside_b"}).x


def test_what_can_be_had_by_import_only_says_what_to_do_when_it_cannot():
    with pytest.raises(ImportError, match=r"'lock' of module 'beside_c' can't be pickled.*make 'lock' inside the func"):
        attribute("beside_c", "lock")
