"""What evaluating a node may use of the machine, and what comes of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..comfy.api_graph import Graph
from ..devices.budget import RESERVE, Budget, host_memory_bytes
from ..errors import GraphError, PresetError, UnknownNameError
from ..history.history_cache import CardHistory
from ..job import Job
from ..media import face
from ..operations.preflight import Portrait
from ..operations.preset_files import find_preset, load_preset
from ..planning.advice import Where
from ..planning.capabilities import LONG_VIDEO, LOW_VRAM, GraphCapabilities, capabilities_of
from ..planning.capacity import Capacity
from ..planning.pace import predict_seconds
from ..planning.planner import Plan, Policy, make_plan
from ..planning.presets import Preset
from .input_files import Files
from .node_inputs import Inputs, LowVram, Picture, Voice

ASSUMED_SIDE = 2048
"""Side in pixels of the square that stands for an unknown picture: its shape counts, its pixels do not."""
ASSUMED_SOUND_S = 10.0
"""Length that stands for an unknown sound: the wrapper's own default."""

MAX_GUARDS = 20
"""Most planners in a row; each takes milliseconds, and nobody needs a second one."""


@dataclass(frozen=True)
class Machine:
    """What a preview may know of the machine. All of it is cheap to ask."""

    files: Files
    user_presets: Callable[[], Path]
    budget: Callable[[str, float], Budget]
    """The memory of a target card, less a reserve."""
    card_history: Callable[..., CardHistory]
    """What earlier runs on a card teach: `HistoryCache.of`."""


class Judged(NamedTuple):
    """A run, and how it stands to a card."""

    plan: Plan
    where: Where
    seconds: float | None
    """Predicted seconds of denoising, once the card's pace is known."""
    available: Collection[str] = ()
    """What could still be pulled, as `make_plan` wants it."""
    low_vram: bool = False
    """Whether no node pulls levers yet, so that Sonic Low VRAM could."""


class Outcome(NamedTuple):
    """What a node gives."""

    outputs: tuple[Any, ...]
    judged: Judged | None = None


class Guard(NamedTuple):
    """A node of this pack that stands in front of Sonic: its card counts for the nodes behind it, too."""

    target: str
    reserve: float
    where: Where


@dataclass
class Context:
    """One evaluation."""

    machine: Machine
    graph: Graph = field(default_factory=dict)
    target: str = "auto"
    """The card that Sonic's own nodes are judged for; with "auto", that of the guard in front of them."""
    guards: list[Guard] = field(default_factory=list)
    """Those passed so far."""

    @cached_property
    def capabilities(self) -> GraphCapabilities:
        """What the nodes of the graph can do for a run, wherever they are in it. Raises `OptimizationError`."""
        return capabilities_of({node.type: node.inputs for node in self.graph.values()})

    @property
    def is_stock(self) -> bool:
        """Whether no node of the graph pulls levers."""
        return not any(node.type in (LOW_VRAM, LONG_VIDEO) for node in self.graph.values())

    def preset(self, name: str) -> Preset:
        """The preset called `name`. Raises `UnknownNameError` where there is none, else as `load_preset`."""
        folder = self.machine.user_presets()
        try:
            return load_preset(name, folder)
        except PresetError as error:
            if find_preset(name, folder) is None:
                raise UnknownNameError(str(error)) from error
            raise

    def guard(self, inputs: Inputs, where: Where) -> Guard:
        """The card a node of this pack plans for, noted for the nodes behind it."""
        if len(self.guards) == MAX_GUARDS:
            raise GraphError(f"graph: more than {MAX_GUARDS} of this pack's nodes are upstream.")
        guard = Guard(inputs.text("target_card", "auto"), inputs.number("reserve", RESERVE), where)
        self.guards.append(guard)
        return guard

    def guard_in_front(self) -> Guard:
        """What Sonic's own nodes are judged by."""
        guard = self.guards[-1] if self.guards else Guard("auto", RESERVE, Where.SONIC_NODES)
        if guard.where is Where.THIS_NODE:
            guard = guard._replace(where=Where.SONIC_NODES)
        return guard if self.target == "auto" else guard._replace(target=self.target)

    def budget(self, guard: Guard) -> Budget:
        """The memory of a guard's card. Raises `BudgetError`."""
        return self.machine.budget(guard.target, guard.reserve)

    def capacity(self, guard: Guard) -> Capacity:
        """What a run on a guard's card may use. Raises `BudgetError`."""
        return Capacity(self.budget(guard), host_memory_bytes(guard.target))

    def judge(
        self,
        job: Job,
        guard: Guard,
        capacity: Capacity,
        policy: Policy | None = None,
        *,
        available: Collection[str] = (),
        low_vram: bool = False,
    ) -> Judged:
        """`job` held against a card, and changed until it fits as far as `policy` and `available` allow."""
        plan = make_plan(job, capacity, policy, available=available)
        seconds = predict_seconds(plan.job, self.machine.card_history(capacity.budget.card).pace)
        return Judged(plan, guard.where, seconds, available, low_vram)

    def own_capacity(self, low_vram: LowVram, guard: Guard) -> Capacity:
        """What a model of Sonic Low VRAM chooses its optimizations for, on a guard's card unless it names one."""
        own = guard.target if low_vram.target == "auto" else low_vram.target
        return Capacity(self.machine.budget(own, low_vram.reserve), host_memory_bytes(own))

    def picture(self, inputs: Inputs, name: str = "image") -> Picture:
        """The picture at an input, or a square."""
        picture = inputs.of(name, Picture)
        if picture is None:
            inputs.assume("picture")
            return Picture(ASSUMED_SIDE, ASSUMED_SIDE, assumed=True)
        return picture

    def sound_s(self, inputs: Inputs, name: str = "audio", *, cut_silence: bool = False) -> float | None:
        """Length of the sound at an input, without the silence at its ends if that is to be cut; None if unknown."""
        voice = inputs.of(name, Voice)
        if voice is None:
            return None
        if voice.name is None:
            seconds, cut = voice.seconds, None
        else:
            cut = self.machine.files.voice_s(voice.name) if cut_silence else None
            info = self.machine.files.sound(voice.name)
            seconds = info.duration_s if cut is None else cut
            if not info.counted:
                inputs.assume("claimed", value=f"{seconds:.0f}")
        if cut_silence and cut is None:
            inputs.assume("silence")
        return seconds

    def portrait(self, picture: Picture, inputs: Inputs) -> Portrait:
        """`picture` as a preflight takes it; its face is looked for in its file, if it still shows the file."""

        def assumed_face() -> list[face.Face]:
            inputs.assume("face")
            across, down = picture.width // 4, picture.height // 4
            middle = face.Box(across, down, max(across + 1, 3 * across), max(down + 1, 3 * down))
            return [face.Face(middle, 1.0)] * 100  # whichever the user has chosen

        def found() -> Sequence[face.Face]:
            faces = None if picture.name is None else self.machine.files.faces(picture.name)
            return assumed_face() if faces is None else faces

        return Portrait((picture.width, picture.height), found)
