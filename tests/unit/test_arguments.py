"""Every constructor argument is described where `plausibly models NAME` finds it."""

import json
import math
import re

import numpy as np
import pytest

from plausibly.errors import UserError
from plausibly.evaluation.abilities import describe_model
from plausibly.events.kinds import Category, Real
from plausibly.events.schema import Schema, binary
from plausibly.fitting.settings import make_settings
from plausibly.models import MODELS
from plausibly.system.arguments import check_range
from plausibly.system.parts import Part, describe_arguments, list_arguments, parse_arguments
from plausibly.training.plan import Plan

PARTS = dict.fromkeys(
    part for kind in MODELS.values() for parts in kind.choices.values() for part in parts
)


def test_entries_go_on_over_lines_that_are_indented_deeper():
    found = parse_arguments(
        """A model.

        Args:
            hidden: units of the hidden layer,
                1 to 100,000 (default 500).
            rate: a share: 0 to 1.

        More of the model, note: this is no argument.
        """
    )
    assert found == {
        "hidden": "units of the hidden layer, 1 to 100,000 (default 500).",
        "rate": "a share: 0 to 1.",
    }
    assert parse_arguments("A model without any.") == {}


def test_a_class_adds_to_what_its_base_describes():
    class Base:
        """A base.

        Args:
            first: of the base.
            second: of the base.
        """

    class Own(Base):
        """A model.

        Args:
            second: its own.
        """

    class Silent(Own):
        pass

    assert describe_arguments(Silent) == {"first": "of the base.", "second": "its own."}


@pytest.mark.parametrize("kind", [*MODELS.values(), *PARTS], ids=lambda kind: kind.__name__)
def test_every_argument_is_described(kind):
    for argument in list_arguments(kind):
        assert argument.description, argument.name


def test_models_that_take_minutes_are_tried_where_they_are_named_alone():
    slow = {name for name, kind in MODELS.items() if not kind.by_default}
    assert slow == {"transformer", "masked_transformer", "hierarchical_vae", "vq_vae", "pixelcnn"}


@pytest.mark.parametrize("name", MODELS)
def test_every_argument_that_takes_a_part_names_its_choices(name):
    bits = Schema((1, 2, 2), (Category(levels=2),) * 4)
    schemas = (binary(4), Schema((2,), (Real(), Real())), bits)
    model = MODELS[name].tiny(next(each for each in schemas if not MODELS[name].accepts(each)))
    taken = {key: type(getattr(model, key)) for key in MODELS[name].choices}
    parts = [argument.name for argument in list_arguments(MODELS[name])]
    chosen = {key: type(getattr(model, key)) for key in parts}
    assert {key for key, kind in chosen.items() if issubclass(kind, Part)} == taken.keys()
    for key, kind in taken.items():
        assert kind in MODELS[name].choices[key]


RANGE = re.compile(r"([\d.,e-]*\d) to ([\d.,]*\d)(, or 0)?")


def ends(found):
    least, most, none = found
    return 0.0 if none else number(least), number(most)


def number(text):
    return float(text.replace(",", ""))


def stated_ranges():
    """For each argument of a class that is described by a range: a model that takes it, how it is given, and the range."""
    found = {}
    for model in MODELS.values():
        parts = [(key, part) for key, choices in model.choices.items() for part in choices]
        for key, kind in [("", model), *parts]:
            arguments = list_arguments(kind)
            beside = {"heads": 1} if "heads" in [each.name for each in arguments] else {}
            for name, default, description in arguments:
                if ranges := RANGE.findall(description):
                    given = {key: {"name": kind.name, name: ...}} if key else beside | {name: ...}
                    case = model, given, type(default), ends(ranges[-1])
                    found[f"{kind.__name__}-{name}"] = pytest.param(
                        *case, id=f"{kind.__name__}-{name}"
                    )
    return [*found.values()]


def filled(given, value):
    return {
        key: filled(inner, value) if isinstance(inner, dict) else value if inner is ... else inner
        for key, inner in given.items()
    }


@pytest.mark.parametrize(("model", "given", "sort", "stated"), stated_ranges())
def test_the_range_that_a_description_states_is_that_which_is_refused(model, given, sort, stated):
    least, most = stated
    bits, reals = (Schema((1, 4, 4), (kind,) * 16) for kind in (Category(levels=2), Real()))
    schema = reals if model.accepts(bits) else bits
    model(schema, **filled(given, sort(least)))
    for value in (sort(least) - 1, sort(most) + 1):
        with pytest.raises(ValueError, match=f"{value}") as refused:
            model(schema, **filled(given, value))
        assert stated in map(ends, RANGE.findall(str(refused.value)))


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.__name__)
def test_what_may_be_so_many_or_more_is_refused_below(model):
    for argument in list_arguments(model):
        if stated := re.search(r"([\d,]+) or more", argument.description):
            least = int(number(stated[1]))
            model(binary(4), **{argument.name: least})
            with pytest.raises(
                ValueError, match=f"{argument.name} = {least - 1}; at least {least}"
            ):
                model(binary(4), **{argument.name: least - 1})


