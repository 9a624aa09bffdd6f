"""The rules of a run as a layered graph: what each reads, from the top down (Sugiyama's method)."""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import INK, MUTED, finish
from dnalm.report.job_records import RuleGraph

SWEEPS = 12  # over the layers, to order them by the means of their neighbours
LAYER_PIXELS, LETTER_PIXELS = 62, 6.8
BOX_HEIGHT, BOX_MARGIN, MIN_LABEL = 30, 14, 56
GAP, EDGE_WIDTH = 14, 16  # between neighbours, and of an edge that passes
LINE, FILL, STROKE = "#9aa5b1", "#eef4fa", "#0b63a5"

Node = str | tuple[str, str, int]  # a rule, or where an edge passes through a layer


def rule_graph_figure(graph: RuleGraph, seconds: Mapping[str, float], note: str) -> dict[str, Any]:
    """Draw the rules with the numbers of their jobs, and which reads files of which.

    `seconds` is the time of all jobs of a rule, where it is known. An edge that follows from others
    is left out.
    """
    reads = reduce(graph.reads)
    layers, edges = place(reads)
    across = spread(layers, edges)
    down = {node: (i + 0.5) * LAYER_PIXELS for i, layer in enumerate(layers) for node in layer}
    boxes = pd.DataFrame([_box(rule, graph, seconds, across, down) for rule in reads])
    lines = pd.DataFrame(
        [
            {"edge": number, "order": i, "x": across[node], "y": down[node]}
            for number, edge in enumerate(edges)
            for i, node in enumerate(edge)
        ],
        columns=["edge", "order", "x", "y"],
    )
    width = max(across[node] + _width(node) / 2 for layer in layers for node in layer) + GAP
    height = len(layers) * LAYER_PIXELS
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, width], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))
    drawn = alt.Chart(lines).mark_line(color=LINE, strokeWidth=1.2)
    drawn = drawn.encode(x=x, y=y, detail="edge:N", order="order:Q")
    base = alt.Chart(boxes).encode(
        tooltip=["rule:N", "jobs:Q", alt.Tooltip("time:N", title="time, all jobs")]
    )
    ends = {"x": alt.X("left:Q", axis=None), "x2": "right:Q", "y2": "bottom:Q"}
    frames = base.mark_rect(fill=FILL, stroke=STROKE, cornerRadius=5).encode(
        y=alt.Y("top:Q", axis=None), **ends
    )
    names = base.mark_text(color=INK, fontSize=11.5, dy=-6).encode(x=x, y=y, text="rule:N")
    counts = base.mark_text(color=MUTED, fontSize=10, dy=8).encode(x=x, y=y, text="words:N")
    chart = alt.layer(drawn, frames, names, counts)
    text = "Each rule reads files of those above it to which a line leads."
    figure = finish(chart, "The rules of this run", note, height, text, 1)
    return figure | {"width": width}


def _box(
    rule: str,
    graph: RuleGraph,
    seconds: Mapping[str, float],
    across: Mapping[Node, float],
    down: Mapping[Node, float],
) -> dict[str, Any]:
    jobs = graph.jobs[rule]
    words = "1 job" if jobs == 1 else f"{jobs:,} jobs"
    time = f"{seconds[rule]:,.0f} s" if rule in seconds else "not known"
    half = _width(rule) / 2
    x, y = across[rule], down[rule]
    return {
        "rule": rule,
        "jobs": jobs,
        "time": time,
        "words": words,
        "x": x,
        "y": y,
        "left": x - half,
        "right": x + half,
        "top": y - BOX_HEIGHT / 2 - 1,
        "bottom": y + BOX_HEIGHT / 2 + 1,
    }


