"""How many threads numpy and its kin may start in each of several workers: together no more than there are cores."""

from __future__ import annotations

import os

from dqlab.process.cores import usable_cores

__all__ = ["with_blas_threads"]

#: what the libraries of linear algebra and their users read when they are loaded
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def with_blas_threads(workers: int) -> dict[str, str]:
    """Our environment for one of `workers` processes on this machine: each may use its share of the cores.

    Whoever has set one of the variables has decided, and is not overruled. A share is one thread at least.
    """
    if any(name in os.environ for name in VARIABLES):
        return dict(os.environ)
    threads = str(max(1, int(usable_cores() // workers)))
    return {**os.environ, **dict.fromkeys(VARIABLES, threads)}
