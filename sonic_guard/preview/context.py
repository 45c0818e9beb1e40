"""What the evaluation of a node may use of the machine and of the graph, and its results."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..comfy.api_graph import Graph
from ..comfy.target_card import AUTO, target_for
from ..comfy.weight_files import WeightFile
from ..devices.budget import RESERVE, Budget, host_memory_bytes
from ..errors import AudioError, GraphError, PresetError, UnknownNameError
from ..history.history_cache import CardHistory
from ..job import Job
from ..media import face
from ..media.audio_file import Pick, TrackChoice
from ..messages.sound_messages import refusal_text
from ..operations.face_box import Portrait
from ..operations.low_vram_choice import LowVramChoice
from ..operations.preset_files import find_preset, load_preset
from ..operations.preset_values import DEFAULT_DURATION_S
from ..planning.advice import Where
from ..planning.capabilities import LOW_VRAM, TALKING_HEAD, GraphCapabilities, capabilities_of
from ..planning.capacity import Capacity
from ..planning.pace import Pace, TimePrediction, predict_time
from ..planning.planner import Change, Plan, is_in, make_plan
from ..planning.presets import Preset
from ..planning.selection import NONE
from ..relatives import Relative
from .input_files import Files
from .node_inputs import Inputs, Picture, PlannerNode, Voice

ASSUMED_SIDE = 2048
"""Side in pixels of the square that is assumed for an unknown picture: its shape counts, its pixels do not."""
ASSUMED_SOUND_S = DEFAULT_DURATION_S
"""Length that is assumed for an unknown sound: the default of SONIC_PreData."""
LONGEST_GUESS_S = 600.0
"""Longest `duration` of SONIC_PreData that is taken for the length of an unknown sound."""

MOST_OUTPUTS = 8
"""Outputs of a node that has nothing to give: a link to any of them gets the cause."""
MAX_PLANNERS = 20
"""Most nodes of this pack upstream of a node; each takes milliseconds, and one is enough."""


@dataclass(frozen=True)
class Machine:
    """What a preview may know of the machine. Every call is cheap."""

    files: Files
    user_presets: Callable[[], Path]
    budget: Callable[[str, float], Budget]
    """The memory of a target card, less a reserve."""
    card_history: Callable[..., CardHistory]
    """What is known from earlier runs on a card: `HistoryCache.of`."""
    has_weights: Callable[[WeightFile, str], bool] = lambda _file, _name: True
    """Whether there is a file of that name in the place of a weight file."""
    upscale_model: Callable[[str], Path | None] = lambda _name: None
    """The file of an upscale model of that name; None where there is none."""
    has_models: Callable[[str], bool] = lambda _folder: True
    """Whether ComfyUI's `models` has a folder of that name."""
    video_track: TrackChoice = Pick.LAST
    """The audio track of a file that is the sound of a ComfyUI VIDEO."""

    def known_of(self, budget: Budget, relative: Relative) -> CardHistory:
        """What is known from earlier runs of `relative` on the card of `budget`."""
        return self.card_history(budget.card, total_bytes=budget.total_bytes, relative=relative)


class Cropped(NamedTuple):
    """What a run takes of a picture that is a file's."""

    picture: Picture
    crop: face.Box
    face: face.Box


class Judged(NamedTuple):
    """A run compared with a card."""

    plan: Plan
    where: Where
    time: TimePrediction
    """How long it denoises."""
    available: Collection[str] = ()
    """What could still be enabled, as `make_plan` takes it."""
    low_vram: bool = False
    """Whether no node enables optimizations yet, so that Sonic Low VRAM could."""
    mode: bool = False
    """Whether Sonic Talking Head could enable optimizations, and its mode says that it does not."""
    refused: bool = False
    """Whether the node will stop the graph."""
    losses: tuple[Change, ...] = ()
    """What a viewer sees of the changes that a planner in the graph made to the run."""
    cropped: Cropped | None = None
    """None where the picture is no file's, or is not known."""
    preview: Job | None = None
    """Where only the beginning of the planned run is made, in few steps: that."""


class Outcome(NamedTuple):
    """What a node gives."""

    outputs: tuple[Any, ...]
    judged: Judged | None = None


