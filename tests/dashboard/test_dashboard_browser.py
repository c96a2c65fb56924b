"""The dashboard in a real JupyterLab, Notebook and Voila, in a real browser. Screenshots go to build/screenshots."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from dqlab.dashboard.history import History
from tests.browser import ROOT, browser_page, open_notebook
from tests.client.test_recording import simulated_record
from tests.cluster import cluster
from tests.helpers import eventually, free_port

SCREENSHOTS = ROOT / "build" / "screenshots"

#: What pages complain of that show no dashboard, too: Voila asks a CDN for icons that it has itself, and loads
#: Notebook's extension, which it cannot use; Notebook 7.6 misses a settings schema and a command.
NOT_OURS = ("ERR_NAME_NOT_RESOLVED", "shared module is not a function", "not registered.", "reading 'schema'")

START = """
from dqlab import Dashboard, LocalWorkers, Master
master = Master()
workers = LocalWorkers(master, 2).wait(30)
dashboard = Dashboard(master, demo=True)
dashboard
"""
FEED = """
dashboard.demo.seconds, dashboard.demo.rate = 0.25, 12
"""
CHECK = """
import time
dashboard.demo.rate = 0
deadline = time.monotonic() + 30
counts = lambda: master.stats()["queues"]["default"]
while counts()["done"] < dashboard.demo.submitted and time.monotonic() < deadline:
    time.sleep(0.1)
print(f"lost: {dashboard.demo.submitted - counts()['done']}, redelivered: {counts()['redelivered']}")
"""
END = """
master.shutdown(wait=False)
"""
REPLAY = """
from dqlab import Dashboard
replay = Dashboard.replay("run.jsonl")
replay
"""
#: markup that shows when it is taken for such
EVIL = """"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"""
#: the drawing alone, in a page without Jupyter
PAGE = """<body><div id="place" style="width: 900px"></div><script type="module">{script}
const state = {state};
const model = {{get: (name) => state[name], set() {{}}, save_changes() {{}}, on() {{}}, off() {{}}}};
drawing.initialize({{model}}); drawing.render({{model, el: document.getElementById("place")}});</script>"""


