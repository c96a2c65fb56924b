"""The dashboard against a real master, without a browser: what it follows, what its buttons do, how it ends."""

from __future__ import annotations

import base64
import gc
import io
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import psutil
import pytest
from PIL import Image

from dqlab import BadInput, Dashboard, Master, trace
from dqlab.dashboard.controls import Controls
from dqlab.dashboard.demo import nap
from dqlab.dashboard.page import page
from tests.broker.simulated_master import SimulatedMaster
from tests.client.test_recording import simulated_record
from tests.cluster import cluster, wait_for
from tests.helpers import eventually
from tests.journal import Command
from tests.journal import end as end_process


@pytest.fixture(autouse=True)
def widgets_closed() -> Iterator[None]:
    """ipywidgets keeps every widget for ever; close what a test has made, as the end of a kernel does."""
    yield
    ipywidgets.Widget.close_all()
    gc.collect()


def click(dashboard: Dashboard, name: str) -> None:
    dashboard.controls.buttons[name].click()


def fail(n: int) -> None:
    raise ValueError(f"picture {n} is broken")


def test_it_follows_a_master_and_says_when_that_is_gone() -> None:
    with cluster(workers=2) as (master, _):
        dashboard = Dashboard(master, controls=False)
        assert repr(dashboard) == "<Dashboard: live>"
        eventually(lambda: dashboard.state == "empty" and len(dashboard.history.workers) == 2)
        assert sum(master.map(nap, [0.01] * 20)) == pytest.approx(0.2)
        eventually(lambda: dashboard.state == "finished")
        done = [bar for lane in dashboard.history.lanes.values() for bar in lane.bars]
        assert sum(bar.count for bar in done) == 20
    eventually(lambda: dashboard.state == "ended")
    assert "the master was shut down" in dashboard.picture.ended and not dashboard.picture.lost
    eventually(lambda: threads() == 0)


def test_a_master_that_is_killed_is_lost_and_not_just_ended() -> None:
    with Master() as master:
        dashboard = Dashboard(master, controls=False)
        eventually(lambda: dashboard.state == "empty")
        psutil.Process(master.pid).kill()
        eventually(lambda: dashboard.state == "ended")
        assert "the master is gone" in dashboard.picture.ended and dashboard.picture.lost


def test_a_master_with_a_journal_is_away_and_comes_back(tmp_path: Path) -> None:
    with Command(tmp_path / "jobs.db") as command, command.connect() as client:
        worker = command.worker()
        dashboard = Dashboard(client, controls=False)
        recorder = client.record(tmp_path / "run.jsonl")
        assert client.submit(nap, 0.0).result(60) == 0.0
        eventually(lambda: dashboard.state == "finished" and dashboard.history.workers == ["w1"])
        assert not client.away
        command.kill()
        eventually(lambda: dashboard.state == "away" and client.away)
        command.type()
        assert client.submit(nap, 0.0).result(60) == 0.0
        eventually(lambda: dashboard.state == "finished" and dashboard.history.levels[3] == 2)
        assert dashboard.history.workers == ["w1"] and not client.away and not dashboard.picture.ended
        ((begin, end),) = dashboard.history.absences
        assert 0 < begin < end < dashboard.history.now
        replay = Dashboard.replay(recorder.stop())
        assert len(replay.history.absences) == 1 and replay.history.levels[3] == 2
        end_process(worker)
    dashboard.close()
    eventually(lambda: threads() == 0)


def threads() -> int:
    """How many dashboards of this process follow a master."""
    return sum(thread.name == "dqlab-dashboard" for thread in threading.enumerate())


