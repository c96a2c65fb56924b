"""What `dqlab status` prints: `stats()` as a table for people."""

from __future__ import annotations

from typing import Any

from dqlab.client.stuck import why_stuck

__all__ = ["status_table", "table"]


def status_table(stats: dict[str, Any], address: str) -> str:
    """Queues, workers and rates of one `stats()` answer."""
    p50, p95 = stats["latency"]["p50"], stats["latency"]["p95"]
    latency = f"latency {_seconds(p50)} median, {_seconds(p95)} at 95 %" if p50 is not None else "latency -"
    lines = [f"dqlab master at {address}   {stats['throughput']:.1f} tasks/s   {latency}", ""]
    states = ["ready", "delayed", "leased", "done", "failed", "redelivered"]
    rows = [
        [_shown(name) + (" (paused)" if counts["paused"] else ""), *(str(counts[state]) for state in states)]
        for name, counts in stats["queues"].items()
    ]
    lines += table(["queue", *states], rows) if rows else ["no queue yet: nothing was submitted"]
    lines.append("")
    workers = [
        [_shown(w["name"]), _shown(w["host"]), str(w["pid"]), w["state"], str(w["done"]), f"{w['utilisation']:.0%}"]
        for w in stats["workers"]
    ]
    if workers:
        lines += table(["worker", "host", "pid", "state", "done", "busy"], workers)
    else:
        lines.append("no worker is connected; start one: dqlab worker CONNECTION")
    if (why := why_stuck(stats, (), False)) and workers:
        lines += ["", why]
    for queue, pythons in stats.get("pythons", {}).items():
        lines.append(f"tasks in {_shown(queue)} wait for a worker with Python {', '.join(map(_shown, pythons))}")
    if "journal" in stats:
        journal = stats["journal"]
        lines += ["", f"journal {journal['file']}, {journal['bytes']:,} bytes"]
        lines += [f"  {journal['trouble']}"] if journal["trouble"] else []
    return "\n".join(lines)


def _shown(text: str) -> str:
    """What a worker calls itself, with whatever a terminal would take for a command made visible."""
    return text if text.isprintable() else repr(text)[1:-1]


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table, its columns as wide as they need to be."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    text = {0, 1, 3} if head[0] == "worker" else {0}
    pads = [f"{{:{'<' if i in text else '>'}{width}}}" for i, width in enumerate(widths)]
    return ["  ".join(pad.format(cell) for pad, cell in zip(pads, row, strict=True)) for row in [head, *rows]]
