"""The relations among the columns of training rows, and which of them columns follow by.

Each column follows at most once and never, over others, from itself. The target is never a parent: what says it by
others is turned so that it follows, or left out. A column of the context follows from others of the context alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from plausibly.data.columns.cells import ColumnValues
from plausibly.data.columns.modelled import ModelledColumn
from plausibly.data.columns.types import LatticeColumn
from plausibly.data.relations.amounts import has_amounts
from plausibly.data.relations.clocks import find_clocks
from plausibly.data.relations.equations import Equation
from plausibly.data.relations.expressions import read_formula, read_name, split_relation
from plausibly.data.relations.following import Follower
from plausibly.data.relations.lookups import Lookup, comparable_values, find_functions
from plausibly.data.relations.orders import Order, find_orders
from plausibly.data.relations.parts import find_parts
from plausibly.data.relations.products import find_products
from plausibly.data.relations.relation import Relation
from plausibly.data.relations.sums import LinearSum, find_sums
from plausibly.data.relations.table import MIN_SHARE, AmountTable
from plausibly.errors import UserError, did_you_mean

Pairs = Sequence[tuple[ModelledColumn, ColumnValues]]
MAX_NEW_SHARE = (
    0.002  # of held-out rows whose parent in a lookup has a value that no training row has
)


@dataclass(frozen=True)
class Roles:
    """The column that is to be told from others, and those that others are modelled given."""

    target: str | None = None
    context: Collection[str] = ()
    event: Collection[str] = ()  # where there are some, all others are context

    def allow(self, column: str, of: Iterable[str]) -> bool:
        """True where a column may follow from others."""
        parents = {*of}
        inside = not self._is_given(column) or all(map(self._is_given, parents))
        return self.target not in parents and inside

    def _is_given(self, column: str) -> bool:
        return column in self.context or (bool(self.event) and column not in self.event)


NO_ROLES = Roles()


def find_relations(
    pairs: Pairs, roles: Roles, said: Iterable[Relation] = ()
) -> tuple[list[Relation], list[Relation]]:
    """All relations that rows show; and those that columns shall follow by, the ones that are said first. UserError where
    these contradict each other."""
    names = tuple(column.name for column, _ in pairs)
    lookups = find_functions(names, [comparable_values(cells) for _, cells in pairs])
    table, chosen = AmountTable.of(pairs), Chosen(roles)
    for relation in said:
        chosen.require(relation)
    clocks, parts = find_clocks(table, roles.target), find_parts(table)
    for equation in (*clocks, *parts):
        chosen.take(equation)
    sums = find_sums(table)
    for total, equation in sums:
        chosen.take_any(turned_sums(table, total, equation, roles))
    chosen.take_lookups(lookups, dict(zip(names, pairs, strict=True)))
    follows = {table.names.index(name) for name in chosen.columns if name in table.names}
    products = [weigh_relation(each, pairs) for each in find_products(table, follows)]
    # what is only near is said where a column follows by it, and not also the other way round
    known = [{*relation.columns} for relation in chosen.relations]
    products = [
        each
        for each in products
        if not any({*each.columns} <= columns for columns in known)
        and (chosen.take(each) or each.share >= MIN_SHARE)
    ]
    equations = [*clocks, *parts, *(equation for _, equation in sums), *products]
    told = [{*equation.columns} for equation in equations]
    orders = [
        each
        for each in find_orders(table)
        if not any({*each.columns} <= columns for columns in told)
    ]
    return [*lookups, *equations, *orders], chosen.relations


def turned_sums(
    table: AmountTable, total: LinearSum, equation: Equation, roles: Roles
) -> Iterable[Equation]:
    """The sum, and where its target is a term the same said of that."""
    yield equation
    for place in total.factors:
        if table.names[place] == roles.target and table.lattice[place]:
            turned = total.turn(place)
            if found := table.equation(place, turned.write(table.names)):
                yield found


class Chosen:
    """Relations that columns follow by, no column twice and none in a circle."""

    def __init__(self, roles: Roles) -> None:
        self.roles, self.parents = roles, dict[str, tuple[str, ...]]()
        self.relations = list[Relation]()

    @property
    def columns(self) -> Collection[str]:
        return self.parents.keys()

    def take(self, relation: Relation) -> bool:
        """True where the relation is taken."""
        column = relation.column
        if column in self.parents or not self.roles.allow(column, relation.of):
            return False
        if column in self._ancestors(relation.of):
            return False
        self.parents[column] = relation.of
        self.relations.append(relation)
        return True

    def require(self, relation: Relation) -> None:
        """Takes a relation. UserError where it cannot be."""
        if not self.take(relation):
            raise UserError(
                f"{relation.text!r}: each column follows once and not, over others, from itself; the target, and what is "
                "no context for what is, are no parents"
            )

    def take_any(self, relations: Iterable[Relation]) -> bool:
        """True where one of some relations that say the same is taken."""
        return any(map(self.take, relations))

    def take_lookups(
        self, lookups: Iterable[Lookup], pairs: dict[str, tuple[ModelledColumn, ColumnValues]]
    ) -> None:
        """Takes lookups by a column of which hardly any value is new."""
        for lookup in lookups:
            kinds = [pairs[name][0].kind for name in lookup.columns]
            if any(kind.continuous for kind in kinds):
                continue
            if share_of_once(pairs[lookup.of[0]][1].values) > MAX_NEW_SHARE:
                continue
            back = Lookup(lookup.of[0], (lookup.column,), mutual=True)
            self.take_any([lookup, back] if lookup.mutual else [lookup])

    def _ancestors(self, names: Iterable[str]) -> set[str]:
        found, waiting = set[str](), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.parents.get(name, ())
        return found


def share_of_once(values: np.ndarray) -> float:
    """The smoothed share of values that were seen once."""
    _, counts = np.unique(values, return_counts=True)
    return float(((counts == 1).sum() + 0.5) / (len(values) + 1))


def learn_followers(relations: Iterable[Relation], pairs: Pairs) -> list[Follower]:
    """The followers by some relations, from the cells of training rows."""
    columns = {column.name: column for column, _ in pairs}
    cells = {column.name: own for column, own in pairs}
    return [Follower.learn(relation, columns, cells) for relation in relations]


def read_relation(text: str, pairs: Pairs) -> Relation:
    """A relation that someone says, over the columns that there are. UserError where it is none."""
    left, mark, right = split_relation(text)
    columns = {column.name: column for column, _ in pairs}
    column, other = read_name(left), read_name(right)
    for name in (column, *([other] if mark in ("<=", "from") else [])):
        if name not in columns:
            hint = did_you_mean(name, list(columns))
            raise UserError(f"there is no modelled column {name!r} for {text!r}{hint}")
    if mark == "from":
        relation: Relation = Lookup(column, (other,))
    elif mark == "<=":
        relation = Order(column, (other,))
    else:
        formula = read_formula(right, [name for name, own in columns.items() if has_amounts(own)])
        relation = Equation(column, formula.columns, right=right, near=mark == "~")
    check_relation(relation, columns, text)
    return weigh_relation(relation, pairs)


def check_relation(relation: Relation, columns: Mapping[str, ModelledColumn], text: str) -> None:
    """UserError for a relation that no column can follow by."""
    column = columns[relation.column]
    if relation.column in relation.of:
        raise UserError(f"{text!r}: a column does not follow from itself")
    if isinstance(relation, Lookup) and any(columns[n].kind.continuous for n in relation.columns):
        raise UserError(f"{text!r}: a number with a density has no table; say a formula")
    if isinstance(relation, Equation) and not isinstance(column, LatticeColumn):
        raise UserError(
            f"{text!r}: {relation.column!r} has no steps that a formula could be counted in"
        )


def weigh_relation(relation: Relation, pairs: Pairs) -> Relation:
    """The relation with the share of these rows in which it holds."""
    columns = {column.name: column for column, _ in pairs}
    cells = {column.name: own for column, own in pairs}
    holds, asked = relation.holds(columns, cells)
    found = replace(relation, share=float(holds.sum() / max(asked.sum(), 1)))
    if isinstance(found, Equation) and found.near:
        found = replace(found, off=found.share_off(columns, cells))
    return found
