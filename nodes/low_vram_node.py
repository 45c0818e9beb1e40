"""Sonic Low VRAM: the model in, a model that needs a fraction of the memory out."""

import logging
from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import WrapperError
from ..sonic_guard.low_vram.network_check import supported_optimizations, wrapped
from ..sonic_guard.messages.error_messages import error_text
from ..sonic_guard.messages.run_messages import optimization_report
from ..sonic_guard.operations.low_vram_choice import LowVramRequest, choose_low_vram
from ..sonic_guard.optimizations import ESCALATION_ORDER, OPTIMIZATIONS, Optimization, Setting
from ..sonic_guard.planning.selection import NONE
from .comfyui import host, shared_inputs
from .comfyui.languages import errors_in_users_language
from .comfyui.sonic_model import ChosenLowVramSonic

log = logging.getLogger(__name__)


class LowVRAM(shared_inputs.TargetCard):
    """Between the loader and the sampler of Sonic or of a relative."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return shared_inputs.schema(
            node_id="SonicGuardLowVRAM",
            display_name="Sonic Low VRAM (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Runs Sonic in a fraction of the VRAM: the same frames, computed with memory optimizations.",
            search_aliases=["out of memory", "OOM", "VRAM", "low vram", "offload", "显存", "爆显存"],
            inputs=[
                shared_inputs.ANY_MODEL.Input("model", tooltip="From SONICTLoader, or DICE Talk's Dice_Talk_Loader."),
                shared_inputs.PLAN.Input(
                    "plan",
                    optional=True,
                    tooltip="From Preflight: the plan's memory optimizations are enabled, for the plan's card.",
                ),
                shared_inputs.mode(),
                *(_switch(optimization) for optimization in ESCALATION_ORDER),
                shared_inputs.target_card(),
                shared_inputs.reserve(),
                shared_inputs.language(),
                shared_inputs.overlapped_decode(),
            ],
            outputs=[
                shared_inputs.ANY_MODEL.Output(
                    display_name="model", tooltip="For SONICSampler, or DICE Talk's Dice_Talk_Sampler."
                ),
                io.String.Output(
                    display_name="report", tooltip="What is enabled, and what can be enabled when it is needed."
                ),
            ],
        )

    @classmethod
    @errors_in_users_language
    def execute(
        cls, model: Any, mode: str, target_card: str, reserve: float, language: str,
        overlapped_decode: bool = False, plan: Any = None, **settings: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Check the model, and wrap it."""
        language = shared_inputs.read_language(language)
        planned = None if plan is None else shared_inputs.read_plan(plan).result.plan
        choice = choose_low_vram(
            LowVramRequest(settings, mode, planned, host.target_of(target_card), reserve, overlapped_decode)
        )
        sonic = wrapped(model)
        try:
            allowed = supported_optimizations(sonic)
        except WrapperError as error:
            log.warning("Sonic Low VRAM passes the model on unchanged: %s", error)
            return cls._out(model, optimization_report(NONE, frozenset(), error_text(error, language), language))
        supported, left = choice.within(allowed), choice.switches.all - allowed
        report = optimization_report(supported.switches, left, "", language, overlapped=supported.overlapped_decode)
        return cls._out(ChosenLowVramSonic(sonic, supported), report)

    @classmethod
    def _out(cls, model: Any, report: str) -> io.NodeOutput:
        return io.NodeOutput(model, report, ui={"text": (report,)})


def _switch(optimization: Optimization) -> io.Combo.Input:
    # The UNet is offloaded before the run is known: "auto" has nothing to decide by.
    options = [
        setting for setting in Setting if optimization is not Optimization.UNET_OFFLOAD or setting is not Setting.AUTO
    ]
    return shared_inputs.advanced(
        io.Combo.Input(
            str(optimization),
            options=list(map(str, options)),
            default=str(Setting.MODE),
            tooltip=OPTIMIZATIONS[optimization].tooltip.en,
        )
    )
