"""Writes docs/constructs.md from the constructs' source: `uv run python docs/make_constructs.py`.

The source is parsed and not run, as the CDK takes seconds to start: names, types and defaults are
as they are written there. The type of an output that is nowhere written is left open.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import llmops_constructs as llm

PAGE = Path(__file__).with_name("constructs.md")
PACKAGE = Path(llm.__file__).parent
MARK = "Example::"
PARAMETER = re.compile(r"^:param ([^:]+): ", re.MULTILINE)
CLASS_NAME = re.compile(r"(\w+\.)?[A-Z]\w+")
OWN = ("self", "cls", "scope", "id")
"""Parameters that every construct has."""
Row = tuple[str, str, str]
"""A name, its type and what else there is to say."""

INTRODUCTION = """\
<!-- fmt: off -->
# Constructs

Made by `docs/make_constructs.py` from the source of `llmops_constructs`.

Each can be taken alone. Import `llmops_constructs` before `aws_cdk` (it says which Node runs the \
CDK) and put constructs into an `ExplicitStack`. The first two arguments of a construct are the \
CDK's `scope` and `id`; all others are keywords. Where a default is none, the meaning says what \
happens then. Arguments that contradict each other or AWS raise `InvalidConstruct`, all of them in \
one message. The examples run in `tests/constructs/test_examples.py`: `stack` is an \
`ExplicitStack`, `llm` this package, `cdk` is `aws_cdk`.

What the stacks of this repository make of them: [Infrastructure](infrastructure.md). A whole app: \
[examples/own_container.py](../examples/own_container.py)."""


@dataclass(frozen=True)
class Docstring:
    """A docstring in its parts."""

    text: str
    """What comes before the parameters; a paragraph is a line."""
    parameters: Mapping[str, str]
    example: str

    @classmethod
    def of(cls, node: ast.ClassDef | ast.FunctionDef) -> Docstring:
        """What a class or a function says of itself."""
        told, _, example = (ast.get_docstring(node) or "").partition(MARK)
        before, *pairs = PARAMETER.split(told)
        meanings = {
            name.strip(): _line(text)
            for names, text in zip(pairs[::2], pairs[1::2], strict=True)
            for name in names.split(",")
        }
        code = [line for line in example.splitlines() if not line or line.startswith(" ")]
        text = "\n\n".join(_line(each) for each in before.strip().split("\n\n"))
        return cls(text, meanings, "\n".join(each[4:] for each in code).strip("\n"))


@dataclass(frozen=True)
class Module:
    """A module of the package as source."""

    name: str
    tree: ast.Module

    @classmethod
    def read(cls, name: str) -> Module:
        """Parses it."""
        return cls(name, ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")))

    def find(self, name: str) -> tuple[Module, ast.ClassDef | ast.FunctionDef] | None:
        """The class or function of that name, and the module that it is written in."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                return self, node
        source = self._origin(name)
        return source.find(name) if source else None

    def constant(self, name: str) -> tuple[ast.expr | None, str]:
        """What a name of the module stands for, here or where it is imported from; and what is
        said under it."""
        for node, after in pairwise([*self.tree.body, ast.Pass()]):
            match node:
                case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                    return value, _under(after)
                case ast.AnnAssign(target=ast.Name(id=found), value=value) if found == name:
                    return value, _under(after)
        source = self._origin(name)
        return source.constant(name) if source else (None, "")

    def default(self, value: ast.expr | None) -> str:
        """A default as it is written; a name that stands for a short literal as that literal."""
        if value is None:
            return "needed"
        if isinstance(value, ast.Name):
            meant, _ = self.constant(value.id)
            value = meant if isinstance(meant, ast.Constant) else value
        written = ast.unparse(value).replace("'", '"')
        return "none" if written == "None" else f"`{written}`"

    def _origin(self, name: str) -> Module | None:
        """The module of the package that a name is imported from."""
        for node in self.tree.body:
            match node:
                case ast.ImportFrom(module=str(path)) if path.startswith(f"{PACKAGE.name}."):
                    if any((each.asname or each.name) == name for each in node.names):
                        return Module.read(path.partition(".")[2])
        return None


