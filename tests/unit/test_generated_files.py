"""What options.py and pyproject.toml say stands in several files; all of them must agree."""

from __future__ import annotations

import difflib

import jsonschema
import pytest
import yaml

from conftest import REPOSITORY
from winnow2d import generate
from winnow2d.config import check_config, load_config

FILES = generate.generated_files(REPOSITORY)


@pytest.mark.parametrize("name", FILES)
def test_generated_file_is_up_to_date(name):
    path = REPOSITORY / name
    found = path.read_text(encoding="utf-8") if path.is_file() else ""
    difference = "\n".join(difflib.unified_diff(found.splitlines(), FILES[name].splitlines(), name, "generated"))
    assert found == FILES[name], f"{name} is out of date; run `{generate.COMMAND}`.\n{difference}"


def listed_options() -> dict:
    """Return the options listed in config.yaml as a reader gets them who removes the comment signs."""
    listing = (REPOSITORY / "config.yaml").read_text(encoding="utf-8").split(generate.MARK)[1]
    return yaml.safe_load("\n".join(line[2:] for line in listing.splitlines()))


def test_the_listed_options_are_a_config_of_defaults():
    listed = listed_options()
    named = {"input": {"demo": {}}, "class2d": {"do_em": True}}
    listed["class2d"] |= {"do_em": True, "do_grad": False}
    assert check_config(listed) == check_config(named)


def test_the_listing_leaves_out_what_is_refused_or_changes_nothing():
    assert {"do_helix", "nr_pool", "fn_img"}.isdisjoint(listed_options()["class2d"])


def test_the_demo_fits_the_schema_and_is_accepted():
    demo = load_config(REPOSITORY / "config.yaml")
    jsonschema.validate(demo, generate.schema())
    assert check_config(demo).demo is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"input": {"demo": {}, "particles": "a.star"}},
        {"input": {"demo": {}}, "class2d": {"nr_clases": 3}},
        {"input": {"demo": {}}, "class2d": {"nr_classes": 0}},
        {"input": {"demo": {}}, "class2d": {"do_helix": True}},
        {"input": {"demo": {}}, "rounds": [{"extract": {}}]},
    ],
)
def test_the_schema_refuses_what_the_check_refuses(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, generate.schema())


def test_environments_hold_the_same_packages_but_cupy():
    cpu = yaml.safe_load(FILES["envs/cpu.yaml"])["dependencies"]
    gpu = yaml.safe_load(FILES["envs/gpu.yaml"])["dependencies"]
    assert [name.split(">=")[0] for name in gpu if name not in cpu] == ["cupy"]
    assert "numpy" in {name.split(">=")[0] for name in cpu}
