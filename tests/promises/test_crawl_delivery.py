"""The crawl with a real master and real workers: workers killed on the way, the kernel killed, the command."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from dqlab import LocalWorkers, Master, sandbox
from dqlab.crawl import crawl, read_manifest
from dqlab.crawl.summary import LOSSES
from dqlab.sandbox.pages import FALSE, FLAKY, MISSING, PRIVATE
from tests.cluster import child_of
from tests.helpers import eventually, free_port
from tests.journal import Command, end

FAILING = {MISSING, FALSE, f"{PRIVATE}secret.png"}


@pytest.fixture
def site():
    with sandbox.site() as site:
        dict(site.images)  # drawn before the clocks tick
        yield site


def path_of(url):
    return urlsplit(url)._replace(scheme="", netloc="").geturl()


def stored(out):
    """Check that the folder holds what its manifest says and nothing else; return the pictures' digests by path."""
    entries = read_manifest(out)
    files = {entry.path for entry in entries if entry.path}
    assert {path.name for path in out.iterdir()} - {"pages.jsonl"} == files | {"manifest.jsonl"}
    assert len(entries) == len((out / "manifest.jsonl").read_text().splitlines())
    for entry in entries:
        if entry.error is None:
            body = (out / entry.path).read_bytes()
            assert (len(body), hashlib.sha256(body).hexdigest()) == (entry.bytes, entry.sha256)
    return {path_of(entry.url): entry.sha256 for entry in entries}


def originals(site):
    return {path: hashlib.sha256(body).hexdigest() for path, body in site.images.items()} | dict.fromkeys(FAILING)


def asked_for_half(site):
    return len(site.requests.keys() & set(site.images)) >= len(site.images) // 2


@pytest.mark.parametrize("who", ["a worker", "the child of a worker"])
def test_one_of_four_workers_is_killed_half_way(site, tmp_path, who):
    site.delay = 0.02
    with Master() as master:
        workers = LocalWorkers(master, 4).wait()

        def kill():
            eventually(lambda: asked_for_half(site), timeout=60)
            if who == "a worker":
                workers.kill()
            else:
                psutil.Process(workers.pids["w1"]).children()[0].kill()

        killer = threading.Thread(target=kill)
        killer.start()
        summary = crawl(master, site.url, tmp_path)
        killer.join()
        left = len(workers)

    assert stored(tmp_path) == originals(site)
    assert (summary.images, summary.failed) == (len(site.images), len(FAILING))
    assert left == (3 if who == "a worker" else 4)
    assert {entry.worker for entry in read_manifest(tmp_path)} <= {"w1", "w2", "w3", "w4"}


def test_a_master_shows_why_something_is_not_coming(site, tmp_path):
    """On the dashboard: a queue for pages and one for pictures, and each reason once among the failures."""
    with Master() as master, LocalWorkers(master, 2):
        summary = crawl(master, site.url, tmp_path)
        queues, failures = master.stats()["queues"], master.failures()

    told = {(failure["queue"], failure["reason"].rpartition(": http")[0].split(": ", 1)[1]) for failure in failures}
    assert told >= {("images", reason) for reason, _ in summary.reasons if reason != "robots.txt forbids it"}
    assert {reason for _, reason in told} == dict(summary.reasons).keys() | dict(summary.page_reasons).keys()
    assert len(failures) == len(told)
    for name in ("pages", "images"):
        assert queues[name]["done"] > 0
        assert queues[name]["ready"] == queues[name]["leased"] == 0


def test_a_second_run_downloads_nothing_again(site, tmp_path):
    with Master() as master:
        LocalWorkers(master, 2)
        crawl(master, site.url, tmp_path)
        files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*[!l]")}
        before = site.requests
        summary = crawl(master, site.url, tmp_path)

    assert {path for path in site.requests - before if path in originals(site)} == {MISSING, FALSE}
    assert (summary.images, summary.kept) == (0, len(site.images))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*[!l]")} == files
    assert stored(tmp_path) == originals(site)


def test_only_the_client_writes(site, tmp_path, monkeypatch):
    for place in ("workers", "client"):
        (tmp_path / place).mkdir()
    with Master() as master:
        monkeypatch.chdir(tmp_path / "workers")
        LocalWorkers(master, 2).wait()
        monkeypatch.chdir(tmp_path / "client")
        crawl(master, site.url, "out", max_pages=2)

    assert list((tmp_path / "workers").iterdir()) == []
    assert stored(tmp_path / "client" / "out")


KERNEL = """
import sys
from dqlab import LocalWorkers, Master
from dqlab.crawl import crawl

if __name__ == "__main__":
    with Master() as master:
        workers = LocalWorkers(master, 4).wait()
        print(master.pid, *workers.pids.values(), flush=True)
        crawl(master, sys.argv[1], sys.argv[2])
"""


