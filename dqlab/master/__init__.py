"""The process around the broker: a BaseManager that serves two plain queues and the broker, and runs nobody's code.

Begin with `manager` (the server, as lesson 00 has it), then `broker_calls` and `queue_calls` (what may be called) and
`waiting_calls` (the lock around the broker, and who waits for what). `peer` is one connection, `process` the whole,
`settings` what it is told. Uses `dqlab.broker`, `dqlab.process` and `dqlab.wire`.
"""
