"""A process that the system kills for want of memory is told from one that somebody else kills."""

from pathlib import Path

import pytest

from dqlab.process import memory_kills


@pytest.mark.parametrize(
    ("text", "kills"),
    [("nr_free 5\noom_kill 3\nswap_ra 1\n", 3), ("oom_killer 4\n", 0), ("oom_kill many\n", 0), (None, 0)],
)
def test_the_kills_are_those_that_linux_counts(
    text: str | None, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_kills, "COUNTS", tmp_path / "vmstat")
    if text is not None:
        (tmp_path / "vmstat").write_text(text)
    assert memory_kills.memory_kills() == kills
