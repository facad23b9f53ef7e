"""The user's config: what is accepted, what is refused and in which words, and how rounds are merged."""

from __future__ import annotations

import dataclasses

import pytest

from winnow2d.config import check_config, load_config
from winnow2d.errors import ConfigError
from winnow2d.options import SECTIONS

USERS = {
    "input": {"particles": "path/to/particles.star"},
    "class2d": {"nr_classes": 50, "do_em": True, "nr_iter_em": 25, "particle_diameter": 200},
    "select": {"rank_threshold": 0.35},
    "rounds": [{}, {"class2d": {"nr_classes": 30}}],
}


MICROGRAPHS = {"input": {"micrographs": "m.star", "coordinates": "picks/*.star"}}


def problems(**changes):
    """Return the problems of the user's config with some sections replaced."""
    with pytest.raises(ConfigError) as caught:
        check_config(USERS | changes)
    return caught.value.problems


def test_users_config_gives_two_rounds_that_differ_in_classes():
    config = check_config(USERS)
    assert config.particles == ("path/to/particles.star",)
    assert config.demo is None
    assert [item.class2d.nr_classes for item in config.rounds] == [50, 30]
    second = config.rounds[1]
    assert (second.class2d.nr_iter_em, second.select.rank_threshold, second.own.random_seed) == (25, 0.35, 1)


def test_a_difference_touches_nothing_else():
    first, second = check_config(USERS).rounds
    assert dataclasses.replace(second, number=1, class2d=dataclasses.replace(second.class2d, nr_classes=50)) == first


def test_adding_a_round_leaves_earlier_rounds_alone():
    longer = check_config(USERS | {"rounds": [*USERS["rounds"], {"select": {"rank_threshold": 0.5}}]})
    assert longer.rounds[:2] == check_config(USERS).rounds
    assert longer.rounds[2].select.rank_threshold == 0.5


def test_what_is_not_named_has_its_default():
    config = check_config(USERS)
    named = {"nr_classes", "do_em", "do_grad", "particle_diameter", "nr_iter_em"}
    for name, merged in (("class2d", config.rounds[0].class2d), ("own", config.own), ("extract", config.extract)):
        for item in dataclasses.fields(SECTIONS[name]):
            if item.name not in named:
                assert getattr(merged, item.name) == item.default, item.name


@pytest.mark.parametrize(
    ("given", "do_em", "do_grad"),
    [({"do_em": True}, True, False), ({"do_grad": False}, True, False), ({"do_em": "Yes"}, True, False)],
)
def test_one_algorithm_turns_the_other_off(given, do_em, do_grad):
    class2d = check_config(USERS | {"class2d": given}).rounds[0].class2d
    assert (class2d.do_em, class2d.do_grad) == (do_em, do_grad)


@pytest.mark.parametrize("given", [{}, {"do_grad": True}, {"do_em": False}])
def test_vdam_is_the_default_as_in_relion(given):
    class2d = check_config(USERS | {"class2d": given}).rounds[0].class2d
    assert (class2d.do_em, class2d.do_grad, class2d.n_iterations) == (False, True, 200)


def test_a_round_may_turn_to_vdam():
    rounds = [{}, {"class2d": {"do_grad": True, "nr_iter_grad": 30}}]
    first, second = check_config(USERS | {"class2d": {"do_em": True}, "rounds": rounds}).rounds
    assert first.class2d.do_em
    assert (second.class2d.do_em, second.class2d.n_iterations) == (False, 30)


