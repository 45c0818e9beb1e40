"""Nodes of ComfyUI and of other packs: what they will give, as far as it follows from their settings and from files.

To add a node, add a line to the table of its pack:

    "ImageScaleBy": resized(lambda size, scale_by: …, scale_by=1.0),

The name is that in a workflow's JSON. The builder says what kind of node it is (`builders`), the rule what comes out,
and the settings are the node's own names with their defaults. Read the rule off the node's source, then add a row of
right values to ``tests/unit/test_foreign_nodes.py``. A node that is in no table makes a verdict "unknown".
"""

from collections.abc import Mapping

from ..kind import Kind
from .core_audio import SOUNDS
from .core_images import IMAGES
from .core_values import VALUES
from .essentials import ESSENTIALS
from .impact_pack import IMPACT_PACK
from .kjnodes import KJNODES
from .rgthree import RGTHREE
from .video_helper_suite import VIDEO_HELPER_SUITE
from .was_suite import WAS_SUITE

FOREIGN: Mapping[str, Kind] = {
    **IMAGES, **SOUNDS, **VALUES, **VIDEO_HELPER_SUITE, **KJNODES, **RGTHREE, **IMPACT_PACK, **ESSENTIALS, **WAS_SUITE,
}  # fmt: skip
"""By ComfyUI's name of the node."""
