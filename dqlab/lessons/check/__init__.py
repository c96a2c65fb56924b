"""The exercises' checkers: each tries an answer and says what is wrong with it, not just that something is.

An answer may be empty, crash, hang, print a flood or leave processes behind: it always runs in a process of its own
with a time limit (`answer`), and what the checker says has one form (`verdict`). Lessons 04 and 05 have theirs in
`dqlab.lessons.machines` and `dqlab.lessons.illness`.
"""

from dqlab.lessons.check.atomic_save import idempotent, pieces
from dqlab.lessons.check.light_work import light_job, match
from dqlab.lessons.check.littles_law import workers_needed
from dqlab.lessons.check.one_program import same_program
from dqlab.lessons.check.patient_worker import worker_that_stays
from dqlab.lessons.check.raw_messages import raw_client
from dqlab.lessons.check.resumed_job import resumed
from dqlab.lessons.check.site_limits import limits_for_a_site
from dqlab.lessons.check.site_record import recorded_site
from dqlab.lessons.check.ten_messages import careful_load
from dqlab.lessons.check.verdict import NotYet, checker

__all__ = [
    "NotYet",
    "careful_load",
    "checker",
    "idempotent",
    "light_job",
    "limits_for_a_site",
    "match",
    "pieces",
    "raw_client",
    "recorded_site",
    "resumed",
    "same_program",
    "worker_that_stays",
    "workers_needed",
]
