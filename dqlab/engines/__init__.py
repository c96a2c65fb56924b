"""An executor by its address, so that a program outgrows one machine without a change.

    from dqlab.engines import engine

    with engine("dqlab://local?n=4") as executor:  # or "dask://127.0.0.1:8786", "processes:4", "threads:16"
        print(sum(executor.map(abs, range(100))))

`engine` reads the address; `dask_executor` makes Dask's executor fail as those of the standard library do.
"""

from dqlab.engines.engine import engine

__all__ = ["engine"]