@dataclass(frozen=True)
class Class:
    """A class, and the parts of it that its users see."""

    module: Module
    node: ast.ClassDef

    @property
    def start(self) -> ast.FunctionDef | None:
        """Its constructor, if it has one of its own."""
        return self._method("__init__")

    @property
    def is_enumeration(self) -> bool:
        """Whether its fields are values."""
        return any(isinstance(each, ast.Name) and each.id == "Enum" for each in self.node.bases)

    def fields(self, told: Docstring) -> Iterator[tuple[str, str, str, str]]:
        """Name, type, default and meaning of the fields of a dataclass or an enumeration."""
        for field, after in pairwise([*self.node.body, ast.Pass()]):
            match field:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value):
                    written = ast.unparse(kind)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    written = ""
                case _:
                    continue
            meaning = told.parameters.get(name) or _under(after)
            yield name, written, self.module.default(value), meaning

    def outputs(self) -> dict[str, str]:
        """The types of the public attributes that the constructor sets; empty: unknown."""
        known = {
            field.target.id: ast.unparse(field.annotation)
            for field in self.node.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        }
        for to, kind in self._assigned("self"):
            if not to.startswith("_"):
                known[to] = known.get(to) or kind
        return known

    def members(self) -> Iterator[Row]:
        """Its properties and methods, with the first sentence of each."""
        for each in self.node.body:
            if not isinstance(each, ast.FunctionDef) or each.name.startswith("_"):
                continue
            plain = not any("property" in ast.unparse(one) for one in each.decorator_list)
            name = f"{each.name}({_names(each.args)})" if plain else each.name
            kind = ast.unparse(each.returns) if each.returns else ""
            yield name, kind, _sentence(ast.get_docstring(each) or "")

    def _method(self, name: str) -> ast.FunctionDef | None:
        methods = (each for each in self.node.body if isinstance(each, ast.FunctionDef))
        return next((each for each in methods if each.name == name), None)

    def _assigned(self, owner: str) -> Iterator[tuple[str, str]]:
        """What the constructor sets on an object, with the types."""
        for to, value, annotation in _assignments(self.start):
            match to:
                case ast.Attribute(value=ast.Name(id=found), attr=name) if found == owner:
                    yield name, ast.unparse(annotation) if annotation else self._type(value)

    def _type(self, value: ast.expr | None) -> str:
        """The type of a value, where a parameter, a return type or a class name says it."""
        kind = ""
        match value:
            case ast.Constant(value=constant):
                kind = type(constant).__name__
            case ast.JoinedStr():
                kind = "str"
            case ast.IfExp(body=found, orelse=ast.Constant(value=None)):
                inner = self._type(found)
                kind = f"{inner} | None" if inner else ""
            case ast.IfExp(body=found) | ast.BoolOp(values=[*_, found]):
                kind = self._type(found)
            case ast.Name(id=name):
                kind = self._type_of_name(name)
            case ast.Attribute(value=ast.Name() | ast.Attribute() as owner, attr=name):
                kind = self._type_of_attribute(owner, name)
            case ast.Call(func=function):
                kind = self._type_of_call(function)
        return kind

    def _type_of_name(self, name: str) -> str:
        """That of a parameter of the constructor, or of a constant of the module."""
        arguments = [*self.start.args.args, *self.start.args.kwonlyargs] if self.start else []
        annotation = {one.arg: one.annotation for one in arguments}.get(name)
        if annotation:
            return ast.unparse(annotation)
        meant, _ = self.module.constant(name)
        return type(meant.value).__name__ if isinstance(meant, ast.Constant) else ""

    def _type_of_attribute(self, owner: ast.expr, name: str) -> str:
        """That of an attribute of what the constructor made from a class of the package."""
        for to, value, _ in _assignments(self.start):
            if ast.unparse(to) == ast.unparse(owner) and isinstance(value, ast.Call):
                found = self.module.find(ast.unparse(value.func))
                if found and isinstance(found[1], ast.ClassDef):
                    made = Class(found[0], found[1])
                    properties = {each: kind for each, kind, _ in made.members()}
                    return made.outputs().get(name) or properties.get(name, "")
        return ""

    def _type_of_call(self, function: ast.expr) -> str:
        match function:
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                method = self._method(name)
                return ast.unparse(method.returns) if method and method.returns else ""
            case ast.Name(id=name):
                found = self.module.find(name)
                if found and isinstance(found[1], ast.FunctionDef) and found[1].returns:
                    return ast.unparse(found[1].returns)
        written = ast.unparse(function)
        return written if CLASS_NAME.fullmatch(written) else ""