def test_both_algorithms_are_an_error():
    assert problems(class2d={"do_em": True, "do_grad": True}) == (
        "class2d: do_em and do_grad are both on; choose one.",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class2d": {"do_em": True, "nr_clases": 3}}, "class2d: unknown key 'nr_clases'. Did you mean 'nr_classes'?"),
        ({"class2d": {"do_em": True, "random_seed": 3}}, "class2d: unknown key 'random_seed'; it belongs under own."),
        ({"nr_classes": 3}, "config: unknown key 'nr_classes'; it belongs under class2d."),
        ({"slect": {}}, "config: unknown key 'slect'. Did you mean 'select'?"),
        ({"class2d": {"do_em": True, "nr_classes": 0}}, "class2d.nr_classes: must be at least 1, found 0."),
        ({"class2d": {"do_em": True, "nr_classes": 2.5}}, "class2d.nr_classes: expected a whole number, found 2.5."),
        ({"class2d": {"do_em": True, "tau_fudge": "a"}}, "class2d.tau_fudge: expected a number, found 'a'."),
        ({"class2d": {"do_em": True, "tau_fudge": None}}, "class2d.tau_fudge: expected a number, found nothing."),
        ({"class2d": {"do_em": 3}}, "class2d.do_em: expected Yes or No, found 3."),
        ({"class2d": {"do_em": True, "psi_sampling": 91}}, "must be at most 90 degrees, found 91."),
        ({"class2d": {"do_em": True, "do_helix": True}}, "helical segments are not supported"),
        (
            {"class2d": {"do_em": True, "use_gpu": True}, "own": {"device": "cpu"}},
            "round 1: class2d.use_gpu: Yes contradicts own.device: cpu",
        ),
        ({"class2d": {"do_em": True, "fn_img": "a.star"}}, "class2d.fn_img: the workflow fills this in"),
        ({"extract": {"do_rescale": True}}, "extract.do_rescale: nothing is cut from particles that are ready"),
        ({"own": {"device": "gpus"}}, "expected one of auto, cpu, gpu, found 'gpus'. Did you mean 'gpu'?"),
        ({"own": {"selected_classes": [1, 3]}}, "round 1: own.selected_classes: is a choice by hand, but select"),
        ({"own": {"selected_classes": "1,9-3"}}, "cannot be used: expected a range that goes up, found '9-3'"),
        ({"own": {"selected_classes": [1, 0]}}, "expected class numbers from 1 on, e.g. 1,3,5-9, found '0'"),
        (
            {"own": {"selected_classes": 2}, "select": {"do_class_ranker": False}, "rounds": [{}, {}]},
            "own.selected_classes: are those of one round",
        ),
        (
            {"own": {"selected_classes": 2, "splits": 3}, "select": {"do_class_ranker": False}},
            "keep in overrides/round_01.yaml, overrides/round_11.yaml and so on.",
        ),
        (
            {"own": {"relative_threshold": 0.5, "quantile_threshold": 0.5}},
            "own: relative_threshold and quantile_threshold are both on",
        ),
        ({"select": 3}, "select: expected keys with values, found 3."),
        ({"rounds": []}, "rounds: expected a list with one entry per round"),
        ({"rounds": [3]}, "round 1: expected sections"),
        ({"rounds": [{}] * 100}, "at most 99 rounds"),
        ({"rounds": [{"extract": {}}]}, "round 1: unknown key 'extract'"),
        ({"rounds": [{"own": {"stacks_root": "a"}}]}, "own.stacks_root: belongs to the whole project"),
        ({"rounds": [{"own": {"map_to": "a.star"}}]}, "own.map_to: belongs to the whole project"),
        ({"own": {"export": "cryosparcs"}}, "found 'cryosparcs'. Did you mean 'cryosparc'?"),
        ({"select": {"duplicate_threshold": -1}}, "select.duplicate_threshold: must be at least 0 A, found -1."),
        ({"input": {}}, "input: missing"),
        ({"input": {"particle": "a.star"}}, "input: unknown key 'particle'. Did you mean 'particles'?"),
        ({"input": {"particles": "a.star", "demo": {}}}, "input: exactly one of"),
        ({"input": {"particles": [3]}}, "input.particles: expected the path of a STAR file"),
        ({"input": {"particles": ["a.star", "b.star", "a.star"]}}, "input.particles: a.star is named more than once"),
        ({"own": {"splits": 91}}, "own.splits: must be at most 90, found 91."),
        ({"select": {"do_split": True}}, "the workflow fills this in; say own.splits"),
        ({"input": {"micrographs": "m.star"}}, "input.coordinates: missing. Say where the particles are"),
        ({"input": {"micrographs": "m.star", "coordinates": 3}}, "input.coordinates: expected the path of a file"),
        ({"input": {"particles": "a.star", "coordinates": "c"}}, "input.coordinates: only with input.micrographs"),
        (MICROGRAPHS | {"extract": {"extract_size": 97}}, "extract.extract_size: 97 px is odd"),
        (MICROGRAPHS | {"extract": {"bg_diameter": 128}}, "extract.bg_diameter: 128 px must be below the box of 128"),
        (
            MICROGRAPHS | {"extract": {"do_recenter": True, "do_reset_offsets": True}},
            "extract: do_reset_offsets and do_recenter are both on",
        ),
        ({"own": {"reextract": True}}, "own.reextract: there is nothing to extract from"),
        ({"input": {"demo_micrographs": {"width": 3}}}, "input.demo_micrographs.width: must be at least 128"),
        ({"input": {"optimiser": ["a.star"]}}, "input.optimiser: expected the path of a run_itNNN_optimiser.star"),
        ({"input": {"optimiser": "a.star"}, "class2d": {"fn_cont": "b.star"}}, "class2d.fn_cont: round 1 goes on from"),
        (
            {"input": {"optimiser": "a.star"}, "rounds": [{"class2d": {"nr_classes": 3}}]},
            "round 1: class2d: its classification is given (input.optimiser)",
        ),
        ({"input": {"demo": {"particles": 3}}}, "input.demo.particles: must be at least 20"),
        (
            {"select": {"do_regroup": True, "nr_groups": 4}, "own": {"min_group_size": 30}},
            "own.min_group_size: 30 and select.nr_groups: 4 both say how to regroup",
        ),
    ],
)
def test_each_mistake_has_its_sentence(changes, words):
    assert any(words in problem for problem in problems(**changes)), problems(**changes)


