"""The same arithmetic in less memory, put around Sonic's own objects.

`recognise.lean_model` is the door: it takes the wrapper's model and gives one with the same `process`.
Importing this package alone pulls in no torch.
"""

from ..job import Lever

EXACT = frozenset(Lever) - {Lever.FP8}
"""The levers that give the wrapper's own frames, within rounding."""
