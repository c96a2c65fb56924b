"""dqlab's workers for joblib, and with it for scikit-learn; importing this makes the back-end known.

import dqlab.joblib
with joblib.parallel_config("dqlab", master=master):
    joblib.Parallel()(joblib.delayed(f)(x) for x in xs)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from dqlab.client.client import Client
from dqlab.errors import BadInput, NotInstalled

try:
    from joblib import register_parallel_backend
    from joblib.parallel import AutoBatchingMixin, ParallelBackendBase
except ImportError as missing:
    raise NotInstalled("joblib is missing", "pip install joblib") from missing

__all__ = ["DqlabBackend"]


class DqlabBackend(AutoBatchingMixin, ParallelBackendBase):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gives joblib's batches to `master`, a `Master` or another client; raises `BadInput` without one."""

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, *, master: Client | None = None, **options: Any) -> None:
        if not isinstance(master, Client):
            raise BadInput(f"master={master!r}", 'a Master or connect(...): parallel_config("dqlab", master=master)')
        super().__init__(**options)
        self._master = master
        self._out: weakref.WeakSet[Future[Any]] = weakref.WeakSet()

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Begin a `Parallel`; return how many batches shall be out at a time."""
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """`n_jobs`; one for each worker if it is negative or None."""
        # The attribute is private by its name only: it is what everybody asks an executor of the standard library.
        return self._master._max_workers if n_jobs is None or n_jobs < 0 else max(1, n_jobs)

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None) -> Future[Any]:
        """Send a batch on its way; `callback` hears of its end."""
        future = self._master.submit(func)
        self._out.add(future)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch that has ended; raises what one of its calls raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what has not started."""
        for future in list(self._out):
            future.cancel()


register_parallel_backend("dqlab", DqlabBackend)
