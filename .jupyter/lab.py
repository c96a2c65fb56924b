"""`make lab`: start JupyterLab with the settings of config.py, beside this file, until Ctrl-C."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyterlab.labapp import LabApp
from nbformat.sign import NotebookNotary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONFIG = HERE / "config.py"


def trust_the_course() -> None:
    """Sign the notebooks as they were committed, so that their widgets show again after a reload.

    A notebook is signed by what it says; one that differs from what was committed, or an unknown one, is not. Without
    git nothing is signed, and a cell that has been run is trusted all the same.
    """
    notary = NotebookNotary(data_dir=str(HERE / "state"))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        command = ["git", "show", f"HEAD:./{path.relative_to(ROOT).as_posix()}"]
        try:
            committed = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=10).stdout.decode("utf8")
        except OSError:
            return
        if committed and committed == path.read_text("utf8"):
            notary.sign(nbformat.reads(committed, as_version=4))


(HERE / "state").mkdir(exist_ok=True)
trust_the_course()

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
