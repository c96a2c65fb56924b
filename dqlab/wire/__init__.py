"""What every process of dqlab speaks: BaseManager's protocol, plain data only, and the messages that travel in it.

Begin with `messages` (what master, clients and workers say to each other), then `connection` (how it travels), then
`plain_data` (what may travel at all; `plain_reader`, `plain_opcodes`, `plain_budget` and `plain_types` read it).
`request` is one question and its answer; `connection_file` and `address` say where a master is. Uses `dqlab.errors`
only.
"""
