"""Rules of advice on made-up numbers: each speaks when it should, and cites what is there."""

from dataclasses import replace
from itertools import product

import pytest

from equilibria.diagnostics.advice import LEAST_PROBLEMS, advise, verdict
from equilibria.diagnostics.diagnosis import Labels
from equilibria.diagnostics.report import value_at


def titles(found):
    return [advice.title for advice in advise(found)]


def first(found, start):
    return next(advice for advice in advise(found) if advice.title.startswith(start))


def deeper(found, gain=0.1, moving=0.2):
    accuracy = replace(found.accuracy, gain=gain, gain_ci95=(gain - 0.02, gain + 0.02), still_moving=moving)
    return replace(found, accuracy=accuracy)


def broader(found, gain=0.1):
    breadth = replace(found.breadth, gain=gain, gain_ci95=(gain - 0.02, gain + 0.02), enough=8)
    return replace(found, breadth=breadth)


def wrong(found, accuracy=0.4):
    return replace(found, breadth=replace(found.breadth, accuracy=accuracy))


def modes(found, **shares):
    changed = tuple(
        replace(m, share=shares[m.mode], count=round(200 * shares[m.mode])) if m.mode in shares else m
        for m in found.modes
    )
    return replace(found, modes=changed)


def test_what_is_good_is_enough_and_names_the_least_depth(found):
    advice = first(found, "This budget is enough")
    assert advice.command == "equilibria solve puzzles.csv --with made-up --depth 8 --breadth 1"


def test_each_lever_is_advised_where_it_helps(found):
    assert titles(deeper(found))[0] == "Run deeper, not broader"
    assert "--depth 32 --breadth 1 " in advise(deeper(found))[0].command
    assert titles(broader(found))[0] == "Run broader, not deeper"
    assert (
        "--depth 16 --breadth 8 --restarts fixed --selection convergence" in advise(broader(found))[0].command
    )
    assert titles(broader(deeper(found)))[0] == "Run deeper and broader"
    assert "--depth 32 --breadth 8" in advise(broader(deeper(found)))[0].command


def test_more_depth_needs_restarts_that_still_move(found):
    assert titles(deeper(found, moving=0.0))[0] == "This budget is enough"


def test_a_gain_whose_interval_holds_zero_is_none(found):
    unsure = replace(found.accuracy, gain=0.1, gain_ci95=(-0.01, 0.21), still_moving=0.2)
    assert titles(replace(found, accuracy=unsure))[0] == "This budget is enough"
    unsure = replace(found.breadth, gain=0.1, gain_ci95=(-0.01, 0.21))
    assert titles(replace(found, breadth=unsure))[0] == "This budget is enough"


def test_depth_that_hurts_is_cut(found):
    worse = deeper(found, gain=-0.1)
    worse = replace(worse, accuracy=replace(worse.accuracy, best_depth=4))
    assert titles(worse)[0] == "Run shallower"
    assert "--depth 4 " in advise(worse)[0].command


def test_where_nothing_helps_it_says_so(found):
    advice = first(wrong(found), "More compute does not help")
    assert advice.command == "" and "60.0% are wrong" in advice.why


def test_restarts_that_are_right_and_not_chosen_are_no_reason_to_give_up(found):
    reached = replace(found.breadth, accuracy=0.4, unselected=0.3, unselected_ci95=(0.2, 0.4))
    said = titles(replace(found, breadth=reached))
    assert said[:2] == ["More restarts help only with a better choice among them", "Let the rules choose"]


def test_a_depth_below_that_of_training_with_all_on_their_way_is_too_little(found):
    early = replace(wrong(deeper(found, gain=0.0, moving=0.9)), setting=replace(found.setting, depth=4))
    assert titles(early)[0] == "Run deeper, not broader" and "Training went to 16" in advise(early)[0].why
    late = replace(early, setting=replace(found.setting, depth=16))
    assert titles(late)[0] == "More compute does not help"


CASES = list(product((-0.1, 0.0, 0.1), (0.0, 0.1), (0.3, 0.99), (0.0, 0.2), (4, 16), (0.0, 0.9)))


@pytest.mark.parametrize("gain,gained,right,missed,depth,moving", CASES)
def test_one_piece_of_advice_alone_speaks_of_the_budget(found, gain, gained, right, missed, depth, moving):
    case = wrong(broader(deeper(found, gain, moving), gained), right)
    breadth = replace(case.breadth, unselected=missed, unselected_ci95=(missed - 0.05, missed + 0.05))
    case = replace(case, breadth=breadth, setting=replace(case.setting, depth=depth))
    said = [t for t in titles(case) if t.startswith(("Run ", "This budget", "More "))]
    assert len(said) == 1
    assert not (said[0] == "More compute does not help" and "Let the rules choose" in titles(case))


