"""The command `plan`: from a portrait and a voice to settings that fit, a workflow and a chart."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..comfy.workflow_file import Way, WorkflowSettings, build_workflow
from ..devices.budget import budget_for, host_memory_bytes
from ..errors import SonicGuardError
from ..media import audio_file, audio_tracks, picture
from ..media.audio import SoundInfo
from ..media.crop import Aspect
from ..messages import cli_texts as texts
from ..messages.catalogue import fill
from ..messages.sound_messages import silence_text
from ..operations.face_box import portrait_of
from ..operations.preflight import PreflightRequest, preflight
from ..operations.preset_files import load_preset
from ..operations.stock_plan import stock_plan
from ..optimizations import Mode, Optimization, Setting
from ..plain_files import printable
from ..planning.capabilities import WRAPPER_ONLY, GraphCapabilities
from ..planning.capacity import Capacity
from ..planning.planner import Plan
from ..planning.selection import read_switches
from .arguments import ALL, named_optimizations
from .output import check_targets, print_json, write_text
from .planned import Planned


@dataclass(frozen=True)
class Nodes:
    """The nodes that run the plan, as ``--stock`` and ``--optimize`` choose them."""

    way: Way = Way.TALKING_HEAD
    mode: Mode = Mode.AUTO
    optimizations: Mapping[Optimization, Setting] = field(default_factory=dict)
    """Single ones that are set otherwise than the mode."""

    @property
    def capabilities(self) -> GraphCapabilities:
        """What they can do for a run."""
        if self.way is Way.STOCK:
            return WRAPPER_ONLY
        single = {str(name): setting for name, setting in self.optimizations.items()}
        return GraphCapabilities(read_switches(self.mode, single), to_file=True)


def run_plan(arguments: argparse.Namespace) -> bool:
    """Plan, write and print. Returns whether it fits. Raises `SonicGuardError` for bad input."""
    nodes = read_nodes(arguments)
    check_targets([arguments.workflow, arguments.chart], [Path(arguments.image), Path(arguments.audio)])
    sound = audio_file.probe(arguments.audio, track=arguments.track)
    request = _request(arguments, sound.duration_s, nodes.capabilities)
    result = preflight(request)
    stock = None if nodes.way is Way.STOCK else stock_plan(request, result)
    warnings = _sound_warnings(arguments)
    planned = Planned(result, nodes.capabilities.switches.all, stock, warnings)
    if arguments.workflow:
        graph = build_workflow(result.plan.job, _workflow_settings(arguments, sound, nodes, result.plan))
        write_text(arguments.workflow, json.dumps(graph, indent=1, ensure_ascii=False) + "\n", arguments.lang)
    if arguments.chart:
        from .chart import draw_chart

        draw_chart(planned, arguments.chart, arguments.lang)
    if arguments.json:
        from .json_report import plan_dict

        print_json(plan_dict(planned, arguments.lang))
    else:
        from .tables import print_plan, print_written

        print_plan(planned, arguments.lang)
        print_written(arguments, result.plan.fits)
    return result.plan.fits


def _sound_warnings(arguments: argparse.Namespace) -> tuple[str, ...]:
    """That the track is silent."""
    heard = audio_tracks.listen(arguments.audio, arguments.track)
    warning = silence_text(heard, arguments.lang, command_line=True)
    return (warning,) if warning else ()


def read_nodes(arguments: argparse.Namespace) -> Nodes:
    """The nodes that the options choose. Raises `OptimizationError` for an unknown optimization."""
    if arguments.stock:
        return Nodes(Way.STOCK)
    named = named_optimizations(arguments.optimize, arguments.lang)
    if not named or ALL in arguments.optimize:
        return Nodes()
    return Nodes(mode=Mode.OFF, optimizations=dict.fromkeys(named, Setting.AUTO))


def _request(arguments: argparse.Namespace, sound_s: float, capabilities: GraphCapabilities) -> PreflightRequest:
    if arguments.aspect not in tuple(Aspect):
        known = ", ".join(Aspect)
        raise SonicGuardError(fill(texts.UNKNOWN_ASPECT, arguments.lang, aspect=repr(arguments.aspect), known=known))
    if arguments.preset_dir is not None and not arguments.preset_dir.is_dir():
        raise SonicGuardError(fill(texts.NO_PRESET_DIR, arguments.lang, folder=printable(str(arguments.preset_dir))))
    preset = load_preset(arguments.preset, arguments.preset_dir)
    budget = budget_for(arguments.gpu, reserve=arguments.reserve)
    return PreflightRequest(
        portrait_of(picture.load(arguments.image)),
        sound_s,
        preset,
        Capacity(budget, host_memory_bytes(arguments.gpu)),
        policy=arguments.policy,
        aspect=arguments.aspect,
        face_index=arguments.face,
        face_box=arguments.face_box,
        name=arguments.image,
        capabilities=capabilities,
    )


def _workflow_settings(arguments: argparse.Namespace, sound: SoundInfo, nodes: Nodes, plan: Plan) -> WorkflowSettings:
    is_plain = arguments.track == 1 and sound.refusal is None  # ComfyUI's own Load Audio reads it
    return WorkflowSettings(
        image=Path(arguments.image).name,
        audio=Path(arguments.audio).name,
        track=None if is_plain else arguments.track,
        preset=arguments.preset,
        target="auto" if arguments.gpu == "auto" else plan.budget.card,
        policy=arguments.policy,
        aspect=arguments.aspect,
        face_index=arguments.face,
        face_box=arguments.face_box or "",
        reserve=arguments.reserve,
        language=arguments.lang,
        way=nodes.way,
        mode=nodes.mode,
        optimizations=nodes.optimizations,
    )
