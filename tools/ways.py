"""Ways through the code that are worth knowing: the picture shows them, and a test holds them to the code."""

from typing import NamedTuple


class Step(NamedTuple):
    """One stop of a way."""

    module: str
    symbol: str
    """A function or class there."""
    text: str
    """What happens, in a few words."""


JOB = (
    Step("nodes.talking_head_node", "TalkingHead", "takes picture, sound, models, preset and target_card"),
    Step("sonic_guard.devices.budget", "budget_for", "how much memory target_card stands for"),
    Step("sonic_guard.operations.preflight", "preflight", "makes a Job of all inputs"),
    Step("sonic_guard.media.face", "find_faces", "finds the face; the crop follows from it"),
    Step("sonic_guard.planning.planner", "make_plan", "looks for the settings nearest to those requested that fit"),
    Step("sonic_guard.planning.capacity", "Capacity", "answers whether a candidate fits"),
    Step("sonic_guard.memory.stage_model", "predict", "counts a candidate's bytes, stage by stage"),
    Step("sonic_guard.operations.talking_head", "plan_talking_head", "cuts the video into parts that fit"),
    Step("sonic_guard.long_video.rendering", "run", "renders in one pass or in parts, with resume"),
    Step("sonic_guard.low_vram.engine", "LowVramSonic", "runs Sonic's network with the optimizations"),
    Step("sonic_guard.runtime.recorder", "Recorder", "measures every stage of the run"),
    Step("sonic_guard.history.calibration", "calibrate", "corrects the next prediction by what was measured"),
)
"""From the inputs of a node to a run that is recorded."""

OUT_OF_MEMORY = (
    Step("sonic_guard.low_vram.engine", "LowVramSonic", "an allocation fails in denoise, decode or interpolate"),
    Step("sonic_guard.devices.out_of_memory", "is_too_much_at_once", "recognises the error of CUDA, HIP or MPS"),
    Step("sonic_guard.optimizations", "ESCALATION_ORDER", "names the next fallback optimization"),
    Step("sonic_guard.low_vram.completed_steps", "SamplingLoop", "resumes after the last completed step"),
    Step("sonic_guard.long_video.rendering", "run", "none is left: finished parts stay on disk"),
    Step("sonic_guard.errors", "NoFallbackLeftError", "ends the run"),
    Step("sonic_guard.runtime.run_watch", "RunWatch", "notes the stage it ended in"),
    Step("sonic_guard.history.calibration", "point_of", "learns that the run needs more than there was"),
)
"""From a failed allocation to a run that resumes, or ends with a reason."""

TARGET_CARD = (
    Step("nodes.preflight_node", "Preflight", "the node's input"),
    Step("nodes.comfyui.planning_inputs", "PlanningInputs", "the inputs that Preflight shares with Talking Head"),
    Step("nodes.comfyui.host", "capacity", "on auto: what ComfyUI would unload counts as free"),
    Step("sonic_guard.comfy.target_card", "target_for", "auto: the setting, else a planner's card, else this machine"),
    Step("sonic_guard.devices.budget", "budget_for", "auto, a card's name or GiB: a Budget"),
    Step("sonic_guard.devices.card_catalogue", "find_card", "a card's name: its memory and number formats"),
    Step("sonic_guard.operations.preflight", "preflight", "a request with its Capacity: a Job and its Plan"),
    Step("sonic_guard.planning.planner", "make_plan", "the candidates, in the order of what they cost"),
    Step("sonic_guard.planning.selection", "first_fast", "the first optimizations with which one fits and is fast"),
    Step("sonic_guard.planning.capacity", "Capacity", "whether it fits: the planner's answer"),
)
"""Every file between `target_card` on Preflight and the planner's answer."""
MOST_FILES = 10
"""That way is no longer than this."""
