"""Dask's workers as an executor that breaks as those of the standard library do, and says what it waits for.

Dask's own (`Client.get_executor`) runs equal calls once, cancels all futures when its scheduler is gone, and then takes
tasks that never end. Here each call is a task, and what can't end any more raises `BrokenExecutor`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

from dqlab.errors import BadInput, ConnectionFailed, LaunchFailed, NotInstalled
from dqlab.wire.address import parse_address, place

try:
    import dask.config
    import distributed
except ImportError as missing:
    raise NotInstalled("Dask is missing", "pip install 'dqlab[dask]'") from missing

__all__ = ["DaskExecutor", "local_dask", "running_dask"]

#: who logs that a scheduler is lost, or that a message has not reached it
LOGS = "distributed.client", "distributed.batched", "distributed.comm"
#: seconds in which a scheduler must have answered
PATIENCE = 10.0


class DaskExecutor(Executor):
    """Runs calls on the workers of a Dask scheduler, by a `client` (a `distributed.Client`) that stays its owner's."""

    def __init__(self, client: distributed.Client) -> None:
        self.client: Any = client  # many of its methods are coroutines too, and typed as such
        self.address = str(self.client.scheduler.address)
        self._executor = client.get_executor(pure=False)
        self._hinted = False

    def __repr__(self) -> str:
        return f"<DaskExecutor {self.address} {self.client.status}>"

    @property
    def _max_workers(self) -> int:
        """How many tasks run at a time, as others ask an executor; at least 1."""
        return max(1, sum(self.client.nthreads().values()))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send one call on its way; raises `BrokenExecutor` if the scheduler is gone, and so may its future."""
        self.check()
        theirs, ours = self._executor.submit(fn, *args, **kwargs), Future[Any]()
        ours.add_done_callback(lambda ended: theirs.cancel() if ended.cancelled() else None)
        theirs.add_done_callback(lambda ended: self._pass_on(ended, ours))
        return ours

    def _pass_on(self, theirs: Future[Any], ours: Future[Any]) -> None:
        """Give `ours` the outcome of `theirs`, unless it was cancelled."""
        if ours.cancelled() or not ours.set_running_or_notify_cancel():
            return
        if theirs.cancelled():
            ours.set_exception(BrokenExecutor(self._gone()))
        elif error := theirs.exception():
            ours.set_exception(error)
        else:
            ours.set_result(theirs.result())

    def check(self) -> None:
        """Raise `BrokenExecutor` if the scheduler is gone."""
        if self.client.status != "running":
            raise BrokenExecutor(self._gone())

    def _gone(self) -> str:
        return f"the Dask scheduler at {self.address} is gone"

    def hint_if_stuck(self) -> None:
        """Say so, once, when somebody waits and there is no worker; raises `BrokenExecutor` without a scheduler."""
        self.check()
        if not self._hinted and not self.client.nthreads():
            self._hinted = True
            print(f"dqlab: no worker has joined. Start one: dask worker {self.address}", file=sys.stderr)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `wait` return when those that were taken have ended. The workers stay."""
        self._executor.shutdown(wait=wait and not cancel_futures)


@contextlib.contextmanager
def local_dask(count: int) -> Iterator[DaskExecutor]:
    """Start a Dask scheduler and `count` workers on this machine: loopback, one thread each, a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="dqlab-dask-", ignore_cleanup_errors=True) as folder,
        dask.config.set({"temporary-directory": folder}),
    ):
        try:
            cluster = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # with None it would take port 8787
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError) as error:
            raise LaunchFailed(f"Dask's workers did not come up: {error}") from error
        with cluster, _connected(cluster.scheduler_address) as executor:
            yield executor


@contextlib.contextmanager
def running_dask(where: str) -> Iterator[DaskExecutor]:
    """Connect to the scheduler at `where`: `HOST:PORT`, an address as Dask writes it, or the file that it wrote."""
    with _connected(_scheduler(where)) as executor:
        yield executor


def _scheduler(where: str) -> str:
    """The address of a scheduler as Dask writes it."""
    if "://" in where:
        return where
    if address := parse_address(where):
        return f"tcp://{place(*address)}"
    try:
        return str(json.loads(Path(where).read_text("utf8"))["address"])
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(
            f"no scheduler file {where}: {why}", "take HOST:PORT, or dask scheduler's --scheduler-file"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{where} is no scheduler file", "dask scheduler --scheduler-file writes one") from None


@contextlib.contextmanager
def _connected(address: str) -> Iterator[DaskExecutor]:
    """Connect to a scheduler; what Dask logs of a lost one is said by `BrokenExecutor` already."""
    levels = {log: log.level for log in map(logging.getLogger, LOGS)}
    for log in levels:
        log.setLevel(logging.CRITICAL)
    try:
        try:
            client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # what else may answer there, and as it likes
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ConnectionFailed(f"no Dask scheduler at {address}: {why}", "start one: dask scheduler") from error
        with client:
            yield DaskExecutor(client)
    finally:
        for log, level in levels.items():
            log.setLevel(level)
