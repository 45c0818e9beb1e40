"""A kind of node: which of its inputs matter, and what it will give."""

from collections.abc import Callable, Collection
from typing import NamedTuple

from ..comfy.api_graph import Node
from .context import Context, Outcome
from .node_inputs import Inputs


class Kind(NamedTuple):
    """A kind of node whose outputs can be predicted."""

    needs: tuple[str, ...] | Callable[[Node], Collection[str]]
    """The inputs that matter: what is upstream of the others is not evaluated. A switch's depend on its settings."""
    evaluate: Callable[[Inputs, Context], Outcome]

    def needed(self, node: Node) -> Collection[str]:
        """The inputs that matter of `node`, one of this kind."""
        return self.needs(node) if callable(self.needs) else self.needs
