"""OOM Risk: will these settings fit?"""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.media.picture import size_of
from ..sonic_guard.messages.catalogue import gib
from ..sonic_guard.messages.plan_messages import headline, limit_lines, stage_lines
from ..sonic_guard.operations.oom_risk import OomRiskRequest, oom_risk
from ..sonic_guard.operations.run_settings import RunSettings
from ..sonic_guard.planning.planner import Plan
from .comfyui import host, images, shared_inputs
from .comfyui.languages import errors_in_users_language
from .comfyui.sonic_model import capabilities
from .web_api import run_history


class OOMRisk(shared_inputs.TargetCard):
    """A verdict on a run before it starts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="SonicGuardOOMRisk",
            display_name="OOM Risk (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Predicts whether a run fits into memory and which stage decides; can stop the run.",
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The image for SONIC_PreData: its size affects the memory. Link it through this node.",
                ),
                *shared_inputs.run_settings(),
                shared_inputs.target_card(),
                io.Boolean.Input("stop", default=True, tooltip="Stop the run here if it will run out of memory."),
                shared_inputs.reserve(),
                shared_inputs.language(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The same image, for SONIC_PreData."),
                io.String.Output(display_name="verdict", tooltip="safe, tight or fail."),
                io.String.Output(display_name="stage", tooltip="The stage with the highest peak."),
                io.Float.Output(
                    display_name="headroom_gib", tooltip="Memory left in GiB; negative if memory is missing."
                ),
                io.String.Output(display_name="report", tooltip="The verdict and the memory of each stage."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, target_card: Any = None, **_: Any) -> str:
        """The card that is planned for; what the graph's nodes can do."""
        return f"{super().fingerprint_inputs(target_card)} {capabilities().text}"

    @classmethod
    @errors_in_users_language
    def execute(
        cls, image: Any, min_resolution: int, duration: float, fps: float, dtype: str, use_interframe: bool,
        target_card: str, stop: bool, reserve: float, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Predict and assess."""
        language = shared_inputs.read_language(language)
        settings = RunSettings(*size_of(images.as_tensor(image)), duration, min_resolution, fps, dtype, use_interframe)
        result = oom_risk(OomRiskRequest(settings, host.capacity(target_card, reserve), stop, capabilities()))
        report = _report(result.plan, language)
        if result.refused:
            raise SonicGuardError(_report(result.plan, "en"), shown=report)
        return io.NodeOutput(*result.outputs(image, report), ui={"text": (report,)})


def _report(plan: Plan, language: str) -> str:
    estimate, budget = plan.estimate, plan.budget
    lines = [headline(plan.risk, language), f"{gib(estimate.peak_bytes)} / {gib(budget.usable_bytes)} ({budget.card})"]
    lines += stage_lines(estimate, language)
    lines.append(run_history.risk_text(estimate, budget, language))
    return "\n".join([*lines, *limit_lines(estimate, language)])
