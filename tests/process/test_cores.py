"""How many cores this process may count on, in a container too."""

import os
from pathlib import Path

import pytest

from dqlab.process import cores


@pytest.mark.parametrize(
    ("given", "quota", "usable"),
    [
        (2, None, 2),
        (8, "max 100000", 8),
        (64, "100000 100000", 1),  # Binder: one core of a large machine
        (8, "150000 100000", 1.5),
        (1, "50000 100000", 1),
    ],
)
def test_usable_cores(
    given: int, quota: str | None, usable: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(given)), raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota:
        cores.QUOTA.write_text(quota + "\n")
    assert cores.usable_cores() == usable
