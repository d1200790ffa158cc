"""The devices of a database as a graph: aliases, controllers, hosts. Pure functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from devicedb.model.arguments import device_names


@dataclass(frozen=True)
class Vertex:
    """A name of the database. `kind` is the type of its entry, "alias", "missing" (no such entry) or "?"."""

    name: str
    kind: str
    detail: str = ""
    """A second line: driver, port, target."""
    host: str | None = None


@dataclass(frozen=True)
class Edge:
    """A name that needs another one. `label` is the field that names it, "" for an alias."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the database, missing ones last, and their edges."""

    nodes: tuple[Vertex, ...]
    edges: tuple[Edge, ...]

    def hosts(self) -> dict[str, list[Vertex]]:
        """Return the nodes that run on each host."""
        found: dict[str, list[Vertex]] = {}
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
    return Graph((*nodes, *(Vertex(name, "missing") for name in missing)), edges)


def _node(name: str, value: Any) -> Vertex:
    if isinstance(value, str):
        return Vertex(name, "alias")
    if not isinstance(value, dict):
        return Vertex(name, "?")
    match value.get("type"):
        case "local":
            return Vertex(name, "local", f"{value.get('module', '?')}.{value.get('class', '?')}")
        case "controller":
            host = value.get("host")
            port = f"port {value.get('port', '?')}"
            target = value.get("target_name")
            detail = f"{port}, {target}" if target else port
            return Vertex(name, "controller", detail, host if isinstance(host, str) else "no host")
        case "controller_aux_target":
            return Vertex(name, "controller_aux_target", str(value.get("target_name") or "?"))
        case "dummy":
            return Vertex(name, "dummy")
        case _:
            return Vertex(name, "?")


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

    def line(node: Vertex) -> str:
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
    """Escape a quoted text for Mermaid."""
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

    def line(node: Vertex) -> str:
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
    """Escape a quoted text for DOT, on one line."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
