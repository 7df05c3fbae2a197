"""Nodes of one text, as Jinja2 parsed them -> nodes that may run; everything that is not named here is refused.

What may run is bounded by the event's size, since Jinja2 cannot be interrupted. Outside of loops each node runs once. A
loop runs over a field, and a loop in a loop over a field of the outer loop's item: so all iterations of a loop are at
most as many as the event has values. Operators become filters of ours, which count their work (relay/routes/template/
work.py): it also bounds what each iteration may do with a large text.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite

from jinja2 import nodes

from relay.routes.diagnostics import Unfit, listed, quoted, suggestion
from relay.routes.template.escapes import Form
from relay.routes.template.filters import FILTERS, REQUIRED, Filter, Parameter
from relay.routes.template.jinja_words import NO_STATEMENT
from relay.routes.template.language import NO_REFERENCE, OF_LOOPS, REFUSED
from relay.routes.template.node_trees import Part, assembled
from relay.routes.template.operators import TESTS
from relay.routes.template.source import Masked, Refusal
from relay.routes.template.work import STEP

MAX_LOOPS = 3
"""How deep loops are nested: events, their fields, the values of these."""
MAX_BRANCHES = 100

CONTEXT, WORK = "context", "work"
"""The names that a compiled template is given."""


@dataclass(frozen=True, slots=True)
class _Loop:
    """A loop's variable as written, and as compiled; the path of its items."""

    variable: str
    compiled: str
    path: tuple[str, ...]


