"""`dqlab demo`: the main job in a few seconds. Four workers crawl a site, one of them is killed on the way.

The site, the master and the workers are processes of this machine; nothing leaves it.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import threading
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from dqlab import sandbox
from dqlab.crawl import crawl, read_manifest
from dqlab.crawl.sheet import contact_sheet
from dqlab.launch.local_workers import LocalWorkers
from dqlab.launch.master import Master

__all__ = ["add_arguments", "run"]

#: seconds that the site takes for each answer
DELAY = 0.03
#: seconds between two looks whether half of the pictures are out
LOOK = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:
    """Show the main job; 1 if a picture is missing."""
    folder = Path(tempfile.mkdtemp(prefix="dqlab-demo-"))
    with sandbox.site(delay=DELAY) as site, Master() as master:
        workers = LocalWorkers(master, 4).wait()
        print(f"site         {site.url}, {len(site.images)} pictures, {DELAY * 1000:.0f} ms an answer")
        print(f"master       {master.address}")
        print(f"workers      {', '.join(sorted(workers))}\n")

        threading.Thread(target=kill_half_way, args=(workers, site), daemon=True).start()
        summary = crawl(master, site.url, folder, progress=True)
        print(f"\n{summary}\n")

        entries = read_manifest(folder)
        here = {entry.sha256 for entry in entries}
        missing = [path for path, body in site.images.items() if hashlib.sha256(body).hexdigest() not in here]
        again = sum(queue["redelivered"] for queue in master.stats()["queues"].values())
        shares = Counter(entry.worker for entry in entries if entry.worker)
        print("fetched by   " + ", ".join(f"{name}: {count}" for name, count in sorted(shares.items())))
        print(f"redelivered  {again} (what the killed worker had in hand)")
        print(f"missing      {len(missing)}; each picture is compared with its original")
        contact_sheet(folder).save(folder / "contact-sheet.png")
        print(f"all on one   {folder / 'contact-sheet.png'}")
    return 1 if missing else 0


def kill_half_way(workers: LocalWorkers, site: sandbox.Site) -> None:
    """SIGKILL one of the workers as soon as half of the pictures have been asked for."""
    while len(site.requests.keys() & site.images.keys()) < len(site.images) / 2:
        threading.Event().wait(LOOK)
    name = workers.kill()
    tqdm.write(f"  SIGKILL: {name} dies in the middle of its task; its work goes to the others")