def reduce(reads: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
    """Return the transitive reduction: what each rule reads and does not read by way of others."""
    above: dict[str, set[str]] = {}
    for rule in TopologicalSorter(reads).static_order():
        own = reads.get(rule, frozenset())
        above[rule] = set(own).union(*(above[one] for one in own))
    return {
        rule: {one for one in own if not any(one in above[other] for other in own)}
        for rule, own in reads.items()
    }


def place(reads: Mapping[str, set[str]]) -> tuple[list[list[Node]], list[list[Node]]]:
    """Return the nodes of each layer in order, and each edge as the nodes that it passes.

    A rule lies one layer below the lowest that it reads. Edges over several layers have a node in
    each, so that they are led between the rules there.
    """
    level: dict[str, int] = {}
    for rule in TopologicalSorter(reads).static_order():
        level[rule] = 1 + max((level[one] for one in reads.get(rule, ())), default=-1)
    layers: list[list[Node]] = [[] for _ in range(1 + max(level.values()))]
    for rule in sorted(level):
        layers[level[rule]].append(rule)
    edges: list[list[Node]] = []
    for rule in sorted(reads):
        for one in sorted(reads[rule]):
            passed: list[Node] = [(one, rule, i) for i in range(level[one] + 1, level[rule])]
            for i, node in enumerate(passed, start=level[one] + 1):
                layers[i].append(node)
            edges.append([one, *passed, rule])
    neighbours = _neighbours(edges)
    for sweep in range(SWEEPS):
        order = range(len(layers)) if sweep % 2 == 0 else reversed(range(len(layers)))
        for i in order:
            beside = layers[i - 1 if sweep % 2 == 0 else (i + 1) % len(layers)]
            centre = {node: j - len(beside) / 2 for j, node in enumerate(beside)}
            layers[i] = _sort(layers[i], neighbours, centre)
    return layers, edges


def spread(layers: list[list[Node]], edges: list[list[Node]]) -> dict[Node, float]:
    """Return the horizontal place of each node in pixels, from 0 on, in the order of its layer.

    Nodes are drawn to the mean of their neighbours, as far as those beside them leave room.
    """
    neighbours = _neighbours(edges)
    across: dict[Node, float] = {}
    for layer in layers:
        across |= _part(layer, dict.fromkeys(layer, 0.0))
    for _ in range(SWEEPS):
        for layer in layers:
            wanted = {
                node: sum(across[one] for one in neighbours[node]) / len(neighbours[node])
                if neighbours.get(node)
                else across[node]
                for node in layer
            }
            across |= _part(layer, wanted)
    first = min(place - _width(node) / 2 for node, place in across.items())
    return {node: place - first + GAP for node, place in across.items()}


def _part(layer: list[Node], wanted: Mapping[Node, float]) -> dict[Node, float]:
    """Return the places nearest to those wanted, halfway between pushing right and left."""
    right, left = dict(wanted), dict(wanted)
    for one, other in pairwise(layer):
        apart = (_width(one) + _width(other)) / 2 + GAP
        right[other] = max(right[other], right[one] + apart)
    for other, one in pairwise(reversed(layer)):
        apart = (_width(one) + _width(other)) / 2 + GAP
        left[one] = min(left[one], left[other] - apart)
    return {node: (right[node] + left[node]) / 2 for node in layer}


def _width(node: Node) -> float:
    if isinstance(node, str):
        return max(len(node) * LETTER_PIXELS, MIN_LABEL) + BOX_MARGIN
    return EDGE_WIDTH


def _neighbours(edges: list[list[Node]]) -> dict[Node, list[Node]]:
    """Return the nodes above and below each that has an edge."""
    neighbours: dict[Node, list[Node]] = {}
    for edge in edges:
        for first, second in pairwise(edge):
            neighbours.setdefault(first, []).append(second)
            neighbours.setdefault(second, []).append(first)
    return neighbours


def _sort(
    layer: list[Node], neighbours: Mapping[Node, list[Node]], centre: Mapping[Node, float]
) -> list[Node]:
    """Return a layer in the order of the mean places of its nodes' neighbours in another."""
    mean = {}
    for j, node in enumerate(layer):
        places = [centre[one] for one in neighbours.get(node, ()) if one in centre]
        mean[node] = sum(places) / len(places) if places else j - len(layer) / 2
    return sorted(layer, key=mean.__getitem__)
