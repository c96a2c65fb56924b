"""A client: calls become tasks, outcomes become futures.

Begin with `client` (the `concurrent.futures.Executor` that people hold), then `session` (its threads and connections),
`sender` and `collector` (the way out, the way back), `future` and `map_results` (who waits). Uses `dqlab.wire` and
`dqlab.errors` only: it meets the master on the wire.
"""
