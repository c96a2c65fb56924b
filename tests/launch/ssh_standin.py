"""Stands in for `dqlab worker --owned` at the far side of a link: says it joined, obeys, and keeps what it was told."""

import json
import os
import sys
from pathlib import Path


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


settings = json.loads(sys.stdin.readline())
Path.home().joinpath("settings.json").write_text(json.dumps(settings))
Path.home().joinpath("environment.txt").write_text("\n".join(f"{key}={value}" for key, value in os.environ.items()))
for i in range(settings["n"]):
    say(event="joined", name=f"{settings['host_name']}-{i}", pid=os.getpid())
for line in sys.stdin:
    order = json.loads(line)
    if "add" in order:
        say(event="joined", name=f"{settings['host_name']}-more", pid=os.getpid())
    if "die" in order.get("kill", ""):
        sys.exit("out of memory")
    for word in ("kill", "stop"):
        if name := order.get(word):
            say(event="left", name=name, code=0 if word == "stop" else -9, reason="what it printed")
