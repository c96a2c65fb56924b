"""`make lab`: start JupyterLab with the settings of config.py, beside this file, until Ctrl-C."""

import os
import sys
from pathlib import Path

from jupyterlab.labapp import LabApp

CONFIG = Path(__file__).resolve().parent / "config.py"

code: object = 0
try:
    LabApp.launch_instance([f"--config={CONFIG}", *sys.argv[1:]])
except SystemExit as end:
    code = end.code
sys.stdout.flush()
sys.stderr.flush()
# By now the kernels have ended and the server has tidied up. A thread of it that served a browser may wait for ever,
# though, and Python would wait for that thread: Ctrl-C would not end the process as long as a page is open.
os._exit(code if isinstance(code, int) else 1 if code else 0)
