"""Rewrites a syntax tree so that running it tells a `SiteRecorder` where every value was made."""

import ast
from collections.abc import Callable
from typing import Any, Final

from devicedb.trace.recorder import STAR, SiteRecorder, Slots
from devicedb.trace.tags import tag

_TAGGABLE: Final = (str, int, float)


def instrument(tree: ast.Module, file: str, recorder: SiteRecorder) -> ast.Module:
    """Return the tree rewritten; it must be compiled and run in a process where the recorder is installed."""
    recorder.files.append(file)
    rewriter = _Rewriter(recorder, len(recorder.files) - 1)
    tree.body = [rewriter.visit(each) for each in tree.body]
    return tree


def _call(
    name: str, at: ast.expr | ast.stmt, *args: ast.expr, keywords: list[ast.keyword] | None = None
) -> ast.Call:
    function = ast.copy_location(ast.Name(id=f"__ddb_{name}__", ctx=ast.Load()), at)
    return ast.copy_location(ast.Call(func=function, args=list(args), keywords=keywords or []), at)


def _number(value: int, at: ast.expr | ast.stmt) -> ast.Constant:
    return ast.copy_location(ast.Constant(value), at)


class _Rewriter(ast.NodeTransformer):
    """Rewrites the expressions of one file, named by its number in the recorder."""

    def __init__(self, recorder: SiteRecorder, file: int) -> None:
        self.recorder = recorder
        self.file = file

    def site(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        """Number the place of a node."""
        end = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self.recorder.sites.append((self.file, node.lineno, node.col_offset, *end))

    # Not rewritten: docstrings, annotations, patterns, format specifications.

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        """Leave a doc string alone."""
        if not isinstance(node.value, ast.Constant):
            node.value = self.visit(node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Leave the annotation alone."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        """Rewrite defaults, not annotations."""
        node.defaults = [self.visit(each) for each in node.defaults]
        node.kw_defaults = [each and self.visit(each) for each in node.kw_defaults]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Rewrite body, decorators and defaults."""
        node.args = self.visit_arguments(node.args)
        node.decorator_list = [self.visit(each) for each in node.decorator_list]
        node.body = [self.visit(each) for each in node.body]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.match_case:
        """Leave the pattern alone."""
        node.guard = node.guard and self.visit(node.guard)
        node.body = [self.visit(each) for each in node.body]
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        """Rewrite the value, not its format."""
        node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """Tag the text that an f-string makes."""
        site = self.site(node)
        node.values = [self.visit(v) if isinstance(v, ast.FormattedValue) else v for v in node.values]
        return _call("tagged", node, _number(site, node), node)

    # Values

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Take a constant from the table of tagged ones."""
        if type(node.value) not in _TAGGABLE:
            return node
        self.recorder.constants.append(tag(node.value, self.site(node)))
        table = ast.copy_location(ast.Name(id="__ddb_constants__", ctx=ast.Load()), node)
        index = _number(len(self.recorder.constants) - 1, node)
        return ast.copy_location(ast.Subscript(value=table, slice=index, ctx=ast.Load()), node)

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        """Note a dict display; a display of constants is built from a plan."""
        if is_literal(node):
            return self._literal(node)
        site = self.site(node)
        slots: Slots = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                slots[key.value] = (self.site(key), self.site(value))
        self.recorder.statics[site] = slots
        has_star = None in node.keys
        keys = [key and self.visit(key) for key in node.keys]
        values = [self.visit(value) for value in node.values]
        if not has_star:
            node.keys, node.values = keys, values
            return _call("display", node, _number(site, node), node)
        parts: list[ast.expr] = []
        for key, value in zip(keys, values, strict=True):
            star = ast.copy_location(ast.Name(id="__ddb_star__", ctx=ast.Load()), value)
            parts += [key or star, value]
        return _call("merged", node, _number(site, node), *parts)

    def visit_List(self, node: ast.List) -> ast.expr:
        """Build a list of constants from a plan."""
        if isinstance(node.ctx, ast.Load) and is_literal(node):
            return self._literal(node)
        self.generic_visit(node)
        return node

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        """Note a dict comprehension: every slot is filled by the same two expressions."""
        site = self.site(node)
        self.recorder.statics[site] = {STAR: (self.site(node.key), self.site(node.value))}
        self.generic_visit(node)
        return _call("display", node, _number(site, node), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Tag the result of an operation; `|` may merge dicts."""
        site = self.site(node)
        self.generic_visit(node)
        if isinstance(node.op, ast.BitOr):
            return _call("or", node, _number(site, node), node.left, node.right)
        return _call("tagged", node, _number(site, node), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """Tag a negative number."""
        site = self.site(node)
        self.generic_visit(node)
        return _call("tagged", node, _number(site, node), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Tag the result of a call, unless it has a tag."""
        site = self.site(node)
        keyword_sites: Slots = {
            each.arg: (self.site(each), self.site(each.value)) for each in node.keywords if each.arg
        }
        self.generic_visit(node)
        number = _number(site, node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in {"update", "setdefault"}:
            self.recorder.statics[site] = keyword_sites
            method = ast.copy_location(ast.Constant(function.attr), node)
            return _call("update", node, number, method, function.value, *node.args, keywords=node.keywords)
        if isinstance(function, ast.Name) and function.id == "dict":
            self.recorder.statics[site] = keyword_sites
            return _call("dict", node, number, function, *node.args, keywords=node.keywords)
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in {"copy", "deepcopy"}:
            return _call("copied", node, number, function, *node.args, keywords=node.keywords)
        return _call("tagged", node, number, node)

    # Statements that fill slots

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        """Note `container[key] = value`."""
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id.startswith("__"):
            return node  # __slots__ and the like are read by Python itself
        if isinstance(target, ast.Name) and target.id == "device_db":
            self.recorder.databases[self.file] = self.site(node.value)
        if (
            len(node.targets) > 1
            or not isinstance(target, ast.Subscript)
            or isinstance(target.slice, ast.Slice)
        ):
            self.generic_visit(node)
            return node
        value_site, key_site = self.site(node.value), self.site(target.slice)
        call = _call(
            "setitem",
            node,
            _number(value_site, node),
            _number(key_site, node),
            self.visit(node.value),
            self.visit(target.value),
            self.visit(target.slice),
        )
        return ast.copy_location(ast.Expr(call), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """Note `container |= other`."""
        site = self.site(node.value)
        node.value = self.visit(node.value)
        if isinstance(node.op, ast.BitOr) and isinstance(node.target, ast.Name):
            container = ast.copy_location(ast.Name(id=node.target.id, ctx=ast.Load()), node)
            node.value = _call("ior", node, _number(site, node), container, node.value)
        elif isinstance(node.target, ast.Subscript):
            node.target.value = self.visit(node.target.value)
        return node

    # Displays of constants

    def _literal(self, node: ast.expr) -> ast.expr:
        self.recorder.literals.append(self._plan(node))
        number = _number(len(self.recorder.literals) - 1, node)
        return _call("literal", node, number)

    def _plan(self, node: ast.expr) -> Callable[[], Any]:
        """Return a function that builds the value of a literal node."""
        if isinstance(node, ast.Dict):
            return self._dict_plan(node)
        assert isinstance(node, ast.List | ast.Tuple)  # noqa: S101  # is_literal lets nothing else in
        kind = list if isinstance(node, ast.List) else tuple
        parts = [self._part(each) for each in node.elts]
        return lambda: kind([value if build is None else build() for build, value in parts])

    def _part(self, node: ast.expr) -> tuple[Callable[[], Any] | None, Any]:
        """A function that builds the value; or None, and the constant itself."""
        if isinstance(node, ast.Constant):
            return None, tag(node.value, self.site(node)) if type(node.value) in _TAGGABLE else node.value
        if isinstance(node, ast.UnaryOp):
            return None, tag(ast.literal_eval(node), self.site(node))
        return self._plan(node), None

    def _dict_plan(self, node: ast.Dict) -> Callable[[], dict[Any, Any]]:
        site = self.site(node)
        static: Slots = {}
        parts = []
        for key, value in zip(node.keys, node.values, strict=True):
            assert isinstance(key, ast.Constant)  # noqa: S101  # is_literal lets nothing else in
            build, constant = self._part(value)
            tagged = tag(key.value, self.site(key))
            if build is not None or type(constant) in (bool, type(None), bytes):
                # Values without a tag are located by their slot.
                static[key.value] = (None, self.site(value))
            parts.append((tagged, build, constant))
        slots = static or None
        note = self.recorder.note

        def make() -> dict[Any, Any]:
            value = {key: constant if build is None else build() for key, build, constant in parts}
            note(value, site, slots)
            return value

        return make


def is_literal(node: ast.expr | None) -> bool:
    """Whether an expression is a constant, a negative number, or a display of such with constant keys."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Dict):
        return all(isinstance(key, ast.Constant) for key in node.keys) and all(map(is_literal, node.values))
    if isinstance(node, ast.List | ast.Tuple):
        return all(map(is_literal, node.elts))
    return (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
        and type(node.operand.value) in (int, float)
    )
