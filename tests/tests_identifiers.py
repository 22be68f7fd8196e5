"""Which `family.parameter` the diagnosis can say, read off its source without running it.

Every construction of a hypothesis is followed back to the strings that it is given: through
assignments, loops over literals, arguments of the calls that lead there, and results of functions.
Choices are made once and kept, so that family and parameter always come from the same way.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Emitted", "UnresolvedError", "emitted"]

Function = ast.FunctionDef | ast.Lambda
Choices = dict[Any, Any]
_DEEPEST = 60


class UnresolvedError(Exception):
    """An expression that this reader does not understand; it has to be taught, or made simpler."""


@dataclass(eq=False)
class _Module:
    name: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (node.module, alias.name)

    def around(self, node: ast.AST, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Any:
        """The innermost node of a kind that another lies in; None if there is none."""
        found = self.parents.get(node)
        while found is not None and not isinstance(found, kind):
            found = self.parents.get(found)
        return found


@dataclass(frozen=True, eq=False)
class _At:
    """An expression that is a value already: a literal, or the construction of an object."""

    node: ast.expr
    module: _Module


Value = str | int | float | None | _At | tuple[str, ...]


@dataclass(slots=True)
class Emitted:
    """An identifier that the diagnosis can say.

    Attributes:
        place: somewhere in the source that says it.
        solved: whether a number is solved for, there or elsewhere.
    """

    place: str
    solved: bool = False


def emitted(folder: Path, package: str = "parity.diagnose") -> dict[str, Emitted]:
    """All identifiers.

    Raises:
        UnresolvedError: somewhere names are made in a way that cannot be followed.
    """
    reader = _Reader(folder, package)
    found: dict[str, Emitted] = {}
    for module in reader.modules.values():
        for node in ast.walk(module.tree):
            for family, parameter in reader.names(node, module):
                place = f"{module.name}:{getattr(node, 'lineno', 0)}"
                one = found.setdefault(f"{family}.{parameter}", Emitted(place))
                one.solved |= any(word.arg == "solve" for word in node.keywords)
    return found


class _Reader:
    def __init__(self, folder: Path, package: str) -> None:
        self.modules: dict[str, _Module] = {}
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(part for part in parts if part != "__init__")
            self.modules[name] = _Module(name, ast.parse(path.read_text(encoding="utf-8")))

    def names(self, node: ast.AST, module: _Module) -> set[tuple[str, str]]:
        """Family and parameter of everything that a call constructs, if it constructs findings."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return set()
        if node.func.id == "Finding" and not self._own_words(node):
            return set()
        if node.func.id not in ("Hypothesis", "Finding"):
            return set()
        found = set()
        for (family, parameter), _ in self._first_two(node, module, {}):
            if not isinstance(family, str) or not isinstance(parameter, str):
                raise UnresolvedError(f"{module.name}:{node.lineno}: {ast.unparse(node)[:200]}")
            if family:
                found.add((family, parameter))
        if not found:
            raise UnresolvedError(f"{module.name}:{node.lineno}: nothing leads here")
        return found

    def _own_words(self, node: ast.Call) -> bool:
        """Whether a finding is named here, and does not have the name of a hypothesis."""
        given = {word.arg: word.value for word in node.keywords}
        return not isinstance(given.get("family"), ast.Attribute)

    def _first_two(
        self, node: ast.Call, module: _Module, chosen: Choices
    ) -> Iterator[tuple[tuple[Value, Value], Choices]]:
        if node.args and isinstance(node.args[0], ast.Starred):
            for pair, more in self.value(node.args[0].value, module, chosen):
                for family, then in self.item(pair, 0, more):
                    for parameter, last in self.item(pair, 1, then):
                        yield (family, parameter), last
            return
        words = {word.arg: word.value for word in node.keywords}
        one = node.args[0] if node.args else words["family"]
        two = node.args[1] if len(node.args) > 1 else words["parameter"]
        for family, more in self.value(one, module, chosen):
            for parameter, last in self.value(two, module, more):
                yield (family, parameter), last

    def value(
        self, node: ast.expr, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """What an expression can be, each with the choices under which it is that."""
        if len(chosen) > _DEEPEST:
            raise UnresolvedError(f"{module.name}:{node.lineno}: too deep")
        match node:
            case ast.Constant(value=value):
                yield value, chosen
            case ast.Tuple() | ast.List() | ast.Dict() | ast.JoinedStr() | ast.ListComp():
                yield _At(node, module), chosen
            case ast.IfExp() | ast.BoolOp():
                yield from self._forked(node, module, chosen)
            case ast.Subscript(slice=ast.Constant(value=int(index))):
                for whole, more in self.value(node.value, module, chosen):
                    yield from self.item(whole, index, more)
            case ast.Attribute():
                for whole, more in self.value(node.value, module, chosen):
                    yield from self._attribute(whole, node.attr, more)
            case ast.Name():
                yield from self._named(node, module, chosen)
            case ast.Call():
                yield from self._called(node, module, chosen)
            case _:
                yield _At(node, module), chosen

    def _forked(
        self, node: ast.IfExp | ast.BoolOp, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """`a if c else b`, either of them; `a or b`, the second where the first is empty."""
        if isinstance(node, ast.IfExp):
            for way, more in self._ways(node, [node.body, node.orelse], chosen):
                yield from self.value(way, module, more)
            return
        for value, more in self.value(node.values[0], module, chosen):
            if value or isinstance(node.op, ast.And):
                yield value, more
            else:
                yield from self.value(node.values[1], module, more)

    def _ways(self, key: Any, ways: list[Any], chosen: Choices) -> list[tuple[Any, Choices]]:
        """The ways on from a fork; one alone where it was passed before."""
        if key in chosen:
            return [(chosen[key], chosen)]
        return [(way, {**chosen, key: way}) for way in ways]

    def item(self, whole: Value, index: int, chosen: Choices) -> Iterator[tuple[Value, Choices]]:
        """An item of a tuple or list."""
        if isinstance(whole, tuple):
            yield whole[index], chosen
        elif isinstance(whole, _At) and isinstance(whole.node, ast.Tuple | ast.List):
            yield from self.value(whole.node.elts[index], whole.module, chosen)
        else:
            yield whole, chosen  # no string either way

    def _attribute(
        self, whole: Value, name: str, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """A field of an object that is constructed in plain sight."""
        if not isinstance(whole, _At) or not isinstance(whole.node, ast.Call):
            return
        found = self._definition(whole.node.func, whole.module)
        if found is None or not isinstance(found[0], ast.ClassDef):
            return
        fields = [n.target.id for n in found[0].body
                  if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]  # fmt: skip
        words = {word.arg: word.value for word in whole.node.keywords}
        place = fields.index(name)
        given = words.get(name)
        if given is None and place < len(whole.node.args):
            given = whole.node.args[place]
        if given is not None:
            yield from self.value(given, whole.module, chosen)

    # -- Names -------------------------------------------------------------------------------------

    def _named(
        self, node: ast.Name, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        scope: Any = node
        while (scope := module.around(scope, (ast.FunctionDef, ast.Lambda))) is not None:
            bindings = self._bindings(scope, node, module, chosen)
            if bindings:
                for binding, more in self._ways((scope, node.id), bindings, chosen):
                    yield from self._bound(binding, node, scope, module, more)
                return
            if any(a.arg == node.id for a in _arguments(scope)):
                yield from self._argument(scope, node.id, module, chosen)
                return
        yield from self._global(node.id, module, chosen)

    def _bindings(
        self, scope: Function, node: ast.Name, module: _Module, chosen: Choices
    ) -> list[ast.AST]:
        """Assignments and loops of a function that give a name its value where it is read."""
        found: list[ast.AST] = []
        for one in ast.walk(scope):
            if module.around(one, (ast.FunctionDef, ast.Lambda)) is not scope:
                continue
            if isinstance(one, ast.For | ast.comprehension):
                if _binds(one.target, node.id) and _holds(one, node, module):
                    return [one]
            elif any(_binds(target, node.id) for target in _targets(one)):
                found.append(one)
        # Within an assignment itself a name is what it was before.
        before = [
            one for one in found if one.lineno <= node.lineno and not chosen.get(("open", one))
        ]
        plain = [one for one in before if module.parents[one] is scope]
        return [one for one in before if not plain or one.lineno >= plain[-1].lineno]

    def _bound(
        self, binding: Any, node: ast.Name, scope: Function, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        if isinstance(binding, ast.For | ast.comprehension):
            elements = list(self._elements(binding.iter, module, chosen))
            keyed = [(element, {**more, binding: element}) for element, more in elements]
            if binding in chosen:
                keyed = [(chosen[binding], chosen)]
            for element, more in keyed:
                yield from self._unpacked(binding.target, node.id, element, more)
            return
        target = binding.targets[0] if isinstance(binding, ast.Assign) else binding.target
        if binding in chosen:
            yield from self._unpacked(target, node.id, chosen[binding], chosen)
            return
        opened = {**chosen, ("open", binding): True}
        for value, more in self.value(binding.value, module, opened):
            kept = {**more, binding: value, ("open", binding): False}
            yield from self._unpacked(target, node.id, value, kept)

    def _unpacked(
        self, target: ast.expr, name: str, value: Value, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        if isinstance(target, ast.Name):
            yield value, chosen
        elif isinstance(target, ast.Tuple | ast.List):
            place = next(i for i, one in enumerate(target.elts) if _binds(one, name))
            for inner, more in self.item(value, place, chosen):
                yield from self._unpacked(target.elts[place], name, inner, more)

    def _elements(
        self, node: ast.expr, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """What a loop over an expression runs through."""
        match node:
            case ast.Call(func=ast.Attribute(value=mapping, attr="items")):
                yield from self._items(mapping, module, chosen)
                return
        if isinstance(node, ast.Name):
            yield from self._grown(node, module, chosen)
        if isinstance(node, ast.Call):
            found = self._definition(node.func, module)
            if found is not None and isinstance(found[0], ast.FunctionDef):
                function, home = found
                for one in ast.walk(function):
                    if isinstance(one, ast.Yield) and one.value is not None:
                        yield from self.value(one.value, home, {**chosen, function: (node, module)})
                return
        for whole, more in self.value(node, module, chosen):
            if isinstance(whole, _At) and isinstance(whole.node, ast.Tuple | ast.List):
                for one in whole.node.elts:
                    if not isinstance(one, ast.Starred):
                        yield from self.value(one, whole.module, more)

    def _items(
        self, node: ast.expr, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """Keys and values of a dictionary, those that are set later included."""
        for whole, more in self.value(node, module, chosen):
            if isinstance(whole, _At) and isinstance(whole.node, ast.Dict):
                for key, value in zip(whole.node.keys, whole.node.values, strict=True):
                    if key is not None:
                        pair = ast.Tuple([key, value], ast.Load())
                        yield _At(pair, whole.module), more
        scope = module.around(node, ast.FunctionDef)
        for one in ast.walk(scope) if scope is not None and isinstance(node, ast.Name) else ():
            match one:
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=key)]):
                    if name == node.id:
                        yield _At(ast.Tuple([key, one.value], ast.Load()), module), chosen

    def _grown(
        self, node: ast.Name, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """What `+=` and `append` put into a list."""
        scope = module.around(node, ast.FunctionDef)
        for one in ast.walk(scope) if scope is not None else ():
            match one:
                case ast.AugAssign(target=ast.Name(id=name), value=value) if name == node.id:
                    yield from self._elements(value, module, chosen)
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")):
                    if name == node.id:
                        yield from self.value(one.args[0], module, chosen)

    def _global(
        self, name: str, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        for one in module.tree.body:
            target = one.targets[0] if isinstance(one, ast.Assign) else getattr(one, "target", None)
            if isinstance(target, ast.Name) and target.id == name and one.value is not None:
                yield from self.value(one.value, module, chosen)
                return
        home, original = module.imports.get(name, ("", ""))
        if home in self.modules:
            yield from self._global(original, self.modules[home], chosen)

    # -- Calls -------------------------------------------------------------------------------------

    def _called(
        self, node: ast.Call, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "rpartition":
            for value, more in self.value(node.func.value, module, chosen):
                yield (value.rpartition(".") if isinstance(value, str) else value), more
            return
        found = self._definition(node.func, module)
        if found is None or not isinstance(found[0], ast.FunctionDef):
            yield _At(node, module), chosen
            return
        function, home = found
        for one in ast.walk(function):
            inside = home.around(one, (ast.FunctionDef, ast.Lambda)) is function
            if isinstance(one, ast.Return) and one.value is not None and inside:
                yield from self.value(one.value, home, {**chosen, function: (node, module)})

    def _definition(self, node: ast.expr, module: _Module) -> tuple[Any, _Module] | None:
        """The function or class of this package that a name means."""
        if not isinstance(node, ast.Name):
            return None
        kinds = (ast.FunctionDef, ast.ClassDef)
        scope: Any = node
        while scope is not None:
            scope = module.around(scope, (ast.FunctionDef, ast.Module))
            for one in getattr(scope, "body", []):
                if isinstance(one, kinds) and one.name == node.id:
                    return one, module
        home, original = module.imports.get(node.id, ("", ""))
        if home in self.modules:
            for one in self.modules[home].tree.body:
                if isinstance(one, kinds) and one.name == original:
                    return one, self.modules[home]
        return None

    def _argument(
        self, function: Function, name: str, module: _Module, chosen: Choices
    ) -> Iterator[tuple[Value, Choices]]:
        """What the calls of a function give as an argument."""
        if isinstance(function, ast.Lambda):
            return
        calls = list(self._calls_of(function, module))
        for call, more in self._ways(function, calls, chosen):
            given = self._given(function, name, call[0], module)
            if given is None:
                continue
            home = call[1] if given[1] else module
            yield from self.value(given[0], home, more)

    def _calls_of(
        self, function: ast.FunctionDef, home: _Module
    ) -> Iterator[tuple[ast.Call, _Module]]:
        method = isinstance(home.parents.get(function), ast.ClassDef)
        for module in self.modules.values():
            near = module is home or any(m == home.name for m, _ in module.imports.values())
            for node in ast.walk(module.tree) if near else ():
                if not isinstance(node, ast.Call):
                    continue
                if method:
                    if isinstance(node.func, ast.Attribute) and node.func.attr == function.name:
                        yield node, module
                elif (found := self._definition(node.func, module)) and found[0] is function:
                    yield node, module

    def _given(
        self, function: ast.FunctionDef, name: str, call: ast.Call, home: _Module
    ) -> tuple[ast.expr, bool] | None:
        """The expression that a call gives as an argument, and whether it stands at the call."""
        for word in call.keywords:
            if word.arg == name:
                return word.value, True
        positional = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        method = isinstance(home.parents.get(function), ast.ClassDef)
        if name in positional:
            place = positional.index(name) - method
            if place < len(call.args):
                return call.args[place], True
            late = positional.index(name) - (len(positional) - len(function.args.defaults))
            if late >= 0:
                return function.args.defaults[late], False
        return None


def _arguments(function: Function) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def _targets(node: ast.AST) -> list[ast.expr]:
    """What an assignment assigns to; nothing for other nodes."""
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) and node.value is not None else []


def _binds(target: ast.expr, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(target)
    )


def _holds(loop: ast.AST, node: ast.AST, module: _Module) -> bool:
    """Whether a name lies in what a loop repeats."""
    whole = module.parents[loop] if isinstance(loop, ast.comprehension) else loop
    return any(one is node for one in ast.walk(whole))
