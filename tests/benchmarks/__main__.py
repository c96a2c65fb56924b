"""``python -m tests.benchmarks [NAME ...] [--rounds N] [--json FILE]``."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"__init__", "__main__", "harness", "plain_loop"}


def main() -> int:
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios, measured side by side in one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the median counts (default: 5)")
    parser.add_argument("--json", default="benchmarks.json", help="where the figures go (default: %(default)s)")
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    report: dict[str, object] = {
        "python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine(),
    }  # fmt: skip
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {args.rounds} rounds\n", flush=True)
    for name in args.names or names:
        began = time.perf_counter()
        run = importlib.import_module(f"tests.benchmarks.{name}").run
        takes_rounds = "rounds" in inspect.signature(run).parameters
        tables = run(args.rounds) if takes_rounds else run()
        for table in tables:
            print(table, end="\n\n")
        print(f"  ({name}: {time.perf_counter() - began:.0f} s)\n", flush=True)
        report[name] = [table.as_dict() for table in tables]
    Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
