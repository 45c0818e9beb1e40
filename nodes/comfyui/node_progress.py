"""How far a long video is, shown on its node."""

import time
from typing import Any

from ...sonic_guard.long_video.rendering import EncodingAudio, Event, Joining, Progress
from ...sonic_guard.messages.run_messages import event_text, progress_text
from . import host, images

BAR = 1000
"""Steps of ComfyUI's bar."""


def show_done(language: str) -> None:
    """Show on the executing node that nothing is left: what it said last may be a second old, and would stay there."""
    host.show_text(progress_text(1.0, None, language))


class NodeProgress:
    """A bar, a line of text, and now and then a picture."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._bar = host.progress_bar(BAR)
        self._picture: Any = None
        self._notified_s = 0.0

    def add_frames(self, frames: Any) -> None:
        """Note finished frames [n, H, W, 3]; the last one is shown."""
        self._picture = frames[-1]

    def notify(self, event: Event) -> None:
        """Show `event`; of those that come often, one a second."""
        soon = time.monotonic() - self._notified_s < host.NOTIFY_INTERVAL_S
        if isinstance(event, Progress):
            picture = None if soon or self._picture is None else images.as_pil(self._picture)
            self._bar(round(BAR * event.share), picture)
        if soon and isinstance(event, EncodingAudio | Progress | Joining):
            return
        self._notified_s, self._picture = time.monotonic(), None
        host.show_text(event_text(event, self._language))