def test_relions_own_default_of_an_unsupported_option_is_accepted():
    given = USERS["class2d"] | {"use_gpu": "No", "nr_pool": 3, "scratch_dir": "", "do_helix": False}
    assert check_config(USERS | {"class2d": given}) == check_config(USERS)


def test_all_problems_are_told_at_once():
    found = problems(class2d={"do_em": True, "nr_clases": 3, "tau_fudge": -1}, own={"device": "x"}, inptu=1)
    assert len(found) == 4


def test_a_broken_round_keeps_its_place():
    found = problems(rounds=[3, {"class2d": {"nr_clases": 3}}])
    assert [problem.split(":")[0] for problem in found] == ["round 1", "round 2"]


def test_one_particle_file_may_stand_in_a_list():
    assert check_config(USERS | {"input": {"particles": ["a.star"]}}).particles == ("a.star",)


@pytest.mark.parametrize("algorithm", [{"do_em": True}, {"do_grad": True}])
def test_what_the_demo_cannot_give_to_any_round_is_told_at_once(algorithm):
    demo = {"demo": {"particles": 30, "box": 32, "pixel_size": 4}}
    rounds = [{}, {"class2d": {"nr_classes": 31}}, {"class2d": {"particle_diameter": 128.5}}]
    given = algorithm | {"nr_classes": 30, "particle_diameter": 128}
    found = problems(input=demo, rounds=rounds, class2d=given)
    assert len(found) == 2
    assert found[0].startswith("round 3: class2d.particle_diameter: 128.5 A is larger than the box (32 px of 4 A = 128")
    assert found[1].startswith("round 2: class2d.nr_classes: 31 classes for 30 particles")


def test_numbers_may_be_written_as_yaml_reads_them():
    given = {"do_em": True, "nr_classes": 50.0, "tau_fudge": "1e1"}
    class2d = check_config(USERS | {"class2d": given}).rounds[0].class2d
    assert class2d.nr_classes == 50
    assert isinstance(class2d.nr_classes, int)
    assert class2d.tau_fudge == 10.0


def test_regrouping_is_a_job_of_its_own():
    given = {"do_regroup": True, "nr_groups": 4, "rank_threshold": 0.2}
    first, second = check_config(USERS | {"select": given, "rounds": [{}, {"select": {"do_regroup": False}}]}).rounds
    assert (first.selection.do_class_ranker, first.selection.do_regroup) == (True, False)
    assert first.selection.rank_threshold == 0.2
    assert first.regroup is not None
    assert (first.regroup.do_class_ranker, first.regroup.do_regroup, first.regroup.nr_groups) == (False, True, 4)
    assert second.regroup is None


def test_demo_may_be_empty():
    assert check_config(USERS | {"input": {"demo": None}}).demo.particles == 2000


def test_a_classification_that_is_given():
    given = {"input": {"optimiser": "Class2D/job005/run_it025_optimiser.star"}}
    config = check_config(USERS | given | {"rounds": [{}, {"class2d": {"fn_cont": "b.star"}}]})
    assert (config.optimiser, config.particles, config.demo) == (given["input"]["optimiser"], (), None)
    assert config.rounds[1].class2d.fn_cont == "b.star"
    assert check_config(USERS).optimiser == ""


@pytest.mark.parametrize("text", ["class2d: {nr_classes: 3", "- :\n\t- a"])
def test_broken_yaml_is_named(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml: is not valid YAML"):
        load_config(path)


def test_missing_config_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "mine.yaml")
