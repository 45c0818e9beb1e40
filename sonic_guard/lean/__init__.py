"""The same arithmetic in less memory, put around Sonic's own objects.

So far this room holds the orders of arithmetic that the memory model is traced with. The node that
offers them to a run comes with the lean engine, which is why `AVAILABLE` is still empty: the planner
may only promise what the user can really switch on.
"""

from ..job import Lever

AVAILABLE: frozenset[Lever] = frozenset()
"""The levers a user of this version of the pack can pull."""
