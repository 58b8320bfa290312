"""Every constructor argument is described where `plausibly models NAME` finds it."""

import json

import pytest

from plausibly.evaluation.abilities import describe_model
from plausibly.events.kinds import Real
from plausibly.events.schema import Schema, binary
from plausibly.models import MODELS
from plausibly.system.parts import Part, describe_arguments, list_arguments, parse_arguments

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


@pytest.mark.parametrize("name", MODELS)
def test_every_argument_that_takes_a_part_names_its_choices(name):
    reals = Schema((2,), (Real(), Real()))
    schema = reals if MODELS[name].accepts(binary(4)) else binary(4)
    model = MODELS[name].tiny(schema)
    taken = {key: type(getattr(model, key)) for key in MODELS[name].choices}
    parts = [argument.name for argument in list_arguments(MODELS[name])]
    chosen = {key: type(getattr(model, key)) for key in parts}
    assert {key for key, kind in chosen.items() if issubclass(kind, Part)} == taken.keys()
    for key, kind in taken.items():
        assert kind in MODELS[name].choices[key]


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
