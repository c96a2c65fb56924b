"""The command behind every process of ours: the same Python, the same options, and nothing of the working folder."""

import os
import subprocess
import sys

import pytest

from dqlab import LaunchFailed, Master
from dqlab.process.python_command import ROOT, python_command
from tests.cluster import run, script

WITH_OPTIONS = """
    import os, sys
    from dqlab import LocalWorkers, Master

    def seen():
        import os, sys
        path = os.environ.get("PYTHONPATH")
        return sys.flags.optimize, sys.warnoptions, dict(sys._xoptions), path

    if __name__ == "__main__":
        with Master() as master:
            LocalWorkers(master, 1)
            print(master.submit(seen).result(60) == seen(), *seen())
"""


def test_the_options_of_python_are_handed_on_and_no_variable_is_added(tmp_path):
    ended = run("-O", "-W", "ignore::UserWarning", "-X", "faulthandler", script(tmp_path, WITH_OPTIONS))
    assert ended.stdout.startswith("True 1 ['ignore::UserWarning'] {'faulthandler': True}"), ended.stderr


@pytest.mark.parametrize("name", ["queue", "random", "select", "json", "enum"])
def test_a_module_of_the_working_folder_does_not_take_the_standard_librarys_place(tmp_path, name):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / f"{name}.py").write_text("raise SystemExit('mine')\n")
    program = """
        from dqlab import LocalWorkers, Master

        if __name__ == "__main__":
            with Master() as master:
                LocalWorkers(master, 1)
                print(master.submit(pow, 2, 3).result(60))
        """
    ended = run(script(tmp_path, program), cwd=folder)
    assert (ended.stdout, ended.returncode) == ("8\n", 0), ended.stderr


def test_what_lies_in_dqlabs_own_folder_comes_last(tmp_path):
    found = "import sys, dqlab; from dqlab.process.python_command import python_command as c; print(c('x')[-1])"
    environment = {**os.environ, "PYTHONPATH": ROOT}
    program = subprocess.run([sys.executable, "-c", found], env=environment, capture_output=True, text=True).stdout
    assert f"sys.path.append({ROOT!r})" in program


def test_an_empty_interpreter_is_named(monkeypatch):
    for nothing in ("", None):
        monkeypatch.setattr(sys, "executable", nothing)
        with pytest.raises(LaunchFailed, match=r"sys\.executable is empty"):
            python_command("dqlab.cli")
        with pytest.raises(LaunchFailed, match=r"sys\.executable is empty"):
            Master()