def test_labels_are_doubted_where_another_answer_keeps_the_rules(found):
    assert not any(title.startswith("Check the labels") for title in titles(found))
    advice = first(replace(found, labels=Labels(3, 7)), "Check the labels")
    assert "3 inputs" in advice.why and "7 puzzles" in advice.why
    assert advice.command == "equilibria data inspect puzzles.csv"
    assert advice.evidence == ("labels.contradicted", "labels.rule_keeping")


def test_retraining_is_advised_with_what_training_lacked(found):
    rivals = modes(found, b=0.2)
    assert not any(title.startswith("Retrain") for title in titles(rivals))  # it had both
    setting = replace(found.setting, trained_initial="fixed", trained_noise=0.0)
    assert not any(title.startswith("Retrain") for title in titles(replace(found, setting=setting)))
    advice = first(
        replace(rivals, setting=setting), "Retrain with random initial states (RI) and path noise (NI)"
    )
    assert "reasoner.initial=gaussian reasoner.noise=0.01" in advice.command
    quiet = replace(found.setting, trained_noise=0.0)
    advice = first(replace(rivals, setting=quiet), "Retrain with path noise (NI)")
    assert "initial" not in advice.command
    foreign = replace(found.setting, trained_initial=None, trained_noise=None)  # a family without such fields
    assert not any(title.startswith("Retrain") for title in titles(replace(rivals, setting=foreign)))


def test_what_no_restart_solves_asks_for_training_only_where_restarts_rest(found):
    assert any(title.startswith("Train further for the 4 puzzles") for title in titles(found))
    moving = tuple(replace(m, resting=0) for m in found.modes)
    assert not any(title.startswith("Train further") for title in titles(replace(found, modes=moving)))


def test_the_better_rule_is_named_and_rules_of_the_task_come_first(found):
    clear = {"convergence_over_majority": -0.05, "convergence_over_majority_ci95": (-0.08, -0.02)}
    majority = replace(found.breadth, best="majority", **clear)
    assert "Choose by majority vote" in titles(replace(found, breadth=majority))
    missed = replace(majority, unselected=0.1, unselected_ci95=(0.05, 0.15))
    case = replace(found, breadth=missed)
    assert "Let the rules choose" in titles(case) and "Choose by majority vote" not in titles(case)
    unruly = replace(case, setting=replace(case.setting, rules=False))
    assert "Choose by majority vote" in titles(unruly)
    head = replace(found.breadth, best="halting", **clear)  # a third rule is better than both
    assert not any(title.startswith("Choose") for title in titles(replace(found, breadth=head)))


def test_to_train_again_starts_from_the_file_that_made_it(found):
    rivals = tuple(replace(m, share=0.2) if m.mode == "b" else m for m in found.modes)
    setting = replace(found.setting, trained_noise=0.0, recipe_file="my runs/last/config.yaml")
    advice = first(replace(found, modes=rivals, setting=setting), "Retrain with path noise (NI)")
    assert advice.command.startswith("equilibria train 'my runs/last/config.yaml' reasoner.noise=0.01")


def test_cycles_ask_for_damping(found):
    going = replace(found, cycles=replace(found.cycles, cycling=0.4))
    assert "inference.solver.name=relaxed" in first(going, "Damp").command
    assert not any(title.startswith("Damp") for title in titles(found))


def test_stopping_early_is_advised_only_where_it_costs_nothing(found):
    assert "Let the halting head stop trajectories" in titles(found)
    dear = tuple(replace(s, target=0.9) for s in found.stopping)
    assert not any(title.startswith("Let ") for title in titles(replace(found, stopping=dear)))


def test_few_problems_bear_no_advice(found):
    few = replace(found, setting=replace(found.setting, problems=LEAST_PROBLEMS - 1))
    assert titles(broader(deeper(few))) == ["Measure more problems first"]
    assert "rough" in verdict(few)


def test_evidence_stands_in_the_numbers_and_commands_repeat_overrides(found):
    setting = replace(
        found.setting, changes=("reasoner.noise=0",), trained_noise=0.0, data="my puzzles.csv", problems=200
    )
    case = broader(deeper(replace(modes(found, b=0.2), setting=setting, labels=Labels(1, 1))))
    case = replace(case, cycles=replace(found.cycles, cycling=0.4))
    told, advice = case.to_dict(), advise(case)
    assert len(advice) >= 6
    for each in advice:
        for path in each.evidence:
            value_at(told, path)
        if each.command.startswith(("equilibria solve", "equilibria diagnose")):
            assert "--set reasoner.noise=0" in each.command and "'my puzzles.csv'" in each.command


def test_the_verdict_names_what_exists_what_is_reached_and_what_is_selected(found):
    said = verdict(found)
    assert (
        said.startswith("Yes")
        and "97.0%" in said
        and "96.0%" in said
        and "96.4%" in said
        and "mode d" in said
    )
    assert verdict(wrong(found, 0.7)).startswith("Partly") and verdict(wrong(found)).startswith("No")
