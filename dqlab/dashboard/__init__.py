"""See it live: what a master and its workers are doing, in a notebook.

    record.follow ──> history ──> picture (dashboard.js, dashboard.css) ┐
                                  controls ─────────────────────────────┴─> view: Dashboard

`history` folds the event log, `picture` draws it, `controls` are the buttons, `view` puts them together.
`still` draws a replay once, for pages that run nothing; `perfetto` writes a record for another viewer, `page`
serves the whole as a web page. Widgets are loaded on demand.
"""

from typing import TYPE_CHECKING

from dqlab.lazy_names import lazy_names

__all__ = ["Dashboard", "add_arguments", "run", "trace"]

if TYPE_CHECKING:
    from dqlab.dashboard.page import add_arguments, run
    from dqlab.dashboard.perfetto import trace
    from dqlab.dashboard.view import Dashboard
else:
    __getattr__, __dir__ = lazy_names(
        __name__, {"view": ("Dashboard",), "perfetto": ("trace",), "page": ("add_arguments", "run")}
    )
