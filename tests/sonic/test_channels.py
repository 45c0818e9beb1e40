"""The memory model's constants against the wrapper's own configuration."""

import json

from sonic_guard.memory import constants
from tests.support import installed


def test_the_channels_of_the_model_are_those_of_the_network():
    config = json.loads((installed.sonic() / "svd_repo" / "unet" / "config.json").read_text())
    assert list(constants.CHANNELS) == config["block_out_channels"]
