"""What the server of `processes` imports before it forks, so that none of its processes has to."""

import cv2  # noqa: F401
import pydub.silence  # noqa: F401

import sonic_guard.cli  # noqa: F401
from sonic_guard.comfy import workflow_file  # noqa: F401
from sonic_guard.history import history_store, migrate  # noqa: F401
from sonic_guard.media import audio_file, face, picture, video_file  # noqa: F401
from tests.support import child_tasks, history_runs  # noqa: F401