@dataclass
class Context:
    """One evaluation."""

    machine: Machine
    graph: Graph = field(default_factory=dict)
    target: str = "auto"
    """The user's setting: the card of every node that names none."""
    node_id: str = ""
    """The node that is evaluated now."""
    planners: list[PlannerNode] = field(default_factory=list)
    """Those evaluated so far."""

    @cached_property
    def capabilities(self) -> GraphCapabilities:
        """What the nodes of the graph can do for a run, wherever they are in it. Raises `OptimizationError`."""
        return capabilities_of({node.type: node.inputs for node in self.graph.values()})

    @property
    def is_stock(self) -> bool:
        """Whether no node of the graph enables optimizations."""
        return not any(node.type in (LOW_VRAM, TALKING_HEAD) for node in self.graph.values())

    @property
    def is_mode_off(self) -> bool:
        """Whether Sonic Talking Head could enable optimizations, and its mode says that it does not."""
        kinds = {node.type for node in self.graph.values()}
        return TALKING_HEAD in kinds and LOW_VRAM not in kinds and self.capabilities.switches == NONE

    def preset(self, name: str) -> Preset:
        """The preset called `name`. Raises `UnknownNameError` where there is none, else as `load_preset`."""
        folder = self.machine.user_presets()
        try:
            return load_preset(name, folder)
        except PresetError as error:
            if find_preset(name, folder) is None:
                raise UnknownNameError(str(error)) from error
            raise

    def add_planner(self, inputs: Inputs, where: Where) -> PlannerNode:
        """The card that a node of this pack plans for, noted for the nodes downstream."""
        if len(self.planners) == MAX_PLANNERS:
            raise GraphError(f"graph: more than {MAX_PLANNERS} of this pack's nodes are upstream.")
        target = str(target_for(self.graph, self.node_id, inputs.text("target_card", "auto"), self.target))
        planner = PlannerNode(target, inputs.number("reserve", RESERVE), where)
        self.planners.append(planner)
        return planner

    def note_losses(self, planner: PlannerNode, losses: tuple[Change, ...]) -> None:
        """The last planner's changes, for the nodes downstream: they run what it made of the request."""
        self.planners[-1] = planner._replace(losses=losses)

    def planner_upstream(self) -> PlannerNode:
        """The planner that Sonic's own nodes, or a relative's, are judged by."""
        planner = self.planners[-1] if self.planners else PlannerNode("auto", RESERVE, Where.SONIC_NODES)
        if planner.where is Where.THIS_NODE:
            planner = planner._replace(where=Where.SONIC_NODES)
        own = planner.target if self.target == AUTO else AUTO
        return planner._replace(target=str(target_for(self.graph, self.node_id, own, self.target)))

    def capacity(self, target: str, reserve: float) -> Capacity:
        """What a run on a card may use. Raises `BudgetError`."""
        return Capacity(self.machine.budget(target, reserve), host_memory_bytes(target))

    def pace(self, capacity: Capacity, relative: Relative) -> Pace | None:
        """What earlier runs of `relative` on a card took, if any are known."""
        return self.machine.known_of(capacity.budget, relative).pace

    def judge(
        self, job: Job, capacity: Capacity, where: Where, *, available: Collection[str] = (), low_vram: bool = False
    ) -> Judged:
        """`job` compared with what it may use, unchanged."""
        plan = make_plan(job, capacity, None, available=available)
        losses = tuple(each for each in self.planners[-1].losses if is_in(each, job)) if self.planners else ()
        time = predict_time(job, capacity.budget, self.pace(capacity, job.relative))
        return Judged(plan, where, time, available, low_vram, losses=losses)

    def choice_capacity(self, choice: LowVramChoice, planner: PlannerNode) -> Capacity:
        """What a model of Sonic Low VRAM chooses its optimizations for: the plan's, or its card, or a planner's.

        Where it names one the run is on this machine all the same, and its host memory counts.
        """
        if choice.capacity is not None:
            return choice.capacity
        target = planner.target if choice.target_card == "auto" else choice.target_card
        return Capacity(self.machine.budget(target, choice.reserve), host_memory_bytes(planner.target))

    def picture(self, inputs: Inputs, name: str = "image") -> Picture:
        """The picture at an input, or a square."""
        picture = inputs.of(name, Picture)
        if picture is None:
            inputs.assume("picture", unknown=inputs.unknown(name))
            return Picture(ASSUMED_SIDE, ASSUMED_SIDE, assumed=True)
        return picture

    def sound_s(self, inputs: Inputs, name: str = "audio", *, cut_silence: bool = False) -> float | None:
        """Length of the sound at an input, without the silence at its ends if that is to be cut; None if unknown."""
        voice = inputs.of(name, Voice)
        if voice is None:
            return None
        seconds = self.measured(voice, inputs).seconds
        if not cut_silence:
            return seconds
        cut = None if voice.name is None else self.machine.files.voice_s(voice.name, voice.track)
        if cut is None:
            inputs.assume("silence")
            return seconds
        return cut

    def measured(self, voice: Voice, inputs: Inputs) -> Voice:
        """`voice` with its length and rate, read from its file if it is one's; that it is silent is noted.

        Raises `AudioError` if LoadAudio will refuse the file.
        """
        if voice.name is None:
            return voice
        info = self.machine.files.sound(voice.name, voice.track)
        if voice.by_load_audio and info.refusal:
            raise AudioError(refusal_text(voice.name, info))
        hearing = self.machine.files.hearing(voice.name, voice.track)
        if hearing and hearing.silent:
            inputs.assume("silent", value=hearing)
        if not info.counted:
            inputs.assume("claimed", value=f"{info.duration_s:.0f}")
        return replace(voice, seconds=info.duration_s, rate=info.sample_rate)

    def portrait(self, picture: Picture, inputs: Inputs) -> Portrait:
        """`picture` as an operation takes it. Faces are searched in its file, if its pixels are still the file's."""

        def assumed_face() -> list[face.Face]:
            inputs.assume("face")
            across, down = picture.width // 4, picture.height // 4
            middle = face.Box(across, down, max(across + 1, 3 * across), max(down + 1, 3 * down))
            return [face.Face(middle, 1.0)] * 100  # whichever the user has chosen

        def found() -> Sequence[face.Face]:
            faces = None if picture.name is None else self.machine.files.faces(picture.name)
            return assumed_face() if faces is None else faces

        return Portrait((picture.width, picture.height), found)
