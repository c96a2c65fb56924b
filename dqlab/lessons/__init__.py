"""What the notebooks call besides dqlab itself: scripts as processes, guesses, pictures, and the exercises' checkers.

Each is short and meant to be opened: `scripts` starts and ends plain scripts, `guess` sets a prediction beside what was
measured, `pictures` draws, `cores` counts, `check` says what is wrong with an answer.
"""

from dqlab.lessons.guess import compare
from dqlab.lessons.scripts import Script, enter_folder, free_port, run, show, who_says
from dqlab.process.cores import usable_cores

__all__ = ["Script", "compare", "enter_folder", "free_port", "run", "show", "usable_cores", "who_says"]