def test_when_the_kernel_is_killed_no_process_of_it_is_left(site, tmp_path):
    site.delay = 0.05
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    out = tmp_path / "out"
    command = [sys.executable, str(script), site.url, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as kernel:
        family = [psutil.Process(int(pid)) for pid in kernel.stdout.readline().split()]
        family += [child_of(process.pid) for process in family[1:]]
        assert len(family) == 1 + 4 + 4
        eventually(lambda: asked_for_half(site), timeout=60)
        kernel.kill()
        eventually(
            lambda: not any(alive(process) for process in family), timeout=5, what="processes of the kernel left"
        )

    good = [entry for entry in read_manifest(out) if entry.error is None]
    assert good
    site.delay = 0
    with Master() as master:
        LocalWorkers(master, 2)
        summary = crawl(master, site.url, out)
    assert summary.kept >= len(good)
    assert stored(out) == originals(site)


def alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


class TestCommand:
    """`dqlab crawl`."""

    def start(self, *words):
        command = [sys.executable, "-m", "dqlab", "crawl", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment(), **pipes)

    def run(self, *words):
        with self.start(*words) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def test_it_brings_everything_and_says_so(self, site, tmp_path):
        out = tmp_path / "out"

        code, output, errors = self.run(site.url, "--out", out, "-n", 2)

        assert (code, errors) == (LOSSES, "")  # a picture is missing there, another is none
        assert output.startswith("208 images, 3.")
        assert output.endswith(f"they lie in {out}\n")
        assert stored(out) == originals(site)

    def test_it_uses_the_workers_of_a_running_master(self, site, tmp_path):
        words = [site.url, "--out", tmp_path / "out", "--max-pages", 1, "--connection"]
        with Master() as master:
            LocalWorkers(master, 1)
            key = tmp_path / "key"
            key.write_bytes(master.connection.authkey + b"\n")
            first = self.run(*words, master.connection_file)
            second = self.run(*words, master.address, "--authkey-file", key)

        assert [code for code, _, _ in (first, second)] == [0, LOSSES]  # the second reads more pages
        assert first[1].startswith("8 images")
        assert "8 were here already" in second[1]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_leaves_a_sound_folder_and_no_process(self, site, tmp_path, number):
        site.delay = 0.1
        with self.start(site.url, "--out", tmp_path, "-n", 2) as process:
            eventually(lambda: site.requests.keys() & set(site.images), timeout=60)
            process.send_signal(number)
            output, errors = process.communicate(timeout=20)

        assert (process.returncode, output) == (130, "")
        assert "Traceback" not in errors
        assert f"interrupted; what has arrived lies in {tmp_path}" in errors
        assert set(stored(tmp_path).items()) <= set(originals(site).items())

    def test_what_is_wrong_is_said_in_a_line_and_a_hint(self, tmp_path):
        file = tmp_path / "file"
        file.write_text("x")
        out = tmp_path / "out"
        port = free_port()
        for words, code, message in (
            (["nonsense", "--out", out], 2, "'nonsense' is no address of a web page"),
            (["http://host/", "--out", file], 2, f"{file} is not a folder"),
            (["http://host/", "--out", out, "-n", 0], 2, "-n 0 makes no sense"),
            (["http://host/", "--out", out, "-n", "x"], 2, "invalid int value: 'x'"),
            (["http://host/"], 2, "--out"),
            (["http://host/", "--out", out, "--max-pages", 0], 2, "max_pages=0 makes no sense"),
            (["http://host/", "--out", out, "--connection", tmp_path / "none"], 2, "none: No such file"),
            (["http://host/", "--out", out, "--connection", "f", "-n", 2], 2, "not allowed with"),
            ([f"http://127.0.0.1:{port}/", "--out", out, "-n", 1], 1, "can't be fetched: Connection refused"),
        ):
            got, output, errors = self.run(*words)
            lines = errors.splitlines()
            assert (got, output) == (code, ""), errors
            assert lines[0].startswith("dqlab: ") and message in lines[0]
            assert len(lines) == 2 and lines[1].startswith("  ")

    def test_help_explains_each_option(self):
        code, output, _ = self.run("--help")

        assert code == 0
        for option in (
            "URL",
            "--out DIR",
            "-n N",
            "--connection",
            "--max-pages",
            "--delay",
            "--timeout",
            "--max-bytes",
        ):
            assert option in output


def test_with_a_journal_everything_may_be_killed_and_the_same_commands_go_on(site, tmp_path):
    site.delay = 0.02
    out = tmp_path / "out"
    words = [site.url, "--out", out, "--connection", tmp_path / "jobs.db.connection"]
    with Command(tmp_path / "jobs.db") as command:
        workers = [command.worker() for _ in range(2)]
        with TestCommand().start(*words) as crawling:
            eventually(lambda: asked_for_half(site), timeout=60)
            command.kill()
            for process in [crawling, *workers]:
                end(process)
        good = {path_of(entry.url) for entry in read_manifest(out) if entry.error is None}
        before = site.requests
        command.type()
        workers = [command.worker() for _ in range(2)]
        try:
            code, output, errors = TestCommand().run(*words)
        finally:
            for process in workers:
                end(process)

    assert good and (code, errors) == (LOSSES, ""), (output, errors)
    assert stored(out) == originals(site)
    again = site.requests - before
    assert not good & {path for path in again if path in site.images}  # what was home is not asked for again


def test_a_flaky_picture_arrives(site, tmp_path):
    with Master() as master:
        LocalWorkers(master, 1)
        crawl(master, f"{site.url}about.html", tmp_path, max_pages=1)

    assert stored(tmp_path)[FLAKY] == originals(site)[FLAKY]
