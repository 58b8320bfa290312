"""Checks of every tensor that passes a border, by the shapes of its annotations.

A border is a capability, inputs, a head, an outcome, latents or their prior. Annotations of a base class do not reach
the methods of its subclasses, so each of these is wrapped.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache, wraps
from inspect import signature
from types import FunctionType, UnionType
from typing import Union, get_args, get_origin, get_type_hints
from unittest.mock import patch

import torch
from jaxtyping import AbstractArray, Shaped, jaxtyped
from torch import Tensor

from plausibly import capabilities
from plausibly.capabilities import Decoder, Trainable
from plausibly.events.allowed import Allowed
from plausibly.events.evidence import Evidence
from plausibly.networks.heads import Head
from plausibly.networks.inputs import Inputs
from plausibly.outcomes import outcome
from plausibly.outcomes.histogram import Histogram
from plausibly.outcomes.latents import Latents, Prior
from plausibly.outcomes.outcome import Outcome
from plausibly.outcomes.product import Product
from plausibly.outcomes.within import WithinEnds

PARAMETERS = ("logits", "log_probs", "means", "places", "log_weights")  # first found, has the batch


class WrongShape(AssertionError):
    """A tensor that is not as its annotation says."""


def own_classes(module):
    """The classes that a module defines."""
    found = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return [kind for kind in found if kind.__module__ == module.__name__]


BORDERS = [Inputs, Head, Latents, Prior, *own_classes(capabilities), *own_classes(outcome)]


def find_classes():
    """The classes of the package, as far as it is loaded, that are a border or behind one; a protocol has no code."""
    modules = [module for name, module in sys.modules.items() if name.startswith("plausibly.")]
    found = {kind for module in modules for kind in own_classes(module)} - {Prior}
    return [kind for kind in found if any(issubclass(kind, base) for base in BORDERS)]


def says_shapes(hint):
    own = isinstance(hint, type) and issubclass(hint, AbstractArray | Evidence)
    return own or any(says_shapes(part) for part in get_args(hint))


def hints_of(kind, name):
    """The hints with shapes that the nearest class has for a method of this name, if any."""
    for base in (*kind.__mro__, *(base for base in BORDERS if issubclass(kind, base))):
        if base in BORDERS and isinstance(method := vars(base).get(name), FunctionType):
            hints = get_type_hints(method)
            if any(says_shapes(hint) for hint in hints.values()):
                return hints
    return {}


def find_methods(*more):
    """Class, name, function and hints of every method with shapes of the package's own classes, and of those given."""
    return [
        (kind, name, method, hints)
        for kind in (*find_classes(), *more)
        for name, method in list(vars(kind).items())
        if isinstance(method, FunctionType) and not getattr(method, "__isabstractmethod__", False)
        if (hints := hints_of(kind, name))
    ]


def batch_of(one):
    """The shape of what an outcome scores."""
    if isinstance(one, Histogram | WithinEnds):
        return batch_of(one.inner)
    if isinstance(one, Product):
        own = [batch_of(part) for _, part in one.groups]
        return (*own[0][:-1], sum(shape[-1] for shape in own))
    own = next(vars(one)[name] for name in PARAMETERS if name in vars(one))
    return tuple(own.shape if "logits" in vars(one) else own.shape[:-1])


def sizes_of(owner, given):
    """What is known of dimensions before a call, by name."""
    sizes = {name: (value,) for name, value in given.items() if type(value) is int}
    if isinstance(owner, Trainable):
        schema = owner.schema
        sizes |= {"*shape": schema.shape, "variables": (schema.size,)}
        sizes |= {"all_codes": (sum(schema.codes),), "given": (len(owner.context),)}
        return sizes | ({"latents": (owner.latents,)} if isinstance(owner, Decoder) else {})
    if isinstance(owner, Outcome):
        return sizes | {"*batch": batch_of(owner)}
    if not isinstance(owner, Inputs | Head):
        return sizes
    if "i" in given:
        own = owner.slice(given["i"])
        sizes |= {"own": (own.stop - own.start,)}
    if isinstance(owner, Head):
        sizes |= {"variables": (owner.schema.size,)}
    return sizes | {"width": (owner.width,)}


def fits(value, hint):
    """True where every tensor in a value is as the hint says; dimensions that occurred before have the same size."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        return len(value) == len(parts) and all(map(fits, value, parts))
    if origin is list:
        return all(fits(each, parts[0]) for each in value)
    return not isinstance(hint, type) or isinstance(value, hint)


def pieces(name, value, hint):
    """What has a shape of its own: an argument, or each field of evidence, and of what that allows."""
    if not isinstance(value, Evidence | Allowed) or type(value) not in (hint, *get_args(hint)):
        return [(name, value, hint)]
    found = []
    for each, own in get_type_hints(type(value)).items():
        found += pieces(f"{name}.{each}", getattr(value, each), own)
    return found


def describe(value):
    return (value.dtype, tuple(value.shape)) if isinstance(value, Tensor) else type(value)


@cache
def dimension(name, size):
    """A tensor of that size and the annotation by this name, which are known by both in a context that it enters."""
    return torch.empty(size, device="meta"), Shaped[Tensor, name]


def demand(sizes, values):
    """Raises WrongShape unless all values, (name, value, hint) each, agree with their hints, the sizes and each other."""
    with jaxtyped("context"):
        for name, size in sizes.items():
            assert isinstance(*dimension(name, size))
        for name, value, hint in values:
            if not fits(value, hint):
                raise WrongShape(f"{name}: {describe(value)} is no {hint}, where {sizes}")


def follow(unrolled, sizes, where, hint):
    """An unrolled model, whose outcomes, numbers and events are looked at as they pass."""
    step, sent, done = get_args(hint)
    try:
        found = next(unrolled)
        while True:
            demand(sizes, [(f"{where} yields", found, step)])
            value = yield found
            demand(sizes, [(f"{where} is sent", value, sent)])
            found = unrolled.send(value)
    except StopIteration as end:
        demand(sizes, [(f"{where} returns", end.value, done)])
        return end.value


def check_shapes(method, hints, called):
    """The method, with its tensors looked at on the way in and out; its name is added to `called`."""
    form, where = signature(method), method.__qualname__
    assert hints.keys() - {"return"} <= form.parameters.keys(), f"{where} renames a parameter"

    @wraps(method)
    def call(owner, *args, **named):
        called.add(where)
        given = form.bind(owner, *args, **named).arguments
        sizes = sizes_of(owner, given)
        values = [
            (f"{where}({name})", value, hint)
            for n in given
            if n in hints
            for name, value, hint in pieces(n, given[n], hints[n])
        ]
        demand(sizes, values)
        answer = method(owner, *args, **named)
        if get_origin(hints["return"]) is Generator:
            return follow(answer, sizes, where, hints["return"])
        demand(sizes, [*values, (f"{where} returns", answer, hints["return"])])
        return answer

    return call


@contextmanager
def watched_borders(*more):
    """Meanwhile every method with shapes is checked, of classes given besides, too. Gives the names of those called."""
    called = set()
    patches = [
        patch.object(kind, name, check_shapes(method, hints, called))
        for kind, name, method, hints in find_methods(*more)
    ]
    for each in patches:
        each.start()
    try:
        yield called
    finally:
        for each in patches:
            each.stop()
