"""The benchmark of model changes: its edits fit the shop. No database."""

import ast

import pytest

from testproject import releases
from testproject.benchmarks.edits import CHANGES, edit
from testproject.rollout.manage import RolloutError


@pytest.mark.parametrize("name", CHANGES)
def test_every_edit_finds_its_place_and_leaves_python(name, tmp_path):
    """The shop may change; a benchmark must not measure a change that was not made."""
    releases.copy("r1", tmp_path)
    edit(tmp_path, CHANGES[name].before)
    before = (tmp_path / "shop/models.py").read_text()
    edit(tmp_path, CHANGES[name].after)
    for path in (tmp_path / "shop").glob("*.py"):
        ast.parse(path.read_text())
    assert (tmp_path / "shop/models.py").read_text() != before


def test_an_edit_whose_place_is_gone_is_refused(tmp_path):
    releases.copy("r1", tmp_path)
    with pytest.raises(RolloutError, match=r"models.py has no 'class Basket'"):
        edit(tmp_path, {"models.py": [("class Basket", "class Cart")]})