@pytest.mark.filterwarnings("ignore:dqlab. .* cancelled at the end of the master")
def test_add_stop_and_kill_act_on_the_workers(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with cluster(workers=1) as (master, workers):
        dashboard = Dashboard(master)
        eventually(lambda: dashboard.history.workers == ["w1"])
        click(dashboard, "Add worker")
        eventually(lambda: dashboard.history.workers == ["w1", "w2"])
        futures = [master.submit(wait_for, str(gate)) for _ in range(2)]
        eventually(lambda: dashboard.controls.worker.options == ("any worker", "w1", "w2"))
        dashboard.controls.worker.value = "w1"
        eventually(lambda: dashboard.history.lanes["w1"].task is not None)
        click(dashboard, "Kill worker")
        eventually(lambda: dashboard.history.lanes["w1"].end == "died")
        gate.touch()
        assert [future.result(20) for future in futures] == ["it is there"] * 2
        eventually(lambda: [(link.source, link.target) for link in dashboard.history.links] == [("w1", "w2")])
        assert dashboard.controls.worker.value == "any worker"
        for _ in range(20):
            master.submit(nap, 0.2)
        eventually(lambda: dashboard.history.lanes["w2"].task is not None)
        click(dashboard, "Stop worker")
        eventually(lambda: dashboard.history.lanes["w2"].end == "stopped")
        eventually(lambda: dashboard.controls.buttons["Kill worker"].disabled)
        dashboard.close()


def test_a_worker_that_a_button_started_can_be_chosen_and_killed() -> None:
    with cluster(workers=1) as (master, workers):
        dashboard = Dashboard(master)
        click(dashboard, "Add worker")
        eventually(lambda: "w2" in dashboard.controls.worker.options, 30)
        dashboard.controls.worker.value = "w2"
        click(dashboard, "Kill worker")
        eventually(lambda: dashboard.picture.note == "w2 was killed (SIGKILL)")
        eventually(lambda: workers.names == ["w1"])
        dashboard.close()


def test_if_any_worker_will_do_one_that_is_at_work_is_killed(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with cluster(workers=3) as (master, workers):
        dashboard = Dashboard(master)
        eventually(lambda: len(dashboard.history.workers) == 3 and len(dashboard.controls.worker.options) == 4)
        future = master.submit(wait_for, str(gate))
        (victim,) = eventually(lambda: [w["name"] for w in master.stats()["workers"] if w["running"] is not None])
        click(dashboard, "Kill worker")
        eventually(lambda: dashboard.picture.note == f"{victim} was killed (SIGKILL)")
        gate.touch()
        assert future.result(20) == "it is there"
        dashboard.close()


def test_pause_resume_and_requeue_act_on_the_queues() -> None:
    with cluster(workers=1) as (master, _):
        dashboard = Dashboard(master)
        assert isinstance(master.submit(fail, 3).exception(20), ValueError)
        eventually(lambda: dashboard.history.failures and dashboard.history.failures[0][4])
        assert dashboard.history.failures[0][3] == "ValueError: picture 3 is broken"
        assert "Traceback" in dashboard.history.failures[0][4]
        click(dashboard, "Pause")
        eventually(lambda: dashboard.state == "paused")
        eventually(lambda: dashboard.controls.buttons["Pause"].disabled)
        click(dashboard, "Requeue failed")
        eventually(lambda: dashboard.picture.note == "1 failed task made ready again")
        eventually(lambda: dashboard.history.levels[0] == 1)
        click(dashboard, "Resume")
        eventually(lambda: dashboard.history.levels[4] == 1 and dashboard.state == "finished")
        dashboard.close()


def test_all_queues_and_any_worker_are_those_of_the_master_not_those_that_the_menus_offer_yet() -> None:
    with cluster(workers=1) as (master, _):
        assert isinstance(master.submit(fail, 3).exception(20), ValueError)
        said: list[str] = []
        controls = Controls(master, said.append)  # nothing has refreshed its menus
        controls.buttons["Pause"].click()
        eventually(lambda: said == ["paused: all queues"])
        assert master.stats()["queues"]["default"]["paused"]
        controls.buttons["Stop worker"].click()
        eventually(lambda: len(said) == 2 and said[1].endswith("stops after the task in hand"))
        controls.close()


def test_an_action_that_fails_says_so() -> None:
    with Master() as master:
        dashboard = Dashboard(master)
        click(dashboard, "Kill worker")
        eventually(lambda: dashboard.picture.note == "LookupError: there is no worker")
        dashboard.close()


def test_the_demo_feeds_at_the_rate_that_a_cell_or_the_slider_sets() -> None:
    with cluster(workers=2) as (master, _):
        dashboard = Dashboard(master, demo=True)
        dashboard.demo.seconds, dashboard.demo.rate = 0.02, 50
        eventually(lambda: dashboard.controls.sliders["rate"].value == 50)
        eventually(lambda: dashboard.demo.submitted >= 20)
        dashboard.controls.sliders["rate"].value = 0
        assert dashboard.demo.rate == 0
        eventually(lambda: dashboard.state == "finished" and dashboard.history.levels[3] == dashboard.demo.submitted)
        dashboard.close()


def test_a_new_dashboard_ends_the_older_one_of_the_same_master() -> None:
    with Master() as master:
        older, newer = Dashboard(master), Dashboard(master)
        assert older.state == "ended" and "newer" in older.picture.ended
        eventually(lambda: threads() == 1)
        assert newer.state != "ended"
        newer.close()


def test_only_what_changed_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    master = SimulatedMaster(workers=2, seconds=0.1, live=True)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr("dqlab.dashboard.picture.SETTLING", 0.0)
    monkeypatch.setattr("dqlab.dashboard.picture.Picture.send", lambda self, frame: sent.append(frame))
    dashboard = Dashboard(master, controls=False)
    master.submit(20)
    eventually(lambda: dashboard.state == "finished")
    quiet = len(sent)
    eventually(lambda: len(sent) > quiet + 1)
    assert not any(frame["key"] for frame in sent[1:])
    assert sent[-1]["lanes"] == [] and sent[-1]["links"] == [] and len(sent[-1]["bins"]) == 1
    dashboard.close()


def test_whoever_looks_after_the_end_sees_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dqlab.dashboard.picture.SETTLING", 0.0)
    with cluster(workers=1) as (master, _):
        dashboard = Dashboard(master, controls=False)
        list(master.map(nap, [0.01] * 20))
        eventually(lambda: dashboard.state == "finished")
    eventually(lambda: threads() == 0)
    assert dashboard.picture.picture == dashboard.history.frame()


def test_a_replay_shows_a_record_and_moves(tmp_path: Path) -> None:
    simulated_record(tmp_path / "run.jsonl")
    replay = Dashboard.replay(tmp_path / "run.jsonl", speed=2)
    assert repr(replay) == f"<Dashboard: replay of run.jsonl, {replay.history.now:.1f} s>"
    assert replay.state == "finished" and replay.at == replay.history.now
    replay.at = 3.5
    assert replay.picture.at == 3.5
    replay.at = 1e9
    assert replay.at == replay.history.now
    replay.close()


def test_a_replay_brings_a_still_for_pages_that_run_nothing(tmp_path: Path) -> None:
    simulated_record(tmp_path / "run.jsonl")
    replay = Dashboard.replay(tmp_path / "run.jsonl")
    bundle = replay._repr_mimebundle_()
    assert bundle["text/plain"] == repr(replay)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    image = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert image.size == (1000, 38 + 3 * 24 + 24)
    assert len(image.convert("RGB").getcolors(1 << 16)) > 6, "lanes, bars and words"
    replay.close()


def test_record_replay_and_trace_of_a_real_run(tmp_path: Path) -> None:
    with cluster(workers=2) as (master, workers):
        recorder = master.record(tmp_path / "run.jsonl")
        futures = [master.submit(nap, 0.1) for _ in range(12)]
        eventually(lambda: any(worker["running"] for worker in master.stats()["workers"]))
        killed = workers.kill()
        assert [future.result(20) for future in futures] == [0.1] * 12
        recorder.stop()
        counts = master.stats()["queues"]["default"]
    replay = Dashboard.replay(tmp_path / "run.jsonl")
    assert replay.history.levels[3:6] == [12, 0, counts["redelivered"]]
    assert [lane.name for lane in replay.history.lanes.values() if lane.end == "died"] == [killed]
    assert trace(tmp_path / "run.jsonl", tmp_path / "run.json").stat().st_size > 1_000
    replay.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Dashboard("127.0.0.1:5000"), "give it a Master"),
        (lambda: Dashboard(SimulatedMaster(), window=0), "seconds, from 1 to 3600"),
        (lambda: Dashboard(SimulatedMaster(), parts=["curve"]), "no 'curve'"),
        (lambda: Dashboard.replay("nothing.jsonl"), "there is no file"),
        (lambda: Dashboard.replay("nothing.jsonl", speed=0), "above 0"),
        (lambda: Dashboard.replay("nothing.jsonl", speed="fast"), "above 0"),
    ],
)
def test_bad_input_is_refused(make: Any, says: str) -> None:
    before = threading.active_count()
    with pytest.raises(BadInput, match=says):
        make()
    assert threading.active_count() == before


