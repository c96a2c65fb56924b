"""Every task's state, and every choice about it. Pure: no socket, no process, no thread, no clock.

Begin with `broker` (who is given which task, and what becomes of it), then `states` (what a change of state does) and
`tasks` (runs and spans, the unit that moves). `waiting_line` and `batch_size` say who comes next and with how much;
`plain_queues` is what unchanged scripts see; `kept_outcomes`, `functions`, `events` and `meters` are kept in bounds.
Uses `dqlab.wire.messages` and `dqlab.errors` only, so that it can be driven by tests, and through virtual time.
"""
