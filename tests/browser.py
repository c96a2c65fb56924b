"""A real JupyterLab, started by the command of `make lab`, and a real browser to look at it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.helpers import eventually, free_port

ROOT = Path(__file__).resolve().parent.parent

ADDRESS = r"http://127\S+token=\w+"

#: The names under which systems know it.
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: Without these Chromium calls its makers, which takes long where there is no internet.
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync"]


@contextmanager
def make_lab(folder: Path, seconds: float = 60.0) -> Iterator[str]:
    """Run `make lab` in a copy of the course in `folder`; yields the address that it prints within `seconds`."""
    for name in ("notebooks", ".jupyter"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("state", ".ipynb_checkpoints"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    # The environment that runs this test is the one that make would set up, so it is passed for done.
    command = ["make", "--old-file=.venv/.lab", "lab", f"BIN={Path(sys.executable).parent}"]
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["JUPYTER_PORT"] = str(free_port())
    with (folder / "lab.log").open("w") as log, terminal() as keyboard:
        lab = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=keyboard, stdout=log, stderr=log, start_new_session=True
        )
        try:
            address = eventually(lambda: re.search(ADDRESS, (folder / "lab.log").read_text()), seconds, "an address")
            yield address[0]
        finally:
            os.killpg(lab.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to make and to JupyterLab
            lab.wait(30)


@contextmanager
def terminal() -> Iterator[int]:
    """A terminal without a screen, as a file descriptor: JupyterLab heeds Ctrl-C only where it can be typed."""
    ours, theirs = os.openpty()
    try:
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)


@contextmanager
def browser_page(complaints: list[str], color_scheme: str = "light", zoom: float = 1.0) -> Iterator[Page]:
    """Open an empty page; whatever its console calls an error, or a server refuses, is added to `complaints`.

    Its window has 1280 pixels, with scroll bars as a reader has them; zoomed in, as many fewer fit into it.
    """
    sandbox = [] if hasattr(os, "geteuid") and os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, CHROMIUM)), None)  # if none: playwright's own, if it has one
        browser = playwright.chromium.launch(
            executable_path=installed, args=OFFLINE + sandbox, ignore_default_args=["--hide-scrollbars"]
        )
        window: ViewportSize = {"width": round(1280 / zoom), "height": round(900 / zoom)}
        page = browser.new_page(viewport=window, device_scale_factor=zoom, color_scheme=color_scheme)
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda reply: reply.status >= 400 and complaints.append(f"{reply.status} {reply.url}"))
        yield page
        browser.close()


def open_notebook(page: Page, address: str, seconds: float = 60.0) -> None:
    """Go to a notebook's `address` and wait until its cells are there and its kernel is ready."""
    page.goto(address)
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=seconds * 1000)
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=seconds * 1000)
