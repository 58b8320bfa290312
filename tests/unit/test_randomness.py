"""Streams of random numbers: a name for each purpose, whose number stays."""

import ast
from pathlib import Path

import torch

import plausibly
from plausibly.system.randomness import Stream, generator_for

CPU = torch.device("cpu")


def test_a_stream_draws_as_its_number_does():
    for name, stream in Stream.__members__.items():
        named = generator_for(CPU, 3, stream, shard=2).initial_seed()
        assert named == generator_for(CPU, 3, int(stream), shard=2).initial_seed(), name


def test_no_stream_is_a_bare_number():
    """Beside a stream's name a number may stand for the seed: 0."""
    for file in sorted(Path(plausibly.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = getattr(node, "func", None)
            if getattr(called, "id", "") in ("generator_for", "generators_for"):
                numbers = [each.value for each in node.args if isinstance(each, ast.Constant)]
                assert set(numbers) <= {0}, (file.name, node.lineno)
