"""One list of a master's settings: the command, `Master(...)`, `--help` and what is refused say the same."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from dqlab import BadInput, Master
from dqlab.master.settings import MasterSettings
from tests.cluster import run


def defaults():
    return {known.name: known.default for known in fields(MasterSettings)}


def test_master_takes_what_the_list_says():
    parameters = dict(inspect.signature(Master).parameters)
    assert parameters.pop("authkey_file").default is parameters.pop("output").default is None
    assert {name: parameter.default for name, parameter in parameters.items()} == defaults()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())


def test_the_command_takes_what_the_list_says():
    shown = run("-m", "dqlab", "master", "--help").stdout
    options = set(re.findall(r"^  --([a-z-]+)", shown, re.M))
    names = {known.name.removesuffix("s") if known.metadata["each"] else known.name for known in fields(MasterSettings)}
    assert options == {name.replace("_", "-") for name in names} - {"authkey"} | {"authkey-file"}
    words = " ".join(shown.split())
    for known in fields(MasterSettings):
        if known.name != "authkey":
            assert " ".join(known.metadata["help"].split()) in words


def test_they_travel_as_plain_json():
    settings = MasterSettings(
        authkey=b"\x00abc", connection_file=Path("/a/b"), lease=1, insecure=True, pills=("STOP", b"\xff", (1, None)),
        plain_queues=("a", "b"), plain_events=("c",), task_name="todo",
    )  # fmt: skip
    assert MasterSettings.from_json(settings.as_json()) == settings
    assert MasterSettings.from_json(MasterSettings().as_json()) == MasterSettings()


def test_pills_are_plain_and_each_name_is_one_thing():
    with pytest.raises(BadInput, match="not a plain value"):
        MasterSettings(pills=[len]).check()
    for names in ({"task_name": "a", "result_name": "a"}, {"plain_queues": ["x", "x"]}, {"plain_events": [""]}):
        with pytest.raises(BadInput, match="one of its own"):
            MasterSettings(**names).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1), ("port", 65536), ("port", "5000"), ("port", True), ("lease", 0), ("lease", 7 * 86_400 + 1),
        ("lease", "15"), ("lease", float("nan")), ("max_attempts", 0), ("max_attempts", 1.5), ("backlog", 0),
        ("plain_queues", "abc"), ("plain_events", [5]), ("task_name", None), ("pills", 5),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_name_and_value(name, value):
    with pytest.raises(BadInput, match=re.escape(f"{name}={value!r}")):
        MasterSettings(**{name: value}).check()
