"""The devices of a database as a graph: what stands for what, what is behind what, what runs where. Pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from devicedb.rules.local import device_names


@dataclass(frozen=True)
class Node:
    """A name of the database. `kind` is the type of its entry, "alias", "missing" (no such entry) or "?"."""

    name: str
    kind: str
    detail: str = ""
    """A second line: driver, port, target."""
    host: str | None = None


@dataclass(frozen=True)
class Edge:
    """A name that needs another. `label` is "" for an alias, else the field that says so."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the database, those that are missing last, and their edges."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def hosts(self) -> dict[str, list[Node]]:
        """Return the nodes that run on each host."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.host is not None:
                found.setdefault(node.host, []).append(node)
        return found


def graph_of(raw: Mapping[str, Any]) -> Graph:
    """Return the graph of a device database; faulty entries are drawn as they are.

    Args:
        raw: The dict of the database.

    """
    nodes = [_node(name, value) for name, value in raw.items()]
    edges = tuple(dict.fromkeys(edge for name, value in raw.items() for edge in _edges(name, value)))
    missing = dict.fromkeys(edge.target for edge in edges if edge.target not in raw)
    return Graph((*nodes, *(Node(name, "missing") for name in missing)), edges)


def _node(name: str, value: Any) -> Node:
    if isinstance(value, str):
        return Node(name, "alias")
    if not isinstance(value, dict):
        return Node(name, "?")
    match value.get("type"):
        case "local":
            return Node(name, "local", f"{value.get('module', '?')}.{value.get('class', '?')}")
        case "controller":
            host = value.get("host")
            port = f"port {value.get('port', '?')}"
            target = value.get("target_name")
            detail = f"{port}, {target}" if target else port
            return Node(name, "controller", detail, host if isinstance(host, str) else "no host")
        case "controller_aux_target":
            return Node(name, "controller_aux_target", str(value.get("target_name") or "?"))
        case "dummy":
            return Node(name, "dummy")
        case _:
            return Node(name, "?")


def _edges(name: str, value: Any) -> Iterator[Edge]:
    if isinstance(value, str):
        yield Edge(name, value)
    elif isinstance(value, dict) and value.get("type") == "controller_aux_target":
        if isinstance(value.get("controller"), str):
            yield Edge(name, value["controller"], "controller")
    elif isinstance(value, dict) and value.get("type") == "local":
        arguments = value.get("arguments")
        for key, argument in arguments.items() if isinstance(arguments, dict) else ():
            if isinstance(key, str):
                yield from (Edge(name, needed, key) for needed, _ in device_names(key, argument))


SHAPES: Final = {
    "alias": ('(["', '"])'),
    "controller": ('["', '"]'),
    "controller_aux_target": ('[["', '"]]'),
    "dummy": ('("', '")'),
    "local": ('("', '")'),
    "missing": ('{{"', '"}}'),
    "?": ('{{"', '"}}'),
}
"""How Mermaid writes the shape of a node of each kind."""


def as_mermaid(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart."""
    number = {node.name: f"n{index}" for index, node in enumerate(graph.nodes)}

    def line(node: Node) -> str:
        before, after = SHAPES[node.kind]
        text = "<br/>".join(_mermaid(each) for each in (node.name, node.detail) if each)
        return f"{number[node.name]}{before}{text}{after}"

    lines = ["flowchart LR"]
    for index, (host, nodes) in enumerate(graph.hosts().items()):
        lines.append(f'  subgraph h{index}["{_mermaid(host)}"]')
        lines += [f"    {line(node)}" for node in nodes]
        lines.append("  end")
    lines += [f"  {line(node)}" for node in graph.nodes if node.host is None]
    for edge in graph.edges:
        arrow = f'-->|"{_mermaid(edge.label)}"|' if edge.label else "-.->"
        lines.append(f"  {number[edge.source]} {arrow} {number[edge.target]}")
    bad = [number[node.name] for node in graph.nodes if node.kind in {"missing", "?"}]
    if bad:
        lines += ["  classDef fault stroke:#c00,stroke-width:2px", f"  class {','.join(bad)} fault"]
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """A text inside quotes: what means something to Mermaid as the number of its character."""
    return "".join(each if each.isalnum() or each in " _.-,:/()[]" else f"#{ord(each)};" for each in text)


STYLES: Final = {
    "alias": "shape=oval, style=dashed",
    "controller": "shape=box",
    "controller_aux_target": "shape=box, peripheries=2",
    "dummy": "shape=box, style=dotted",
    "local": "shape=box, style=rounded",
    "missing": "shape=octagon, color=red",
    "?": "shape=octagon, color=red",
}
"""How graphviz draws a node of each kind."""


def as_dot(graph: Graph) -> str:
    """Return the graph in the DOT language of graphviz."""
    number = {node.name: f"n{index}" for index, node in enumerate(graph.nodes)}

    def line(node: Node) -> str:
        label = "\\n".join(_dot(each) for each in (node.name, node.detail) if each)
        return f'{number[node.name]} [label="{label}", {STYLES[node.kind]}];'

    lines = ["digraph devices {", "  rankdir=LR;"]
    lines += [f'  {each} [fontname="sans-serif"];' for each in ("graph", "node", "edge")]
    for index, (host, nodes) in enumerate(graph.hosts().items()):
        lines.append(f"  subgraph cluster_{index} {{")
        lines.append(f'    label="{_dot(host)}";')
        lines += [f"    {line(node)}" for node in nodes]
        lines.append("  }")
    lines += [f"  {line(node)}" for node in graph.nodes if node.host is None]
    for edge in graph.edges:
        style = f' [label="{_dot(edge.label)}"]' if edge.label else " [style=dashed]"
        lines.append(f"  {number[edge.source]} -> {number[edge.target]}{style};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    """A text inside quotes, on one line."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