@pytest.mark.parametrize("name", ["transformer", "masked_transformer"])
def test_there_are_at_most_as_many_heads_as_numbers(name):
    MODELS[name](binary(4), width=6, heads=6)
    for heads in (0, 7):
        with pytest.raises(ValueError, match=f"{name}: heads = {heads}; it can be 1 to 6"):
            MODELS[name](binary(4), width=6, heads=heads)


@pytest.mark.parametrize("levels", [[3], [0, 3], [3, 0], [2, -1]])
def test_a_hierarchy_has_two_levels_or_more_of_a_latent_at_least(levels):
    with pytest.raises(ValueError, match="two or more, each of at least one latent"):
        MODELS["hierarchical_vae"](binary(4), levels=levels)
    assert MODELS["hierarchical_vae"](binary(4), levels=[1, 1]).latents == 2


def test_the_ends_of_a_range_are_in_it():
    check_range("an end", 1, 1, 2)
    check_range("an end", 2, 1, 2)
    check_range("an end", 0.999, 0.999, 2)
    for value in (0.999, 2.001, 0, 3):
        with pytest.raises(ValueError, match="an end"):
            check_range("an end", value, 1, 2)
    for value in (0.989, 2.001):
        with pytest.raises(ValueError, match=r"it can be 0\.99 to 2"):
            check_range("an end", value, 0.99, 2)


@pytest.mark.parametrize("value", [1.5, math.nan, math.inf, True, "3", None, [2], 2.0])
def test_between_whole_ends_numbers_are_whole(value):
    with pytest.raises(ValueError, match="it can be a whole number from 1 to 3"):
        check_range("hidden", value, 1, 3)
    check_range("hidden", np.int32(3), 1, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", None, True])
def test_a_share_is_a_number(value):
    with pytest.raises(ValueError, match=r"it can be 0 to 0\.99"):
        check_range("dropout", value, 0, 0.99)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("markov", "k", 1.5),
        ("mixture", "components", 2.5),
        ("mixture", "iterations", "x"),
        ("made", "components", 1.5),
        ("hierarchical_vae", "levels", 5),
        ("hierarchical_vae", "levels", [2.5, 3]),
    ],
)
def test_what_counts_is_whole(name, argument, value):
    with pytest.raises(ValueError, match=re.escape(f"{argument} = {value}")):
        MODELS[name](binary(4), **{argument: value})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e12, 10**400])
@pytest.mark.parametrize("name", ["steps", "epochs", "rate", "patience", "clip"])
def test_settings_of_training_are_finite(name, value):
    with pytest.raises(UserError, match=f"train.{name} = .*; it is a number up to 1,000,000,000"):
        make_settings({f"train.{name}": value}, 0, None, None, "cpu")


def test_training_has_an_end():
    with pytest.raises(UserError, match="at most 1,000,000,000 are taken"):
        Plan(10**9 + 1)
    assert Plan(10**9).steps == 10**9
    with pytest.raises(UserError, match="a budget of inf s"):
        make_settings({}, 0, math.inf, None, "cpu")


@pytest.mark.parametrize("kind", [*MODELS.values(), *PARTS], ids=lambda kind: kind.__name__)
def test_the_defaults_that_descriptions_state_are_those(kind):
    for argument in list_arguments(kind):
        if stated := re.search(r"\(default ([\d.,]+|[a-z-]+)\)", argument.description):
            default = getattr(argument.default, "name", argument.default)
            if isinstance(default, str):
                assert stated[1] == default, argument.name
            elif default is not None and default != ():
                assert number(stated[1]) == default, argument.name


def test_a_model_tells_its_arguments(cli):
    status, out, err = cli("models", "vae", "--json")
    assert status == 0, err
    found = json.loads(out)["model"]
    assert found == json.loads(json.dumps(describe_model(MODELS["vae"], binary(8))))
    arguments = {argument["name"]: argument for argument in found["arguments"]}
    assert arguments["latents"]["default"] == 16
    assert "100,000" in arguments["latents"]["description"]
    priors = {part["name"]: part for part in arguments["prior"]["parts"]}
    assert priors["vamp"]["arguments"][0]["name"] == "components"
    status, out, _ = cli("models", "vae")
    assert status == 0
    assert "prior.components" in out and "objective=free-bits" in out


def test_an_unknown_model_is_one_line(cli):
    status, out, err = cli("models", "nad")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "did you mean 'nade'?" in err
