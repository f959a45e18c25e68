"""Metric math: `+ - * /`, comparisons, `AND` and `OR`, `IF`, `FILL`, `MAX`, `MIN`, `SUM`, `AVG`.

A value is a number or a series. An operation on two series keeps the timestamps that both have; a
comparison, `AND` and `OR` give 1 where they hold and 0 where not, and a number counts as true if
it is not 0; a division by zero leaves its timestamp out. `IF(condition, then, else)` leaves a
timestamp out that the chosen side does not have, and without `else` those where the condition does
not hold. `MAX([a, b])` and its kin look at each timestamp that any of the series has; `MAX(a)` is
one number, of the whole series. Everything else CloudWatch knows (RATE, SEARCH, SELECT ...) is
refused by name. ("Using math expressions with CloudWatch metrics")
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from statistics import fmean

Points = Mapping[int, float]
"""Values by epoch second."""

Value = dict[int, float] | float
Combination = Callable[[float, float], float]

_OPERATORS: dict[type[ast.operator], Combination] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Combination] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LOGIC: dict[type[ast.boolop], Combination] = {
    ast.And: lambda left, right: bool(left) and bool(right),
    ast.Or: lambda left, right: bool(left) or bool(right),
}
_SUMMARIES: dict[str, Callable[[list[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": fmean,
}
_WORDS = {"AND": "and", "&&": "and", "OR": "or", "||": "or"}
_WORD = re.compile(r"\bAND\b|\bOR\b|&&|\|\|")


class ExpressionError(ValueError):
    """An expression that is wrong, or that the local cloud cannot evaluate."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression and the ids it reads."""

    text: str
    tree: ast.expr
    ids: frozenset[str]


def parse(text: str) -> Expression:
    """Raises ExpressionError naming what is not supported."""
    pythonic = _WORD.sub(lambda word: f" {_WORDS[word[0]]} ", text)
    try:
        tree = ast.parse(pythonic.strip(), mode="eval").body
    except SyntaxError as error:
        raise _unsupported(text, "it cannot be read") from error
    ids: set[str] = set()
    _check(text, tree, ids)
    if not ids:
        raise ExpressionError(f"Error in expression '{text}': it names no metric.")
    return Expression(text, tree, frozenset(ids))


def _unsupported(text: str, why: str) -> ExpressionError:
    return ExpressionError(
        f"Error in expression '{text}': {why}; the local cloud knows + - * /, comparisons, AND, "
        "OR, parentheses, numbers, ids, IF(condition, then, else), FILL(id, number), and "
        f"{', '.join(_SUMMARIES)} of an id or of a list."
    )


def _check(text: str, node: ast.expr, ids: set[str]) -> None:
    match node:
        case ast.Constant(value=bool()):
            raise _unsupported(text, f"'{ast.unparse(node)}' is not supported")
        case ast.Constant(value=int() | float()):
            return
        case ast.Name(id=name):
            ids.add(name)
        case ast.Call():
            _check_call(text, node, ids)
        case _:
            for part in _parts(text, node):
                _check(text, part, ids)


def _parts(text: str, node: ast.expr) -> list[ast.expr]:
    """What an operation is carried out on."""
    match node:
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return [left, right]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return [left, right]
        case ast.BoolOp(values=values):
            return values
    raise _unsupported(text, f"'{ast.unparse(node)}' is not supported")


def _check_call(text: str, node: ast.Call, ids: set[str]) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    match name, node.args:
        case "FILL", [inner, filler]:
            if _number(filler) is None:
                raise _unsupported(text, "FILL takes a number here")
            parts = [inner]
        case "IF", [_, _] | [_, _, _]:
            parts = node.args
        case summary, [ast.List(elts=[_, *_] as several)] if summary in _SUMMARIES:
            parts = several
        case summary, [ast.Name() as one] if summary in _SUMMARIES:
            parts = [one]
        case _:
            raise _unsupported(text, f"{name}(...) is not supported in this form")
    for part in parts:
        _check(text, part, ids)


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
    return None


def evaluate(
    expression: Expression, series: Callable[[str], Points], times: range
) -> dict[int, float]:
    """The expression's points; `series` answers an id, `times` are the periods of the answer."""
    result = _Evaluation(series, times).value(expression.tree)
    return result if isinstance(result, dict) else dict.fromkeys(times, result)


def _operation(node: ast.expr) -> tuple[Combination, list[ast.expr]]:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)], [left, right]
        case ast.Compare(left=left, ops=[compared], comparators=[right]):
            return _COMPARISONS[type(compared)], [left, right]
        case ast.BoolOp(op=logic, values=values):
            return _LOGIC[type(logic)], values
    raise AssertionError(f"unchecked expression node {node!r}")


class _Evaluation:
    """One expression, once, over one span of time."""

    def __init__(self, series: Callable[[str], Points], times: range) -> None:
        self._series = series
        self._times = times

    def value(self, node: ast.expr) -> Value:
        """The value of a part that has been checked."""
        match node:
            case ast.Constant(value=value):
                return float(value)  # type: ignore[arg-type]
            case ast.Name(id=name):
                return dict(self._series(name))
            case ast.UnaryOp(op=op, operand=operand):
                sign = -1.0 if isinstance(op, ast.USub) else 1.0
                return _combine(operator.mul, self.value(operand), sign)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._called(name, arguments)
        how, operands = _operation(node)
        return reduce(partial(_combine, how), map(self.value, operands))

    def _called(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "IF":
            return self._chosen(*arguments)
        if name == "FILL":
            filler = _number(arguments[1])
            inner = self.value(arguments[0])
            assert filler is not None
            return dict.fromkeys(self._times, filler) | inner if isinstance(inner, dict) else inner
        summary = _SUMMARIES[name]
        if isinstance(arguments[0], ast.List):
            return self._across(summary, [self.value(each) for each in arguments[0].elts])
        points = self.value(arguments[0])
        assert isinstance(points, dict)
        return summary(list(points.values())) if points else {}

    def _chosen(
        self, condition: ast.expr, then: ast.expr, otherwise: ast.expr | None = None
    ) -> Value:
        decided, chosen = self.value(condition), self.value(then)
        other: Value = {} if otherwise is None else self.value(otherwise)
        if isinstance(decided, float):
            return chosen if decided else other
        result = {}
        for time, holds in decided.items():
            side = chosen if holds else other
            value = side.get(time) if isinstance(side, dict) else side
            if value is not None:
                result[time] = value
        return result

    def _across(self, summary: Callable[[list[float]], float], several: list[Value]) -> Value:
        """At each time that any series has; a number among them is there at all of those."""
        series = [each for each in several if isinstance(each, dict)]
        numbers = [each for each in several if isinstance(each, float)]
        if not series:
            return float(summary(numbers))
        return {
            time: float(summary([*numbers, *(each[time] for each in series if time in each)]))
            for time in sorted(set().union(*series))
        }


def _combine(how: Combination, left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        if how is operator.truediv and right == 0:
            raise ExpressionError("Error in expression: division by zero.")
        return float(how(left, right))
    if isinstance(left, dict):
        times = left.keys() & right.keys() if isinstance(right, dict) else left.keys()
    else:
        assert isinstance(right, dict)
        times = right.keys()
    result = {}
    for time in sorted(times):
        a = left[time] if isinstance(left, dict) else left
        b = right[time] if isinstance(right, dict) else right
        if how is not operator.truediv or b:
            result[time] = float(how(a, b))
    return result