def _assignments(
    start: ast.FunctionDef | None,
) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    """Target, value and annotation of each assignment; a tuple's one by one."""
    for each in ast.walk(start) if start else ():
        match each:
            case ast.AnnAssign(target=to, value=value, annotation=annotation):
                yield to, value, annotation
            case ast.Assign(targets=[ast.Tuple(elts=left)], value=ast.Tuple(elts=right)):
                yield from ((to, value, None) for to, value in zip(left, right, strict=True))
            case ast.Assign(targets=[to], value=value):
                yield to, value, None


def _parameters(
    module: Module, node: ast.FunctionDef, told: Docstring
) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of each parameter but scope and id."""
    given = node.args
    first: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    pairs = [*zip(given.args, [*first, *given.defaults], strict=True)]
    for argument, default in [*pairs, *zip(given.kwonlyargs, given.kw_defaults, strict=True)]:
        if argument.arg not in OWN:
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            meaning = told.parameters.get(argument.arg, "")
            yield argument.arg, kind, module.default(default), meaning
    if given.vararg and given.vararg.annotation:
        yield f"*{given.vararg.arg}", ast.unparse(given.vararg.annotation), "none", ""


def _names(arguments: ast.arguments) -> str:
    found = [each.arg for each in arguments.args if each.arg not in ("self", "cls")]
    found += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    return ", ".join([*found, *(each.arg for each in arguments.kwonlyargs)])


def _under(node: ast.stmt) -> str:
    """The docstring that a statement is, for what stands above it."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return _line(text)
    return ""


def _line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    """The first sentence; the full stop of an abbreviation does not end it."""
    found = re.match(r".*?(?<!e\.g)(?<!i\.e)[.](?=\s|$)", _line(text))
    return found[0] if found else _line(text)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Nothing without rows; a column without a word is left out."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    lines = [head, ["---"] * len(head), *rows]
    if rows:
        yield "\n".join(
            f"| {' | '.join(line[at].replace('|', chr(92) + '|') for at in kept)} |"
            for line in lines
        )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def entry(name: str) -> Iterator[str]:
    """The section of one exported name."""
    home = Module.read(llm._MODULES[name])
    yield f"## {name}"
    found = home.find(name)
    if found is None:
        meant, told = home.constant(name)
        yield f"{told}"
        yield f"Stands for `{ast.unparse(meant)}`." if meant else ""
        return
    module, node = found
    docstring = Docstring.of(node)
    yield f"{docstring.text}"
    if isinstance(node, ast.ClassDef):
        yield from _of_class(Class(module, node), docstring)
    else:
        rows = [(_code(a), _code(b), c, d) for a, b, c, d in _parameters(module, node, docstring)]
        yield from _table(("parameter", "type", "default", "meaning"), rows)
        yield f"Gives `{ast.unparse(node.returns)}`." if node.returns else ""
    yield f"```python\n{docstring.example}\n```" if docstring.example else ""


def _of_class(found: Class, told: Docstring) -> Iterator[str]:
    if found.start:
        word, given = "parameter", [*_parameters(found.module, found.start, told)]
        made = [(name, kind, "") for name, kind in found.outputs().items()]
    else:
        word, given = "value" if found.is_enumeration else "field", [*found.fields(told)]
        made = []
    fourth = "is" if found.is_enumeration else "default"
    rows = [(_code(name), _code(kind), default, meaning) for name, kind, default, meaning in given]
    yield from _table((word, "type", fourth, "meaning"), rows)
    outputs = [(_code(name), _code(kind), meaning) for name, kind, meaning in made]
    outputs += [(_code(name), _code(kind), meaning) for name, kind, meaning in found.members()]
    yield from _table(("output", "type", "meaning"), outputs)


def page() -> str:
    """The whole page."""
    sections = [part for name in llm.__all__ for part in entry(name) if part]
    return "\n\n".join([INTRODUCTION, *sections]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
