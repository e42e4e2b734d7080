"""``python3 testproject``: what it needs, what it keeps, what it says."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path):
    """The functions of __main__, working in a folder of its own; ``.done`` is what it ran."""
    names = runpy.run_path(str(ROOT / "testproject" / "__main__.py"), run_name="bootstrap")
    space = names["prepare"].__globals__
    space |= {"HERE": tmp_path / "testproject", "VENV": tmp_path / ".venv"}
    space |= {"VENV_PYTHON": tmp_path / ".venv/bin/python", "done": []}
    space["MARKER"] = tmp_path / ".venv/safemigrate.json"
    space["HERE"].mkdir()

    def run(command, failure):
        space["done"].append(command[2])
        space["VENV_PYTHON"].parent.mkdir(parents=True, exist_ok=True)
        space["VENV_PYTHON"].touch()

    space["run"] = run
    return space


def test_an_interpreter_that_has_everything_lacks_nothing(bootstrap):
    assert bootstrap["missing"](["test"]) == []


def test_a_requirement_that_is_not_installed_is_named(bootstrap, tmp_path):
    text = (ROOT / "pyproject.toml").read_text()
    bootstrap["PYPROJECT"] = tmp_path / "pyproject.toml"
    bootstrap["PYPROJECT"].write_text(text.replace('"hypothesis>=', '"no-such-thing-of-ours>='))
    assert bootstrap["missing"](["test"]) == ["no-such-thing-of-ours"]
    assert bootstrap["missing"](["demo"]) == []


def test_the_second_time_nothing_is_installed(bootstrap):
    bootstrap["prepare"](["test"])
    assert bootstrap["done"] == ["venv", "pip", "pip"]
    bootstrap["prepare"](["test"])
    assert bootstrap["done"] == ["venv", "pip", "pip"]


def test_another_group_is_added_to_what_is_there(bootstrap):
    bootstrap["prepare"](["demo"])
    bootstrap["prepare"](["test"])
    assert bootstrap["done"] == ["venv", "pip", "pip", "pip"]
    assert json.loads(bootstrap["MARKER"].read_text())["groups"] == ["demo", "test"]


def test_a_changed_pyproject_is_installed_again_in_the_same_environment(bootstrap, tmp_path):
    bootstrap["prepare"](["demo"])
    bootstrap["PYPROJECT"] = tmp_path / "pyproject.toml"
    bootstrap["PYPROJECT"].write_text("[project]")
    bootstrap["prepare"](["demo"])
    assert bootstrap["done"] == ["venv", "pip", "pip", "pip"]


@pytest.mark.parametrize("left", ['{"making": true}', '{"pyproj'])
def test_an_environment_whose_making_was_killed_is_made_anew(bootstrap, left):
    bootstrap["prepare"](["demo"])
    bootstrap["MARKER"].write_text(left)
    bootstrap["prepare"](["demo"])
    assert bootstrap["done"] == ["venv", "pip", "pip"] * 2


def test_a_python_without_venv_is_told_what_to_install(bootstrap, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"apt install python3\.\d+-venv"):
        bootstrap["prepare"](["demo"])


def test_without_a_command_the_commands_are_listed():
    done = subprocess.run(
        [sys.executable, ROOT / "testproject"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "python3 testproject rollout" in done.stdout
