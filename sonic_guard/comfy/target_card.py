"""Which card a node of a graph plans for, where its own `target_card` says "auto"."""

from collections import deque

from .api_graph import Graph, Link

AUTO = "auto"
"""The card of this machine."""
PREFLIGHT = "SonicGuardPreflight"


def target_for(graph: Graph, node_id: str, own: object, setting: str = AUTO) -> object:
    """The card for a node: its own, else the user's setting, else the one planned with, else this machine's.

    The one planned with is that of the nearest node upstream which names one, else of a Preflight anywhere in the
    graph: Sonic Low VRAM need not be linked to it. A card that comes over a link is not known here.
    """
    if own != AUTO:
        return own
    if setting != AUTO:
        return setting
    named = (_named(graph, each) for each in (*_upstream(graph, node_id), *_preflights(graph)))
    return next((card for card in named if card is not None), AUTO)


def _named(graph: Graph, node_id: str) -> str | None:
    card = graph[node_id].inputs.get("target_card")
    return card if isinstance(card, str) and card != AUTO else None


def _preflights(graph: Graph) -> list[str]:
    return [node_id for node_id, node in graph.items() if node.type == PREFLIGHT]


def _upstream(graph: Graph, node_id: str) -> list[str]:
    """Everything that leads to `node_id`, the nearest first."""
    seen, queue = dict[str, None](), deque([node_id] if node_id in graph else [])
    while queue:
        current = queue.popleft()
        for link in graph[current].inputs.values():
            if isinstance(link, Link) and link.node in graph and link.node not in seen:
                seen[link.node] = None
                queue.append(link.node)
    return list(seen)