def test_importing_dqlab_and_asking_for_help_loads_no_widget() -> None:
    script = "import sys, dqlab, dqlab.cli\ntry: dqlab.cli.main(['dashboard', '--help'])\nexcept SystemExit: pass\n"
    script += "assert not {'ipywidgets', 'anywidget', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30, stdout=subprocess.DEVNULL)


def test_a_missing_package_is_named_with_what_to_install() -> None:
    script = "import sys\nsys.modules['anywidget'] = None\nfrom dqlab import Dashboard\nDashboard()"
    done = subprocess.run([sys.executable, "-c", script], timeout=30, capture_output=True, text=True)
    assert "NotInstalled: Dashboard needs anywidget, which is missing (pip install 'dqlab[lab]')" in done.stderr


def test_without_voila_the_command_says_what_to_install() -> None:
    script = "import sys, dqlab.cli\nimport importlib.util as u\nfound = u.find_spec\n"
    script += "u.find_spec = lambda name, *more: None if name == 'voila' else found(name, *more)\n"
    script += "sys.exit(dqlab.cli.main(['dashboard', '127.0.0.1:1']))"
    done = subprocess.run([sys.executable, "-c", script], timeout=30, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "dqlab: the dashboard as a page needs voila\n  pip install 'dqlab[lab]' voila\n"


def test_the_command_checks_the_connection_before_it_opens_a_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dqlab", "dashboard", str(tmp_path / "nothing.json")]
    done = subprocess.run(command, timeout=30, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("dqlab: ") and "nothing.json" in done.stderr


@pytest.mark.parametrize("port", ["-1", "99999"])
def test_the_command_refuses_a_port_that_there_is_not(port: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dqlab", "dashboard", str(tmp_path / "nothing.json"), f"--port={port}"]
    done = subprocess.run(command, timeout=30, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"dqlab: port {port}\n")


def test_the_command_says_that_its_port_is_taken() -> None:
    with Master() as master, socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "dqlab", "dashboard", str(master.connection_file), f"--port={port}"]
        done = subprocess.run(command, timeout=30, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"dqlab: port {port} can't be had: Address already in use\n  --port 0 takes any free one\n"


def test_the_page_names_files_and_holds_no_key(tmp_path: Path) -> None:
    source = "".join(page("127.0.0.1:5000", tmp_path / "key")["cells"][0]["source"])
    assert f"Dashboard(connect('127.0.0.1:5000', authkey=read_key({str(tmp_path / 'key')!r})))" in source
    compile(source, "page", "exec")
