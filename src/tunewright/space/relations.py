"""Relations between hyperparameters, such as ``width_2 <= width_1``: parsed to a small tree, which is never compiled."""

from __future__ import annotations

import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.discrete import Categorical, Ordinal
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue

_MOST_TOKENS: Final = 100
"""Names, numbers and symbols of a relation, so that it nests only so deep."""
_ROUNDING: Final = 1e-12
"""Numbers count as equal if they differ by this part of the smaller one at most, so that 0.1 + 0.2 <= 0.3 holds."""


@final
class Relation:
    """A condition on the values of several hyperparameters: comparisons of sums and products, joined by and, or, not.

    Parameters
    ----------
    text
        The relation as the user wrote it.
    entries
        Domains, and the values of constants.

    Raises
    ------
    SpaceError
        The text is no relation, or a name is unknown.
    """

    def __init__(self, text: str, entries: Mapping[str, Domain | ConfigValue]) -> None:
        self.text: str = text
        """The relation as the user wrote it."""
        try:
            parser = _Parser(text, entries)
            self._tree = parser.relation()
        except SpaceError as error:
            raise SpaceError(f"constraints: {text!r}: {error}") from None
        self.names: tuple[str, ...] = tuple(parser.named)
        """Names of the entries that it compares."""
        self._numbers = {name for name in self.names if parser.kinds[name] is _Kind.NUMBER}

    def holds(self, values: Config) -> bool:
        """Whether the relation holds; it does if one of its hyperparameters is not active, so that its value is missing."""
        known: dict[str, ConfigValue] = {}
        for name in self.names:
            if name not in values:
                return True
            known[name] = float(values[name]) if name in self._numbers else values[name]
        with np.errstate(all="ignore"):
            return bool(self._tree.value(known))

    def mask(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """:meth:`holds` for many configurations, from arrays of their values by name; arrays of different shapes are broadcast."""
        if any(name not in columns for name in self.names):
            return np.ones(1, dtype=np.bool_)
        known = {name: columns[name].astype(np.float64) for name in self._numbers}
        with np.errstate(all="ignore"):
            return np.asarray(self._tree.value({**columns, **known}), dtype=np.bool_)


def parse_relations(
    constraints: Sequence[Any], entries: Mapping[str, Domain | ConfigValue]
) -> tuple[Relation, ...]:
    """Parse the relations of a space.

    Raises
    ------
    SpaceError
        They are no list of texts, one is no relation or names an unknown entry.
    """
    if isinstance(constraints, str) or not all(isinstance(text, str) for text in constraints):
        raise SpaceError(
            f'constraints must be a list of texts, like ["width_2 <= width_1"], not {constraints!r}'
        )
    return tuple(Relation(text, entries) for text in constraints)


class _Kind(StrEnum):
    """Kind of value of a part of a relation."""

    NUMBER = "a number"
    LABEL = "a value without a size"
    TRUTH = "a comparison"


class _Expression(ABC):
    """A part of a relation."""

    @abstractmethod
    def value(self, values: Mapping[str, Any]) -> Any:
        """The value, or an array of values."""


@final
@dataclass(frozen=True, slots=True)
class _Literal(_Expression):
    content: ConfigValue

    @override
    def value(self, values: Mapping[str, Any]) -> Any:
        return self.content


@final
@dataclass(frozen=True, slots=True)
class _Name(_Expression):
    name: str

    @override
    def value(self, values: Mapping[str, Any]) -> Any:
        return values[self.name]


@final
@dataclass(frozen=True, slots=True)
class _Operation(_Expression):
    apply: Callable[..., Any]
    operands: tuple[_Expression, ...]

    @override
    def value(self, values: Mapping[str, Any]) -> Any:
        return self.apply(*(operand.value(values) for operand in self.operands))


_SUMS: Final[Mapping[str, Callable[..., Any]]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: Final[Mapping[str, Callable[..., Any]]] = {"*": operator.mul, "/": np.divide, "%": np.remainder}
_ALL: Final[Callable[..., Any]] = np.logical_and
_ANY: Final[Callable[..., Any]] = np.logical_or
_NEGATED: Final[Callable[..., Any]] = np.logical_not
_COMPARISONS: Final[Mapping[str, Callable[..., Any]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
_OF_EQUALS: Final = {"<=", ">=", "=="}
"""Comparisons that hold for equal numbers."""


@final
@dataclass(frozen=True, slots=True)
class _Comparison(_Expression):
    """Two numbers compared, up to rounding."""

    symbol: str
    left: _Expression
    right: _Expression

    @override
    def value(self, values: Mapping[str, Any]) -> Any:
        a, b = self.left.value(values), self.right.value(values)
        is_close = abs(a - b) <= _ROUNDING * np.minimum(abs(a), abs(b))
        found = _COMPARISONS[self.symbol](a, b)
        return found | is_close if self.symbol in _OF_EQUALS else found & ~is_close


@final
class _Parser:
    """Reads one relation by recursive descent, from the loosest to the tightest operator.

    Parameters
    ----------
    text
        A relation.
    entries
        Domains, and the values of constants. Names of any form are understood, also ``learning-rate`` and ``opt.lr``.

    Raises
    ------
    SpaceError
        The text has a character without a meaning, or is too long.
    """

    def __init__(self, text: str, entries: Mapping[str, Domain | ConfigValue]) -> None:
        self.kinds = {name: _kind(entry) for name, entry in entries.items()}
        self.named: dict[str, None] = {}
        """Names that were read, in order."""
        self._entries = entries
        self._tokens = _tokens(text, entries)
        self._place = 0

    def relation(self) -> _Expression:
        """The whole text as a tree.

        Raises
        ------
        SpaceError
            It is no relation.
        """
        tree, kind = self._disjunction()
        if self._next:
            raise self._unexpected("an operator, or the end")
        if kind is not _Kind.TRUTH:
            raise SpaceError("it compares nothing: write two sides with <=, <, >=, >, == or != between them")
        return tree

    @property
    def _next(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _taken(self, *wanted: str) -> str:
        """The next token if it is one of some, which is then read; else an empty text."""
        token = self._next
        if token not in wanted:
            return ""
        self._place += 1
        return token

    def _unexpected(self, expected: str) -> SpaceError:
        return SpaceError(f"expected {expected}, found {self._next or 'the end'}")

    def _disjunction(self) -> tuple[_Expression, _Kind]:
        return self._joined(self._conjunction, "or", _ANY)

    def _conjunction(self) -> tuple[_Expression, _Kind]:
        return self._joined(self._negation, "and", _ALL)

    def _joined(
        self, part: Callable[[], tuple[_Expression, _Kind]], word: str, apply: Callable[..., Any]
    ) -> tuple[_Expression, _Kind]:
        tree, kind = part()
        while self._taken(word):
            other, kind_of_other = part()
            _check(word, _Kind.TRUTH, kind, kind_of_other)
            tree = _Operation(apply, (tree, other))
        return tree, kind

    def _negation(self) -> tuple[_Expression, _Kind]:
        if not self._taken("not"):
            return self._comparison()
        tree, kind = self._negation()
        _check("not", _Kind.TRUTH, kind)
        return _Operation(_NEGATED, (tree,)), kind

    def _comparison(self) -> tuple[_Expression, _Kind]:
        """One comparison, or a chain: ``a <= b <= c`` stands for ``a <= b and b <= c``."""
        left, kind = self._sum()
        compared: _Expression | None = None
        while symbol := self._taken(*_COMPARISONS):
            right, kind_of_right = self._sum()
            link = self._compared(symbol, (left, kind), (right, kind_of_right))
            compared = link if compared is None else _Operation(_ALL, (compared, link))
            left, kind = right, kind_of_right
        return (left, kind) if compared is None else (compared, _Kind.TRUTH)

    def _compared(
        self, symbol: str, left: tuple[_Expression, _Kind], right: tuple[_Expression, _Kind]
    ) -> _Expression:
        (a, kind), (b, kind_of_other) = left, right
        if symbol not in {"==", "!="} or {kind, kind_of_other} == {_Kind.NUMBER}:
            _check(symbol, _Kind.NUMBER, kind, kind_of_other)
            return _Comparison(symbol, a, b)
        for one, other in ((a, b), (b, a)):
            if isinstance(one, _Name) and isinstance(other, _Literal):
                self._check_label(one.name, other.content)
        return _Operation(_COMPARISONS[symbol], (a, b))

    def _check_label(self, name: str, value: ConfigValue) -> None:
        entry = self._entries[name]
        if self.kinds[name] is _Kind.NUMBER:
            raise SpaceError(f"{name} is a number, so it is never {value!r}")
        if isinstance(entry, Categorical | Ordinal) and value not in entry.values:
            raise SpaceError(f"{name} is never {value!r}.{nearest_hint(str(value), map(str, entry.values))}")

    def _sum(self) -> tuple[_Expression, _Kind]:
        return self._calculated(self._product, _SUMS)

    def _product(self) -> tuple[_Expression, _Kind]:
        return self._calculated(self._signed, _PRODUCTS)

    def _calculated(
        self, part: Callable[[], tuple[_Expression, _Kind]], operations: Mapping[str, Callable[..., Any]]
    ) -> tuple[_Expression, _Kind]:
        tree, kind = part()
        while symbol := self._taken(*operations):
            other, kind_of_other = part()
            _check(symbol, _Kind.NUMBER, kind, kind_of_other)
            tree = _Operation(operations[symbol], (tree, other))
        return tree, kind

    def _signed(self) -> tuple[_Expression, _Kind]:
        if not self._taken("-"):
            return self._atom()
        tree, kind = self._signed()
        _check("-", _Kind.NUMBER, kind)
        return _Operation(operator.neg, (tree,)), kind

    def _atom(self) -> tuple[_Expression, _Kind]:
        if self._taken("("):
            found = self._disjunction()
            if not self._taken(")"):
                raise self._unexpected(")")
            return found
        token = self._next
        if not token or token in _SYMBOLS or token in {"and", "or", "not"}:
            raise self._unexpected("a name, a number or (")
        self._place += 1
        if token in self.kinds:
            self.named[token] = None
            return _Name(token), self.kinds[token]
        if token[0] in "'\"":
            return _Literal(token[1:-1]), _Kind.LABEL
        if token.lower() in {"true", "false"}:
            return _Literal(token.lower() == "true"), _Kind.LABEL
        if not _NUMBER.fullmatch(token):
            raise SpaceError(f"the search space has no {token!r}.{nearest_hint(token, self.kinds)}")
        return _Literal(float(token)), _Kind.NUMBER


def _check(symbol: str, wanted: _Kind, *kinds: _Kind) -> None:
    for kind in kinds:
        if kind is not wanted:
            raise SpaceError(f"{symbol!r} needs {wanted} on each side, not {kind}")


def _kind(entry: Domain | ConfigValue) -> _Kind:
    """Whether all values of an entry are numbers."""
    values = entry.values if isinstance(entry, Categorical | Ordinal) else (entry,)
    return _Kind.LABEL if any(isinstance(value, str | bool) for value in values) else _Kind.NUMBER


_NUMBER: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SYMBOLS: Final = (*_COMPARISONS, *_SUMS, *_PRODUCTS, "(", ")")


def _tokens(text: str, names: Mapping[str, object]) -> list[str]:
    """Names (the longest first), texts in quotation marks, numbers, words and symbols."""
    known = [re.escape(name) for name in sorted(names, key=len, reverse=True) if not _NUMBER.fullmatch(name)]
    kinds = (
        r"'[^']*'|\"[^\"]*\"",
        *([rf"(?:{'|'.join(known)})(?![\w.])"] if known else []),
        _NUMBER.pattern,
        r"[^\W\d][\w.]*",
        "|".join(map(re.escape, _SYMBOLS)),
    )
    pattern = re.compile("|".join(f"(?:{kind})" for kind in kinds))
    found: list[str] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        match = pattern.match(text, place)
        if match is None:
            hint = ": write == for equal" if text[place] == "=" else ""
            raise SpaceError(f"{text[place]!r} has no meaning in a relation{hint}")
        found.append(match.group())
        place = match.end()
    if len(found) > _MOST_TOKENS:
        raise SpaceError(
            f"it has {len(found)} names, numbers and symbols: write several, of at most {_MOST_TOKENS} each"
        )
    return found
