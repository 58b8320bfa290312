"""Columns that follow: what their relation expects of a row, and what it leaves open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import LatticeColumn
from plausibly.data.relations.amounts import amounts_of, steps_near
from plausibly.data.relations.equations import Equation
from plausibly.data.relations.lookups import Lookup, LookupTable, learn_table
from plausibly.data.relations.relation import Cells, Columns, Relation
from plausibly.data.relations.residuals import Residual, learn_residual, residual_from_json
from plausibly.events.kinds import MISSING, OTHER, Kind, lists_to_tuples

HIDING_SHARE = 0.95  # of rows with a hole in a parent, from which on a hole is expected
MIN_HIDING_ROWS = 5


@dataclass(frozen=True)
class Rule(ABC):
    """Expects a value of a column in each row, whatever its parents hold."""

    classes: ClassVar[dict[str, type[Rule]]] = {}

    def __init_subclass__(cls) -> None:
        Rule.classes[cls.__name__] = cls

    @abstractmethod
    def expect(self, relation: Any, columns: Columns, cells: Cells) -> np.ndarray:
        """Values of the column's kind, int64, MISSING for a hole."""


@dataclass(frozen=True)
class LookupRule(Rule):
    """The value in a table; for a value that training rows do not have the most frequent one."""

    keys: tuple[int, ...]
    values: tuple[int, ...]
    usual: int

    def expect(self, relation: Lookup, columns: Columns, cells: Cells) -> np.ndarray:
        return LookupTable(self.keys, self.values, self.usual).find(cells[relation.of[0]].values)


@dataclass(frozen=True)
class EquationRule(Rule):
    """The formula, with a stand-in for each parent that has no number in a row, and `home` where there is no result.

    Where a parent that `hides` the column is a hole, a hole is expected.
    """

    stand_ins: tuple[float, ...]
    hides: tuple[bool, ...]
    home: int

    def expect(self, relation: Equation, columns: Columns, cells: Cells) -> np.ndarray:
        column, known = columns[relation.column], dict[str, np.ndarray]()
        assert isinstance(column, LatticeColumn)
        hidden = np.zeros(len(cells[relation.of[0]].values), dtype=bool)
        for name, stand_in, hides in zip(relation.of, self.stand_ins, self.hides, strict=True):
            amounts = amounts_of(columns[name], cells[name])
            known[name] = np.where(np.isnan(amounts), stand_in, amounts)
            hidden |= hides & columns[name].kind.is_hole(cells[name].values)
        found = relation.formula.evaluate(known)
        sound = np.isfinite(found)
        steps = np.where(sound, steps_near(column, np.where(sound, found, 0.0)), self.home)
        return np.where(hidden, MISSING, steps)


def learn_rule(relation: Relation, columns: Columns, cells: Cells) -> Rule:
    """Learns from training rows what a relation expects."""
    own = cells[relation.column].values
    if isinstance(relation, Lookup):
        keys = cells[relation.of[0]].values
        # of levels a hole is never expected: it has a code of its own, which a model learns
        foreseen = columns[relation.column].foresees(own) | columns[relation.column].kind.ordered
        table = learn_table(keys[foreseen], own[foreseen])
        return LookupRule(table.keys, table.values, table.usual)
    known, holes = own > OTHER, columns[relation.column].kind.is_hole(own)
    home = int(np.sort(own[known])[known.sum() // 2]) if known.any() else 0
    middles, hides = list[float](), list[bool]()
    for name in relation.of:
        amounts = amounts_of(columns[name], cells[name])
        present = np.sort(amounts[~np.isnan(amounts)])
        middles.append(float(present[len(present) // 2]) if len(present) else 0.0)
        absent = columns[name].kind.is_hole(cells[name].values)
        many = absent.sum() >= MIN_HIDING_ROWS
        hides.append(bool(many and holes[absent].mean() >= HIDING_SHARE))
    return EquationRule(tuple(middles), tuple(hides), home)


@dataclass(frozen=True)
class Follower:
    """A column that is learned as the residual of a relation."""

    relation: Relation
    rule: Rule
    residual: Residual

    @classmethod
    def learn(cls, relation: Relation, columns: Columns, cells: Cells) -> Follower:
        """From the cells of training rows."""
        rule = learn_rule(relation, columns, cells)
        expected = rule.expect(relation, columns, cells)
        near = isinstance(relation, Equation) and relation.near
        own = columns[relation.column], cells[relation.column].values
        return cls(relation, rule, learn_residual(*own, expected, near))

    def expect(self, columns: Mapping[str, ModelledColumn], cells: Cells) -> np.ndarray:
        """The column's value in each row as its parents have it."""
        return self.rule.expect(self.relation, columns, cells)

    def with_kind(self, kind: Kind) -> Follower:
        """The same with a kind of what is left that knows more, or less."""
        return replace(self, residual=replace(self.residual, kind=kind))

    def to_json(self) -> dict[str, Any]:
        return {
            "relation": {"form": type(self.relation).__name__, **asdict(self.relation)},
            "rule": {"form": type(self.rule).__name__, **asdict(self.rule)},
            "residual": self.residual.to_json(),
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Follower:
        """The follower that wrote a document. KeyError, TypeError or ValueError where it is none."""
        relation, rule = (lists_to_tuples(document[name]) for name in ("relation", "rule"))
        return cls(
            Relation.classes[relation.pop("form")](**relation),
            Rule.classes[rule.pop("form")](**rule),
            residual_from_json(document["residual"]),
        )
