"""Faults in Python: a comparison turned round, a number off by one, a call or a decorator left out."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from autograder.mutation.operators import Mutation

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_REVERSED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}


def mutations(text: str) -> Iterator[Mutation]:
    """All mutations of a Python file that still compile and are not the same program.

    Raises:
        ValueError: It is not Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(str(error)) from error
    source = _Source(text)
    seen = {ast.dump(tree)}
    for node, operator, changed in _faults(tree):
        mutated = source.replaced(node, changed)
        try:
            dumped = ast.dump(ast.parse(mutated))
        except SyntaxError:
            continue
        if dumped not in seen:
            seen.add(dumped)
            yield Mutation(f"python: {operator}", node.lineno, mutated)


class _Source:
    """A text, and the places of its nodes: lines from 1, columns in bytes."""

    def __init__(self, text: str) -> None:
        self._lines = [line.encode() for line in text.splitlines(keepends=True)]

    def replaced(self, node: ast.expr | ast.stmt, changed: str) -> str:
        """The whole text with other code in a node's place."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        lines = self._lines
        before = [*lines[: node.lineno - 1], lines[node.lineno - 1][: node.col_offset]]
        after = [lines[node.end_lineno - 1][node.end_col_offset :], *lines[node.end_lineno :]]
        return b"".join([*before, changed.encode(), *after]).decode()


Fault = tuple["ast.expr | ast.stmt", str, str]


def _faults(tree: ast.Module) -> Iterator[Fault]:
    """Each fault in the order of its place: where, which kind, and the code that stands there then."""
    texts = _plain_texts(tree)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        if isinstance(node, ast.expr):
            if id(node) not in texts:
                yield from _in_expression(node)
        else:
            yield from _in_statement(node)


def _plain_texts(tree: ast.Module) -> set[int]:
    """What is not code: docstrings, and the inside of f-strings, whose places Python 3.11 does not tell."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.add(id(first.value))
        elif isinstance(node, ast.JoinedStr):
            found.update(id(inside) for inside in ast.walk(node) if inside is not node)
    return found


def _in_expression(node: ast.expr) -> Iterator[Fault]:
    match node:
        case ast.Compare() if type(node.ops[0]) in _COMPARED:
            other = copy.deepcopy(node)
            other.ops[0] = _COMPARED[type(node.ops[0])]()
            yield node, "comparison", f"({ast.unparse(other)})"
        case ast.BinOp() if type(node.op) in _REVERSED:
            other_sum = copy.deepcopy(node)
            other_sum.op = _REVERSED[type(node.op)]()
            yield node, "arithmetic", f"({ast.unparse(other_sum)})"
        case ast.BoolOp():
            other_logic = copy.deepcopy(node)
            other_logic.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield node, "and, or", f"({ast.unparse(other_logic)})"
        case ast.UnaryOp(op=ast.Not()):
            yield node, "not left out", f"({ast.unparse(node.operand)})"
        case ast.Constant(value=bool(value)):
            yield node, "true, false", repr(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, "number", repr(value + 1)
        case ast.Constant(value=str(text)) if text:
            yield node, "text", repr(f"{text}x")
        case ast.Call() if node.keywords:
            for place, keyword in enumerate(node.keywords):
                fewer = copy.deepcopy(node)
                del fewer.keywords[place]
                yield node, f"argument {keyword.arg or '**'} left out", ast.unparse(fewer)


def _in_statement(node: ast.stmt) -> Iterator[Fault]:
    match node:
        case ast.Return(value=ast.expr()):
            yield node, "returns nothing", "return None"
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield node, "statement left out", "pass"
        case ast.Raise():
            yield node, "raises nothing", "pass"
        case ast.If() | ast.While():
            for test in ("True", "False"):
                yield node.test, f"condition {test.lower()}", test
