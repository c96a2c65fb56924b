"""Lesson 11: what the checker says to a dozen jobs, whose bytes it weighs and whose urgent task it times."""

from pathlib import Path

import pytest

from dqlab.lessons import check
from dqlab.lessons.check import light_work
from tests.lessons.answers import learner, rows, solution, verdict

RIGHT = solution("11_load")
BULK = "def my_bulk(client, atlas, names):\n    return [client.submit(check.match, atlas, name) for name in names]\n"
URGENT = "def my_urgent(client, atlas, name):\n    return client.submit(check.match, atlas, name)\n"
ASIDE = URGENT.replace("client.submit", "client.options(queue='urgent').submit")
LIGHT, _, QUICK = RIGHT.partition("def my_urgent")
QUICK = "def my_urgent" + QUICK
PARTIAL = (BULK + ASIDE).replace(
    "submit(check.match, atlas, name)", "submit(functools.partial(check.match, atlas), name)"
)
ANOTHER_CLIENT = """
def my_urgent(client, atlas, name):
    with dqlab.connect(client.address, authkey=client.connection.authkey) as another:
        return another.submit(match_atlas, file, name).result()
"""


def all_of(line: str) -> str:
    """An answer whose bulk does that instead."""
    return f"def my_bulk(client, atlas, names):\n    {line}\n{ASIDE}"


TABLE = {
    "blank": ("my_bulk = ...\n" + ASIDE, "Not yet: the answer should be a function, and it is Ellipsis."),
    "raising": (all_of("1 / 0"), "Not yet: your job raised ZeroDivisionError: division by zero"),
    "nothing given": (all_of("pass"), "Not yet: my_bulk should give 40 futures or results, one for each name,"),
    "one future": (all_of("return client.submit(len, names)"), "one for each name, and it gave 1."),
    "at home": (
        LIGHT + "def my_urgent(client, atlas, name):\n    return check.match(atlas, name)",
        "your job raised dqlab.errors.DqlabError: check.match wants to be called by a worker, and this is your own pro",
    ),
    "as it was given": (BULK + URGENT, "0 of 40 others were left: that is the end of the line. Whose turn is it,"),
    "in a partial": (PARTIAL, "1.3 MB went over the wire"),
    "solution": (RIGHT, "Yes: 40 of 40 results, 0.0"),
    "heavy": (
        BULK + ASIDE, "MB went over the wire; less than 1 MB is asked for. The atlas has 1.25 MB: how often does it",
    ),
    "light and slow": (RIGHT.replace('.options(queue="urgent")', ""), "others were left"),
    "no urgent": (BULK + "my_urgent = None", "Not yet: the answer should be a function, and it is None."),
    "half of the atlas": (
        LIGHT.replace("write_bytes(atlas)", "write_bytes(atlas[:999])") + ASIDE,
        "Not yet: the result of 0.png is '",
    ),
    "no such file": (LIGHT.replace("file.write_bytes(atlas)", "pass") + ASIDE, "raised FileNotFoundError: "),
    "leaving": (all_of("sys.exit(2)"), "Not yet: your job raised SystemExit: 2"),
    "ending its process": (all_of("os._exit(3)"), "Not yet: your job ended its process (exit code 3)."),
    "endless": (all_of("while True: pass"), "Not yet: your job still ran after 4 s."),
    "forking": (LIGHT.replace("    file.write", "    os.fork() or time.sleep(77)\n    file.write") + ASIDE, "of"),
    "a flood": (all_of("for _ in range(100_000): print('x')"), "and it gave 0."),
    "by its name as text": (
        LIGHT.replace("path.read_bytes()", "open(path, 'rb').read()").replace("s, file", "s, f'{file}'") + QUICK,
        "Yes: 40",
    ),
    "by map": (
        LIGHT.replace(
            "[client.submit(match_atlas, file, name) for name in names]",
            "client.map(functools.partial(match_atlas, file), names)",
        )
        + QUICK,
        "Yes: 40",
    ),
    "another client": (LIGHT + ANOTHER_CLIENT, "Yes: 40"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "says"), rows(TABLE))
def test_answers_to_11(
    code: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(light_work, "PATIENCE", 4.0 if "4 s." in says else 40.0)
    answer = learner("import dqlab, functools\nfrom pathlib import Path\n" + code)
    assert says in verdict(check.light_job, answer["my_bulk"], answer["my_urgent"], capsys=capsys)
