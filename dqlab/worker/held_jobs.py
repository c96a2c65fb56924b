"""What a worker has leased and its child has not seen yet, and the payloads that came with it."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from dqlab.wire.bounded_cache import BoundedCache
from dqlab.wire.messages import FUNCTION_BYTES, PAYLOADS_HELD, PLAIN, Lease, Report
from dqlab.worker.job import Job

__all__ = ["HeldJobs"]


class HeldJobs:
    """Jobs in the order in which they were leased. Its length is that of their tasks."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._payloads: OrderedDict[int, Any] = OrderedDict()  #: of the last runs: the master sends each once
        #: the master keeps the same book, so that it knows which of them are still here
        self._functions: BoundedCache[str, bytes] = BoundedCache(FUNCTION_BYTES)

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __len__(self) -> int:
        return sum(job.hi - job.lo for job in self._jobs)

    def add(self, leases: Iterable[Lease], functions: Mapping[str, bytes]) -> None:
        """Leases that have arrived, each with its payload, or without one that came before; and new functions."""
        for lease in leases:
            payload, function = self._payload_of(lease), self._function_of(lease, functions)
            self._jobs.append(Job(lease, payload, function, lease.lo, lease.hi))

    def _function_of(self, lease: Lease, functions: Mapping[str, bytes]) -> bytes:
        digest = lease.header.function
        known = self._functions.get(digest) if digest else b""
        if known is None:
            known = functions[digest]
            self._functions.keep(digest, known, len(known))
        return known

    def _payload_of(self, lease: Lease) -> Any:
        if lease.header.kind == PLAIN:
            return lease.payload
        if lease.payload is not None:
            self._payloads[lease.first] = lease.payload
            while len(self._payloads) > PAYLOADS_HELD:
                self._payloads.popitem(last=False)
        return self._payloads[lease.first]

    def take(self) -> list[Job]:
        """All of them, which are somebody else's now."""
        jobs, self._jobs = list(self._jobs), deque()
        return jobs

    def put_back(self, jobs: list[Job]) -> None:
        """Jobs that the child had not begun when it died: they come first again."""
        self._jobs.extendleft(reversed(jobs))

    def release(self, share: float, keep: int) -> list[Report]:
        """Give back the later `share` of the tasks, but for `keep` of them; returns what to tell the master."""
        reports, back = [], math.ceil(max(0, len(self) - keep) * share)
        while back and self._jobs:
            job = self._jobs.pop()
            n = min(back, job.hi - job.lo)
            reports.append(Report(kind="released", token=job.lease.token, lo=job.hi - n, hi=job.hi))
            job.hi -= n
            back -= n
            if job.lo < job.hi:
                self._jobs.append(job)
        return reports
