"""What a process of tasks takes from its client: where it is this process, it has its own again after each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from dqlab.wire import local_code


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The arguments of the program, its search path and `__main__` are restored."""
    for name in ("argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    yield
    local_code.hide_all()
    local_code.imported_behind.clear()
