"""
How JupyterLab opens the course, with `make lab` (or `python .jupyter/lab.py`).

No question about news, the first notebook in front, and settings and open tabs kept in this project: a user's own
are neither read nor changed.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FIRST = next(name for name in ("index", "00_two_scripts") if (ROOT / "notebooks" / f"{name}.ipynb").exists())

c = get_config()  # noqa: F821 - Jupyter puts it there

c.LabApp.default_url = f"/lab/tree/notebooks/{FIRST}.ipynb"
#: Holds overrides.json, the settings with which the course begins.
c.LabApp.app_settings_dir = str(HERE)
#: Holds custom.css, how a folded output looks.
c.LabApp.custom_css = True
c.ServerApp.tornado_settings = {"static_custom_path": [str(HERE / "custom")]}
c.LabApp.user_settings_dir = str(HERE / "state" / "settings")
c.LabApp.workspaces_dir = str(HERE / "state" / "workspaces")

#: Which notebooks are trusted is kept here as well.
c.NotebookNotary.data_dir = str(HERE / "state")

c.ServerApp.root_dir = str(ROOT)
#: Where there is no screen (a server, an ssh session), the address that is printed is the way in.
c.ServerApp.open_browser = sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0
#: One Ctrl-C ends it, and the kernels with it.
c.ServerApp.answer_yes = True
#: The address stands alone in the terminal: only errors join it, and encrypted kernels have nothing to warn of.
c.Application.log_level = "ERROR"
c.ServerApp.jpserver_extensions = {"voila.server_extension": False}  # where installed, it turns warnings on
c.KernelManager.transport_encryption = "auto"
