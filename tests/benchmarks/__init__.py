"""Benchmarks: ratios measured side by side in one run. ``make bench`` runs all, ``make bench NAME=throughput`` one."""
