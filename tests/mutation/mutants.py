"""Small changes to the rules: one operator, constant, argument or statement of a function at a time."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]
OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
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
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
HIT = "__hit__"
"""The global name under which counted functions find what they call."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """A changed function. `key` names the place and the change, and stays the same when other lines are added."""

    key: str
    path: str
    line: int
    statement: int
    function: str
    first_line: int
    node: ast.AST
    new: ast.AST | None
    tree: ast.Module

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def diff(self) -> tuple[str, str]:
        """The line or expression as it is, and as it is changed."""
        return _text(self.node), "nothing" if self.new is None else _text(self.new)

    def compile(self) -> tuple[CodeType, CodeType]:
        """The code of the function, and of the changed one. The tree stays changed: one mutant of a tree is right."""
        plain = compile((ROOT / self.path).read_text(encoding="utf-8"), self.path, "exec")
        changed = ast.fix_missing_locations(_Replace(self.node, self.new).visit(self.tree))
        codes = plain, compile(changed, self.path, "exec")
        return code_in(codes[0], self.function, self.first_line), code_in(codes[1], self.function, self.first_line)


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def mutants_of(path: str) -> list[Mutant]:
    """All mutants of the functions in the file `path`, in order."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), path)
    seen: Counter[str] = Counter()
    found = []
    for name, function in _functions(tree.body, ""):
        for statement, node, new in _changes(function):
            key = f"{path}::{name}: {_text(node)} -> {'nothing' if new is None else _text(new)}"
            key += "" if node is statement else f" in: {_text(statement)}"
            seen[key] += 1
            key += f" ({seen[key]})" if seen[key] > 1 else ""
            found.append(Mutant(key, path, node.lineno, statement.lineno, name, _first_line(function), node, new, tree))
    return found


def _first_line(function: Function) -> int:
    return min([function.lineno, *(one.lineno for one in function.decorator_list)])


def _functions(body: list[ast.stmt], outer: str) -> Iterator[tuple[str, Function]]:
    for one in body:
        if isinstance(one, Function):
            yield outer + one.name, one
        elif isinstance(one, ast.ClassDef):
            yield from _functions(one.body, f"{outer}{one.name}.")


class _Replace(ast.NodeTransformer):
    """Puts `new`, or nothing, in the place of `node`."""

    def __init__(self, node: ast.AST, new: ast.AST | None) -> None:
        self._node = node
        self._new = ast.Pass() if new is None else new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self._new, node) if node is self._node else self.generic_visit(node)


def code_in(code: CodeType, name: str, first_line: int) -> CodeType:
    """The code of the function `name`, which begins at `first_line`, in that of its module."""
    *classes, function = name.split(".")
    for part in classes:
        code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == part)
    found = (one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == function)
    return next(one for one in found if one.co_firstlineno == first_line)


def _changes(function: Function) -> Iterator[tuple[ast.stmt, ast.AST, ast.AST | None]]:
    """A statement in `function`, a node of it, and what takes the place of that: nothing, where it is None."""
    for statement in _statements(function):
        for node in (statement, *_expressions(statement)):
            for new in _replacements(node):
                yield statement, node, new


def _statements(function: Function) -> Iterator[ast.stmt]:
    return (one for one in ast.walk(function) if isinstance(one, ast.stmt) and one is not function)


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Those in the head of a statement; what stands in its body are statements of their own."""
    for one in ast.iter_child_nodes(node):
        if not isinstance(one, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield one
            yield from _expressions(one)


class _Count(ast.NodeTransformer):
    """Has each statement of a function tell its line first."""

    def visit_FunctionDef(self, node: Function) -> Function:
        for one in (node, *_statements(node)):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(one, name, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    setattr(one, name, [new for old in block for new in (_hit(old), old)])
            for part in (*getattr(one, "handlers", ()), *getattr(one, "cases", ())):
                part.body = [new for old in part.body for new in (_hit(old), old)]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


def _hit(statement: ast.stmt) -> ast.stmt:
    call = ast.Call(ast.Name(HIT, ast.Load()), [ast.Constant(statement.lineno)], [])
    return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), statement))


def counted_functions(path: str) -> Iterator[tuple[CodeType, CodeType]]:
    """The code of each function in the file `path`, and one that calls HIT with the line of each statement first."""
    text = (ROOT / path).read_text(encoding="utf-8")
    plain = compile(text, path, "exec")
    tree = ast.parse(text)
    places = [
        (name, min([one.lineno, *(d.lineno for d in one.decorator_list)])) for name, one in _functions(tree.body, "")
    ]
    counted = compile(_Count().visit(tree), path, "exec")
    return ((code_in(plain, *place), code_in(counted, *place)) for place in places)


def _text(node: ast.AST) -> str:
    """The code of `node`; of a statement with a body its first line."""
    text = ast.unparse(node)
    return text.partition("\n")[0] if hasattr(node, "body") else " ".join(text.split())


def _replacements(node: ast.AST) -> Iterator[ast.AST | None]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in OPERATORS:
            yield _with(node, ops=[OPERATORS[type(operator)]()])
        case ast.BoolOp():
            yield _with(node, op=OPERATORS[type(node.op)]())
            for at in range(len(node.values)):
                rest = node.values[:at] + node.values[at + 1 :]
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in OPERATORS:
            yield _with(node, op=OPERATORS[type(node.op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool() as value):
            yield _with(node, value=not value)
        case ast.Constant(value=int() | float() as value):
            yield _with(node, value=value + 1)
        case ast.IfExp():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Slice():
            if node.lower is not None:
                yield _with(node, lower=None)
            if node.upper is not None:
                yield _with(node, upper=None)
        case ast.Call(keywords=keywords):
            for at, one in enumerate(keywords):
                if one.arg:
                    yield _with(node, keywords=keywords[:at] + keywords[at + 1 :])
    match node:
        case ast.If() | ast.While():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.AugAssign() | ast.Delete():
            yield None
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield None


def _with(node: ast.AST, **changes: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new
