"""Sonic Low VRAM: the model in, a model that needs a fraction of the memory out."""

import logging
from typing import Any

from comfy_api.latest import io

from ..sonic_guard.devices.budget import budget_for
from ..sonic_guard.errors import WrapperError
from ..sonic_guard.low_vram import engine
from ..sonic_guard.low_vram.network_check import supported_optimizations, wrapped
from ..sonic_guard.messages.catalogue import LANGUAGES
from ..sonic_guard.messages.run_messages import no_dtype_text, optimization_report
from ..sonic_guard.optimizations import DEFAULTS, ESCALATION_ORDER, OPTIMIZATIONS, Optimization, Setting
from ..sonic_guard.planning.selection import Switches, parse_optimizations, read_switches
from .comfy import shared_inputs
from .comfy.sonic_model import make_low_vram

log = logging.getLogger(__name__)


class LowVRAM(shared_inputs.TargetCard):
    """Between SONICTLoader and SONICSampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs. New ones go to the end: saved workflows count positions."""
        return io.Schema(
            node_id="SonicGuardLowVRAM",
            display_name="Sonic Low VRAM (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Runs Sonic in a fraction of the VRAM: the same frames, computed with memory optimizations.",
            inputs=[
                io.Custom("MODEL_SONIC").Input("model", tooltip="From SONICTLoader."),
                *(_switch(optimization) for optimization in ESCALATION_ORDER),
                shared_inputs.target_card(),
                shared_inputs.reserve(),
                shared_inputs.language(),
                io.String.Input(
                    "optimizations",
                    optional=True,
                    force_input=True,
                    tooltip="From Preflight: the optimizations its plan needs. They are enabled unless set to off "
                    "here.",
                ),
            ],
            outputs=[
                io.Custom("MODEL_SONIC").Output(display_name="model", tooltip="For SONICSampler."),
                io.Custom("DTYPE").Output(
                    display_name="weight_dtype",
                    tooltip="For SONIC_PreData, instead of SONICTLoader's output: the UNet is then offloaded first.",
                ),
                io.String.Output(
                    display_name="report", tooltip="What is enabled, and what can be enabled when it is needed."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model: Any, target_card: str, reserve: float, language: str, optimizations: str = "", **settings: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Look the model over, and wrap it."""
        shared_inputs.one_of("language", language, LANGUAGES)
        if not isinstance(target_card, str) or target_card != "auto":
            budget_for(target_card, reserve=reserve)  # a card there is not would else be told when the sampler begins
        switches = _with_plan(read_switches(settings), optimizations)
        sonic = wrapped(model)
        try:
            allowed = supported_optimizations(sonic)
        except WrapperError as error:
            log.warning("Sonic Low VRAM lets the model pass as it is: %s", error)
            return cls._out(model, optimization_report(Switches(), frozenset(), str(error), language), language)
        if Optimization.UNET_OFFLOAD in switches.on & allowed:
            engine.offload_unet(sonic)
        report = optimization_report(switches.within(allowed), (switches.on | switches.auto) - allowed, "", language)
        return cls._out(make_low_vram(sonic, switches.within(allowed), target_card, reserve), report, language)

    @classmethod
    def _out(cls, model: Any, report: str, language: str) -> io.NodeOutput:
        dtype = _dtype_of(model)
        if dtype is None:
            report = f"{report}\n{no_dtype_text(language)}"
        return io.NodeOutput(model, dtype, report, ui={"text": (report,)})


def _dtype_of(model: Any) -> Any:
    """Number format of a model's network; None where it does not tell."""
    try:
        return model.pipe.unet.dtype
    except Exception as error:  # of something strange anything may be strange
        log.debug("The model tells no number format: %r", error)
        return None


def _switch(optimization: Optimization) -> io.Combo.Input:
    default = DEFAULTS[optimization]
    # What is pulled before the run is known cannot wait for what it needs.
    options = [
        setting for setting in Setting if optimization is not Optimization.UNET_OFFLOAD or setting is not Setting.AUTO
    ]
    return io.Combo.Input(
        str(optimization),
        options=list(map(str, options)),
        default=str(default),
        tooltip=OPTIMIZATIONS[optimization].tooltip.en,
    )


def _with_plan(switches: Switches, optimizations: str) -> Switches:
    """The switches with those on auto pulled that the plan in front counts on."""
    planned = parse_optimizations(optimizations) & switches.auto
    return Switches(switches.on | planned, switches.auto - planned)
