"""What the notebooks call besides dqlab itself: scripts as processes, guesses, pictures, and the exercises' checkers.

Each is short and meant to be opened: `scripts` starts and ends plain scripts, `guess` sets a prediction beside what was
measured, `pictures` draws, `cells` knows which cell to run first, `check` says what is wrong with an
answer.
"""

from dqlab.lessons.cells import explain_missing_names
from dqlab.lessons.guess import compare
from dqlab.lessons.scripts import Script, enter_folder, free_port, notebook_folder, run, show, who_says
from dqlab.process.cores import usable_cores

__all__ = [
    "Script",
    "compare",
    "enter_folder",
    "free_port",
    "notebook_folder",
    "run",
    "show",
    "usable_cores",
    "who_says",
]

explain_missing_names()