@contextmanager
def serving(command: list[str], folder: Path, says: str) -> Iterator[str]:
    """Run a Jupyter application in ``folder`` and yield the address that it prints, as the pattern ``says``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / ".ipython")}
    environment |= {f"JUPYTER_{kind}_DIR": str(folder / f".{kind.lower()}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    with (folder / "server.log").open("w+") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            found = eventually(lambda: re.search(says, (folder / "server.log").read_text()), 60, "an address", 0.1)
            yield found[1]
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / ".lab" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    options = [f"--port={free_port()}", "--no-browser", "--ServerApp.answer_yes=True", f"--ServerApp.root_dir={folder}"]
    options += [f"--LabApp.user_settings_dir={folder / '.lab'}", f"--LabApp.workspaces_dir={folder / '.spaces'}"]
    options += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with serving(["jupyterlab", *options], folder, r"(http://127\S+/)lab\?token=\w+") as address:
        token = re.search(r"token=(\w+)", (folder / "server.log").read_text())
        yield f"{address}|{token[1] if token else ''}", folder


def opened(page: Page, lab: tuple[str, Path], name: str, cells: list[str], place: str = "lab/tree") -> None:
    """Write a notebook of ``cells``, open it and run it all."""
    base, token = lab[0].split("|")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, lab[1] / name)
    address = f"{base}{place}/{name}?token={token}&reset"
    if place.startswith("lab"):
        open_notebook(page, address)
    else:  # Notebook has no status bar
        page.goto(address)
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=60_000)
    run_all(page)


def run_all(page: Page) -> None:
    """Run every cell; again if JupyterLab, not quite ready, did nothing."""

    def begun() -> bool:
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        page.locator("li[data-command='runmenu:run-all']").click()
        with suppress(AssertionError):
            expect(page.locator(".jp-InputPrompt").first).to_have_text(re.compile(r"\[[*\d]"), timeout=3_000)
            return True
        return False

    eventually(begun, 30, "cells that run")


def run_cell(page: Page, cell: str) -> str:
    """Write ``cell`` into the last cell, run it, and return what it printed once it has ended."""
    box = page.locator(".jp-Notebook .jp-CodeCell").last
    box.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(cell.strip())
    before = box.locator(".jp-InputPrompt").inner_text().strip()
    page.keyboard.press("Control+Enter")
    ended = re.compile(rf"^(?!{re.escape(before)})\[\d+\]")  # the number of an earlier run may still stand there
    expect(box.locator(".jp-InputPrompt")).to_have_text(ended, timeout=60_000)
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    expect(idle).not_to_have_count(0, timeout=20_000)  # what it printed came before; hidden by a toolbar once narrow
    return "\n".join(box.locator(".jp-OutputArea-output").all_inner_texts())


def ours(complaints: list[str]) -> list[str]:
    return [text for text in complaints if not any(known in text for known in NOT_OURS)]


def until(picture: Locator, name: str, holds: str, seconds: float = 30.0) -> None:
    """Wait until a fact that the picture shows, one of its data attributes, matches the pattern ``holds``."""
    expect(picture).to_have_attribute(f"data-{name}", re.compile(f"^(?:{holds})$"), timeout=seconds * 1000)


def use_theme(page: Page, name: str) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Settings$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{name}$")).click()


def shoot(page: Page, picture: Locator, name: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    picture.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    return SCREENSHOTS / f"{name}.png"


@pytest.mark.timeout(240)
def test_live_workers_come_and_are_killed_queues_pause_and_nothing_is_lost(lab: tuple[str, Path]) -> None:
    complaints: list[str] = []
    with browser_page(complaints) as page:
        page.set_viewport_size({"width": 1280, "height": 720})
        opened(page, lab, "live.ipynb", [START, "pass"])
        picture, board = page.locator(".dqlab"), page.locator(".dqlab-dashboard")
        page.keyboard.press("Control+B")
        until(picture, "state", "empty")
        until(picture, "lanes", "2")
        height = picture.bounding_box()["height"]
        run_cell(page, FEED)
        until(picture, "state", "busy")
        until(picture, "rate", r"[1-9]\d*\.\d")
        for name in ("Worker", "Queue"):
            expect(board.get_by_role("combobox", name=name, exact=True)).to_be_visible()
        board.get_by_role("button", name="Add worker").click()
        until(picture, "workers", "3")
        until(picture, "lanes", "3")
        board.get_by_role("button", name="Kill worker").click()
        until(picture, "crosses", "1")
        until(picture, "links", "[1-9]")
        until(picture, "workers", "2")
        assert picture.bounding_box()["height"] == height, "the page below jumped"
        shoot(page, board, "live-light")
        board.get_by_role("button", name="Pause").click()
        until(picture, "state", "paused")
        until(picture, "rate", r"0\.0")
        assert "Paused: default" in picture.inner_text()
        use_theme(page, "JupyterLab Dark")
        expect(picture).to_have_class(re.compile(r"\bdark\b"))
        shoot(page, board, "paused-dark")
        board.get_by_role("button", name="Resume").click()
        until(picture, "state", "busy")
        until(picture, "rate", r"[1-9]\d*\.\d")
        shoot(page, board, "live-dark")
        use_theme(page, "JupyterLab Light")
        assert re.match("lost: 0, redelivered: [1-9]", run_cell(page, CHECK))
        until(picture, "state", "finished")
        run_cell(page, END)
        until(picture, "state", "over")
        expect(picture).to_contain_text("Ended")
        expect(picture).to_contain_text("the master was shut down")
        expect(board.get_by_role("button", name="Kill worker")).to_be_disabled()
        shoot(page, board, "over-light")
    assert complaints == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("place", ["lab/tree", "notebooks"], ids=["jupyterlab", "notebook-7"])
def test_a_replay_plays_and_is_scrubbed_without_a_master(lab: tuple[str, Path], place: str) -> None:
    simulated_record(lab[1] / "run.jsonl")
    complaints: list[str] = []
    with browser_page(complaints) as page:
        page.set_viewport_size({"width": 1280, "height": 720})
        opened(page, lab, "replay.ipynb", [REPLAY, "pass"], place)
        picture = page.locator(".dqlab")
        until(picture, "crosses", "1")
        until(picture, "done", "[4-6][0-9]")
        shoot(page, picture, f"replay-{place.split('/')[0]}")
        slider = picture.get_by_role("slider")
        slider.fill("2")
        until(picture, "crosses", "0")
        until(picture, "done", r"\d|1\d")
        assert run_cell(page, "print(replay.at)").strip() == "2.0"
        run_cell(page, "replay.at = 15.7")
        picture.locator(".failures summary").click()
        expect(picture.locator(".failures pre")).to_contain_text("job.py")
        run_cell(page, "replay.at = 24")
        expect(picture.locator(".failures summary")).to_have_count(2)
        expect(picture.locator("pre:visible")).to_have_count(1)  # what is being read stays open
        for width in (1280, 860, 660):
            page.set_viewport_size({"width": width, "height": 720})
            cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"
            assert picture.locator(".tiles output").evaluate_all(cut) == []
        page.set_viewport_size({"width": 1280, "height": 720})
        run_cell(page, "replay.at = 5")
        until(picture, "crosses", "1")
        picture.get_by_role("combobox").select_option("10")
        picture.get_by_role("button", name="Play").click()
        until(picture, "at", r"1\d.*|2\d.*")
        expect(picture.get_by_role("button", name="Play")).to_be_visible(timeout=20_000)
        box = picture.locator("canvas.lane").bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 14)
        expect(picture.locator(".tip")).to_contain_text(re.compile("Task|w1"))
    assert (complaints if place == "lab/tree" else ours(complaints)) == []


@pytest.mark.timeout(180)
def test_voila_shows_the_same_dashboard(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell((START + FEED).replace("dashboard\n\n", "\n") + "dashboard")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "live.ipynb")
    command = ["voila", "live.ipynb", "--no-browser", f"--port={free_port()}"]
    complaints: list[str] = []
    with serving(command, tmp_path, r"(http://\S+:\d+/)") as address, browser_page(complaints) as page:
        page.set_viewport_size({"width": 1280, "height": 720})
        page.goto(address)
        picture, board = page.locator(".dqlab"), page.locator(".dqlab-dashboard")
        until(picture, "state", "busy", 60)
        until(picture, "lanes", "2")
        board.get_by_role("button", name="Add worker").click()
        until(picture, "lanes", "3")
        shoot(page, board, "voila-light")
    assert ours(complaints) == []


@pytest.mark.timeout(180)
def test_dqlab_dashboard_serves_a_page_to_whoever_has_its_token(tmp_path: Path) -> None:
    complaints: list[str] = []
    with cluster(workers=2) as (master, _):
        command = ["dqlab", "dashboard", str(master.connection_file), "--no-browser", "--port=0", "--theme=dark"]
        with serving(command, tmp_path, r"(http://\S+token=\w+)") as address, browser_page(complaints) as page:
            page.goto(address.partition("?")[0])
            expect(page.locator(".dqlab")).to_have_count(0)
            assert "login" in page.url
            page.goto(address)
            picture = page.locator(".dqlab")
            until(picture, "lanes", "2", 60)
            expect(picture).to_have_class(re.compile(r"\bdark\b"))
            list(master.map(abs, range(1000)))
            until(picture, "done", "1000")
            shoot(page, picture, "page-dark")
    assert ours(complaints) == []


def test_markup_in_names_reasons_and_tracebacks_stays_text() -> None:
    history = History(window=None)
    about = {"worker": EVIL, "queue": EVIL, "reason": EVIL, "host": EVIL, "task": 3}
    history.feed([{**about, "seq": 1, "time": 1.0, "kind": "worker_joined"}])
    history.feed([{**about, "seq": 2, "time": 2.0, "kind": "failed"}])
    history.feed([{"time": 2.0, "kind": "failure", "task": 3, "text": EVIL}])
    history.feed([{**about, "seq": 3, "time": 2.0, "kind": "printed", "text": EVIL}])
    state = {
        "picture": history.frame(), "parts": ["numbers", "charts", "lanes", "output", "failures"], "window": 60,
        "note": EVIL, "ended": "", "replay": True, "at": 2, "speed": 1,
    }  # fmt: skip
    script = Path(ROOT, "dqlab", "dashboard", "dashboard.js").read_text().replace("export default", "const drawing =")
    complaints: list[str] = []
    with browser_page(complaints) as page:
        page.set_content(PAGE.format(script=script, state=json.dumps(state).replace("</", "<\\/")))
        expect(page.locator(".failures summary")).to_have_text(EVIL)
        expect(page.locator(".failures pre")).to_have_text(EVIL)
        expect(page.locator(".output pre")).to_have_text(f"[{EVIL} task 3] {EVIL}")
        assert page.locator("img").count() == 0 and page.title() == "" and not complaints