class Translation:
    """One text. `fields` are the paths that it reads, `refusals` why it cannot be used."""

    def __init__(self, masked: Masked, where: tuple[str | int, ...], known: frozenset[str], form: Form) -> None:
        self.fields: set[str] = set()
        self.refusals: list[Refusal] = []
        self._masked = masked
        self._where = where
        self._known = known
        self._form = form
        self._loops: list[_Loop] = []
        self._in_loop = False
        self._expressions = 0

    def parts(self, body: Iterable[nodes.Node]) -> list[Part]:
        """Translate statements."""
        return [part for node in body for part in self._statement(node)]

    def expression(self, node: nodes.Node) -> nodes.Expr:
        """Translate what gives a value; a constant stands for what is refused."""
        self._expressions += 1
        match node:
            case nodes.Const():
                return self._constant(node)
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._field(node)[0]
            case nodes.Filter():
                return self._filter(node)
            case nodes.Test():
                return self._test(node)
            case nodes.Compare():
                return self._comparison(node)
            case nodes.And(left=left, right=right) | nodes.Or(left=left, right=right):
                return type(node)(self.expression(left), self.expression(right))
            case nodes.Not(node=inner):
                return nodes.Not(self.expression(inner))
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                otherwise = nodes.Const(None) if other is None else self.expression(other)
                return nodes.CondExpr(self.expression(test), self.expression(one), otherwise)
        return self._calculation(node)

    def _calculation(self, node: nodes.Node) -> nodes.Expr:
        match node:
            case nodes.Add(left=left, right=right):
                return self._operator("add", left, right)
            case nodes.Sub(left=left, right=right):
                return self._operator("sub", left, right)
            case nodes.Neg(node=inner):
                return self._operator("sub", nodes.Const(0, lineno=node.lineno), inner)
            case nodes.Concat(nodes=several):
                return self._operator("concat", *several)
        return self._refuse(node, REFUSED.get(type(node), f"{type(node).__name__} is not allowed"))

    def _refuse(self, node: nodes.Node, message: str) -> nodes.Expr:
        self.refusals.append(self._masked.refusal(self._where, node.lineno, message))
        return nodes.Const(None)

    # ---- statements

    def _statement(self, node: nodes.Node) -> Iterator[Part]:
        match node:
            case nodes.Output(nodes=several):
                yield from map(self._output, several)
            case nodes.If():
                yield self._if(node)
            case nodes.For():
                yield self._for(node)
            case _:
                self._refuse(node, f"a statement that is not allowed: {NO_STATEMENT}")

    def _output(self, node: nodes.Expr) -> Part:
        if isinstance(node, nodes.TemplateData):
            return self._form.literal(self._masked.literal(node.data))
        return nodes.Filter(self.expression(node), self._form.name, [], [], None, None)

    def _if(self, node: nodes.If) -> nodes.If:
        if len(node.elif_) > MAX_BRANCHES:
            self._refuse(node, f"more than {MAX_BRANCHES} branches")
            return nodes.If(nodes.Const(None), [], [], [])
        branches = [self._if(each) for each in node.elif_]
        return nodes.If(self.expression(node.test), self._block(node.body), branches, self._block(node.else_))

    def _block(self, body: list[nodes.Node]) -> list[nodes.Node]:
        return assembled(self.parts(body))

    def _for(self, node: nodes.For) -> nodes.For:
        before = self._expressions
        loop, over = self._header(node)
        outer, self._in_loop = self._in_loop, False  # in the test of a loop there is no `loop`
        self._loops.append(loop)
        test = None if node.test is None else self.expression(node.test)
        self._in_loop = True
        body = self._block(node.body)
        self._loops.pop()
        self._in_loop = outer
        cost = nodes.Const(STEP * (1 + self._expressions - before))
        items = nodes.Filter(over, "relay:items", [nodes.Name(WORK, "load"), cost], [], None, None)
        target = nodes.Name(loop.compiled, "store")
        return nodes.For(target, items, body, self._block(node.else_), test, False)

    def _header(self, node: nodes.For) -> tuple[_Loop, nodes.Expr]:
        """The loop, and what it runs over."""
        if len(self._loops) >= MAX_LOOPS:
            self._refuse(node, f"loops nested deeper than {MAX_LOOPS}")
        if node.recursive:
            self._refuse(node, "a recursive loop")
        variable = node.target.name if isinstance(node.target, nodes.Name) else ""
        if not variable or variable == "loop":
            self._refuse(node.target, "a loop has one variable, which is not called `loop`")
        over, path = self._field(node.iter)
        if path is None:
            self._refuse(node.iter, "a loop runs over a field: data.NAME")
        elif self._loops and _root(node.iter) != self._loops[-1].variable:
            self._refuse(node.iter, f"a loop in a loop runs over a field of `{self._loops[-1].variable}`")
        return _Loop(variable, f"item{len(self._loops)}", path or ()), over

    # ---- values

    def _constant(self, node: nodes.Const) -> nodes.Expr:
        match node.value:
            case str() as text if "\0" in text:
                return self._refuse(node, NO_REFERENCE)
            case str() as text:
                return nodes.Const(self._masked.literal(text))
            case float() as number if not isfinite(number):
                return self._refuse(node, "a number that is too large")
        return nodes.Const(node.value)

    def _field(self, node: nodes.Node) -> tuple[nodes.Expr, tuple[str, ...] | None]:
        """What reads a field, and its path; None if this is no field, or has none."""
        if isinstance(node, nodes.Name) and node.name == "loop" and self._in_loop:
            return self._refuse(node, f"`loop` is no value: loop.index (known: {listed(sorted(OF_LOOPS))})"), None
        read, path = self._read(node)
        if path is not None:
            self.fields.add(".".join(path) or "event")
        return read, path

    def _read(self, node: nodes.Node) -> tuple[nodes.Expr, tuple[str, ...] | None]:
        match node:
            case nodes.Name(name=name):
                return self._name(node, name)
            case nodes.Getattr(node=inner, attr=name) | nodes.Getitem(node=inner, arg=nodes.Const(value=str(name))):
                read, path = self._read(inner)
                self._check_attribute(node, inner, name)
                return nodes.Getattr(read, name, "load"), None if path is None else (*path, name)
            case nodes.Getitem(node=inner, arg=argument):
                read, path = self._read(inner)
                return nodes.Getitem(read, self._position(node, argument), "load"), path
        return self.expression(node), None

    def _name(self, node: nodes.Name, name: str) -> tuple[nodes.Expr, tuple[str, ...] | None]:
        if loop := next((each for each in reversed(self._loops) if each.variable == name), None):
            return nodes.Name(loop.compiled, "load"), loop.path
        if name == "loop" and self._in_loop:
            return nodes.Name("loop", "load"), None
        if name not in self._known:
            advice = "a field of the event is written data.NAME" if "data" in self._known else ""
            near = suggestion(name, sorted(self._known))
            advice = f"{near}; {advice}" if advice and near.startswith("(known") else near
            return self._refuse(node, f"no name {quoted(name)} {advice}"), None
        return nodes.Getattr(nodes.Name(CONTEXT, "load"), name, "load"), () if name == "event" else (name,)

    def _check_attribute(self, node: nodes.Node, of: nodes.Node, name: str) -> None:
        if name.startswith("_"):
            self._refuse(node, f"the name {quoted(name)}: none that begins with an underscore can be read")
        elif "\0" in name:
            self._refuse(node, NO_REFERENCE)
        elif isinstance(of, nodes.Name) and of.name == "loop" and self._in_loop and name not in OF_LOOPS:
            self._refuse(node, f"`loop` has no {quoted(name)} (known: {listed(sorted(OF_LOOPS))})")

    def _position(self, node: nodes.Node, argument: nodes.Expr) -> nodes.Expr:
        match argument:
            case nodes.Const(value=int(position)):
                return nodes.Const(position)
            case nodes.Neg(node=nodes.Const(value=int(position))):
                return nodes.Const(-position)
        return self._refuse(node, REFUSED.get(type(argument), "[…] takes a position or a name that is written out"))

    # ---- operators, filters, tests

    def _operator(self, name: str, left: nodes.Expr, *right: nodes.Expr) -> nodes.Expr:
        arguments: list[nodes.Expr] = [nodes.Name(WORK, "load"), *map(self.expression, right)]
        return nodes.Filter(self.expression(left), f"relay:{name}", arguments, [], None, None)

    def _comparison(self, node: nodes.Compare) -> nodes.Expr:
        if len(node.ops) > 1:
            return self._refuse(node, "a chain of comparisons: join them with `and`")
        operand = node.ops[0]
        match operand.expr:
            case nodes.List(items=several) | nodes.Tuple(items=several) if operand.op in ("in", "notin"):
                written_out = nodes.List([self._list_item(each) for each in several])
                arguments: list[nodes.Expr] = [nodes.Name(WORK, "load"), written_out]
                return nodes.Filter(self.expression(node.expr), f"relay:{operand.op}", arguments, [], None, None)
        return self._operator(operand.op, node.expr, operand.expr)

    def _list_item(self, node: nodes.Expr) -> nodes.Expr:
        self._expressions += 1
        match node:
            case nodes.Const():
                return self._constant(node)
            case nodes.Neg(node=nodes.Const(value=int() | float() as number)):
                return nodes.Const(-number)
        return self._refuse(node, "a list holds values that are written out")

    def _filter(self, node: nodes.Filter) -> nodes.Expr:
        found = FILTERS.get(node.name)
        if found is None:
            return self._refuse(node, f"no filter {quoted(node.name)} {suggestion(node.name, FILTERS)}")
        if node.node is None:
            return self._refuse(node, f"a filter without a value: {NO_STATEMENT}")
        read, path = self._field(node.node) if _is_field(node.node) else (self.expression(node.node), None)
        arguments = self._arguments(node, found)
        match arguments:
            case [*_, nodes.Const(value=str(of_items))] if node.name == "join" and path is not None:
                self.fields.add(".".join((*path, of_items)))
        return nodes.Filter(read, node.name, [nodes.Name(WORK, "load"), *arguments], [], None, None)

    def _arguments(self, node: nodes.Filter, found: Filter) -> list[nodes.Expr]:
        """In the order of the parameters, with their defaults."""
        names = [parameter.name for parameter in found.parameters]
        given: dict[str, nodes.Expr] = dict(zip(names, node.args, strict=False))
        given |= {str(each.key): each.value for each in node.kwargs}
        fit = len(given) == len(node.args) + len(node.kwargs) and given.keys() <= set(names)
        lacking = any(each.default is REQUIRED and each.name not in given for each in found.parameters)
        if not fit or lacking or node.dyn_args or node.dyn_kwargs:
            self._refuse(node, f"{node.name} takes {', '.join(names) or 'no arguments'}")
            return []
        return [self._argument(node.name, each, given.get(each.name)) for each in found.parameters]

    def _argument(self, of: str, parameter: Parameter, given: nodes.Expr | None) -> nodes.Expr:
        if given is None:
            return nodes.Const(parameter.default)
        read = self.expression(given)
        if parameter.check is None:
            return read
        if not isinstance(given, nodes.Const):
            return self._refuse(given, f"{of}: {parameter.name} must be written out")
        try:
            parameter.check(read.value if isinstance(read, nodes.Const) else None)
        except Unfit as unfit:
            self._refuse(given, f"{of}: {parameter.name} {unfit}")
        return read

    def _test(self, node: nodes.Test) -> nodes.Expr:
        if node.name not in TESTS:
            return self._refuse(node, f"no test {quoted(node.name)} {suggestion(node.name, TESTS)}")
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return self._refuse(node, f"`is {node.name}` takes no arguments")
        return nodes.Test(self.expression(node.node), node.name, [], [], None, None)


def _is_field(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem)


def _root(node: nodes.Node) -> str | None:
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None
