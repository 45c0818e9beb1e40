"""Auto Downgrade: settings in, settings that fit out."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.media.picture import size_of
from ..sonic_guard.messages.plan_messages import change_line, headline, limit_lines, refusal
from ..sonic_guard.operations.auto_downgrade import AutoDowngradeRequest, auto_downgrade
from ..sonic_guard.operations.run_settings import RunSettings
from ..sonic_guard.planning.planner import Plan
from .comfyui import host, images, shared_inputs
from .comfyui.languages import errors_in_users_language
from .comfyui.sonic_model import capabilities


class AutoDowngrade(shared_inputs.TargetCard):
    """Changes settings until a run fits, and reports why."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="SonicGuardAutoDowngrade",
            display_name="Auto Downgrade (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Changes settings until they fit the graphics card, and reports what each change saves.",
            inputs=[
                io.Image.Input("image", tooltip="The image for SONIC_PreData: its size affects the memory."),
                *shared_inputs.run_settings(),
                io.Int.Input("inference_steps", default=25, min=1, max=1024, tooltip="Steps cost time, not memory."),
                shared_inputs.target_card(),
                shared_inputs.policy(),
                shared_inputs.reserve(),
                shared_inputs.language(),
            ],
            outputs=[
                io.Int.Output(display_name="min_resolution", tooltip="For SONIC_PreData."),
                io.Float.Output(display_name="duration", tooltip="For SONIC_PreData."),
                io.Float.Output(display_name="fps", tooltip="For SONICSampler: sets the window length."),
                io.AnyType.Output(display_name="dtype", tooltip="For SONICTLoader."),
                io.Boolean.Output(display_name="use_interframe", tooltip="For SONICTLoader."),
                io.Int.Output(display_name="inference_steps", tooltip="For SONICSampler."),
                io.String.Output(display_name="report", tooltip="What was changed, what it saves, and why."),
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
        inference_steps: int, target_card: str, policy: str, reserve: float, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Plan."""
        language = shared_inputs.read_language(language)
        settings = RunSettings(
            *size_of(images.as_tensor(image)), duration, min_resolution, fps, dtype, use_interframe, inference_steps
        )
        result = auto_downgrade(
            AutoDowngradeRequest(settings, host.capacity(target_card, reserve), policy, capabilities())
        )
        if result.refused:
            raise SonicGuardError(refusal(result.plan), shown=refusal(result.plan, language))
        report = _report(result.plan, language)
        return io.NodeOutput(*result.outputs(report), ui={"text": (report,)})


def _report(plan: Plan, language: str) -> str:
    changes = [change_line(change, language) for change in plan.changes]
    return "\n".join([headline(plan.risk, language), *changes, *limit_lines(plan.estimate, language)])
