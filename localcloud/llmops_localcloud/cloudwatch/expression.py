"""Metric math: `+ - * /`, parentheses, numbers, ids of other queries, and `FILL(id, number)`.

Everything else CloudWatch knows (IF, RATE, SEARCH, SELECT ...) is refused by name. Operations on
two series keep the timestamps that both have; a division by zero leaves its timestamp out.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Points = Mapping[int, float]
"""Values by epoch second."""

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


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
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise _unsupported(text, "it cannot be read") from error
    ids: set[str] = set()
    _check(text, tree, ids)
    if not ids:
        raise ExpressionError(f"Error in expression '{text}': it names no metric.")
    return Expression(text, tree, frozenset(ids))


def _unsupported(text: str, why: str) -> ExpressionError:
    return ExpressionError(
        f"Error in expression '{text}': {why}; the local cloud knows + - * /, parentheses, "
        "numbers, ids and FILL(id, number)."
    )


def _check(text: str, node: ast.expr, ids: set[str]) -> None:
    match node:
        case ast.Constant(value=int() | float()):
            return
        case ast.Name(id=name):
            ids.add(name)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(text, operand, ids)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(text, left, ids)
            _check(text, right, ids)
        case ast.Call(func=ast.Name(id="FILL"), args=[ast.Name(id=name), filler], keywords=[]):
            if _number(filler) is None:
                raise _unsupported(text, "FILL takes a number here")
            ids.add(name)
        case ast.Call(func=ast.Name(id=name)):
            raise _unsupported(text, f"{name}(...) is not supported in this form")
        case _:
            raise _unsupported(text, f"'{ast.unparse(node)}' is not supported")


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
    """The expression's points; `series` answers an id, `times` are the periods FILL fills."""
    result = _value(expression.tree, series, times)
    assert isinstance(result, dict)
    return result


def _value(
    node: ast.expr, series: Callable[[str], Points], times: range
) -> dict[int, float] | float:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return dict(series(name))
        case ast.UnaryOp(op=op, operand=operand):
            sign = -1.0 if isinstance(op, ast.USub) else 1.0
            return _combine(operator.mul, _value(operand, series, times), sign)
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(
                _OPERATORS[type(op)], _value(left, series, times), _value(right, series, times)
            )
        case ast.Call(args=[ast.Name(id=name), filler]):
            number = _number(filler)
            assert number is not None
            return dict.fromkeys(times, number) | dict(series(name))
    raise AssertionError(f"unchecked expression node {node!r}")


def _combine(
    how: Callable[[float, float], float],
    left: dict[int, float] | float,
    right: dict[int, float] | float,
) -> dict[int, float] | float:
    if isinstance(left, float) and isinstance(right, float):
        if how is operator.truediv and right == 0:
            raise ExpressionError("Error in expression: division by zero.")
        return how(left, right)
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
            result[time] = how(a, b)
    return result
