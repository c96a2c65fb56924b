"""`dqlab dashboard CONNECTION`: the dashboard as a page in the browser, served by Voila, where no notebook is."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from dqlab.errors import BadInput, DqlabError
from dqlab.wire.connection_file import read_key

__all__ = ["add_arguments", "page", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `dqlab dashboard` takes."""
    parser.add_argument("connection", metavar="CONNECTION", help="the master's connection file, or HOST:PORT")
    parser.add_argument("--authkey-file", metavar="F", help="file with the key (with HOST:PORT)")
    parser.add_argument(
        "--port", type=int, default=8866, help="port of the page on this machine (default: %(default)s)"
    )
    parser.add_argument("--theme", choices=("light", "dark"), default="light", help="(default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open no browser")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C. Each browser that opens it has a kernel of its own, which ends with the page."""
    from dqlab.client.client import connect

    if not 0 <= args.port <= 65535:
        raise BadInput(f"port {args.port}", "a number from 0 (any free one) to 65535")
    for package in ("voila", "ipywidgets", "anywidget"):
        if importlib.util.find_spec(package) is None:
            raise DqlabError(f"the dashboard as a page needs {package}", "pip install 'dqlab[lab]' voila")
    authkey = read_key(args.authkey_file) if args.authkey_file else None
    connect(args.connection, authkey=authkey).shutdown()  # what is wrong with the connection is said here
    port = _free(args.port)
    file = Path(args.authkey_file).absolute() if args.authkey_file else None
    with tempfile.TemporaryDirectory(prefix="dqlab-") as folder:
        notebook = Path(folder) / "dashboard.ipynb"
        notebook.write_text(json.dumps(page(_absolute(args.connection), file)), encoding="utf-8")
        options = [f"--port={port}", f"--theme={args.theme}", "--Voila.auto_token=True"]
        options += ["--Voila.ip=127.0.0.1", *(["--no-browser"] if args.no_browser else [])]
        voila = subprocess.Popen([sys.executable, "-m", "voila", str(notebook), *options])
        asked = threading.Event()

        def end(*_: object) -> None:
            asked.set()
            voila.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        code = voila.wait()
        return 0 if asked.is_set() else code


def _free(port: int) -> int:
    """The port, or for 0 any that is free: Voila would print the 0."""
    try:
        with socket.create_server(("127.0.0.1", port)) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        raise DqlabError(
            f"port {port} can't be had: {os.strerror(error.errno or 0)}", "--port 0 takes any free one"
        ) from None


def page(connection: str, authkey_file: Path | None = None) -> dict[str, Any]:
    """The notebook behind the page. It names the files with the key, and does not hold the key."""
    key = f", authkey=read_key({str(authkey_file)!r})" if authkey_file else ""
    source = [
        "from dqlab import Dashboard, connect\n",
        "from dqlab.wire.connection_file import read_key\n",
        f"Dashboard(connect({connection!r}{key}))",
    ]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "live",
        "metadata": {},
        "outputs": [],
        "source": source,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _absolute(connection: str) -> str:
    """Voila works in another folder: a file must be named in full."""
    return str(Path(connection).absolute()) if Path(connection).exists() else connection
