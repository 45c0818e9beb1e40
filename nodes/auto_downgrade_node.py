"""Auto Downgrade: settings in, settings that fit out."""

from typing import Any

from comfy_api.latest import io

from ..sonic_guard.devices.budget import host_memory_bytes
from ..sonic_guard.errors import SonicGuardError
from ..sonic_guard.messages.catalogue import LANGUAGES
from ..sonic_guard.messages.plan_messages import change_line, headline, limit_lines, refusal
from ..sonic_guard.planning.capacity import Capacity
from ..sonic_guard.planning.planner import Policy, make_plan
from .comfy import host, images, shared_inputs
from .comfy.link_values import flag
from .comfy.sonic_model import capabilities


class AutoDowngrade(shared_inputs.TargetCard):
    """Changes what must change so that a run fits, and says why."""

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
    def fingerprint_inputs(cls, **_: Any) -> str:
        """What the graph's nodes can do."""
        return capabilities().text

    @classmethod
    def execute(
        cls, image: Any, min_resolution: int, duration: float, fps: float, dtype: str, use_interframe: bool,
        inference_steps: int, target_card: str, policy: str, reserve: float, language: str,
    ) -> io.NodeOutput:  # fmt: skip
        """Plan."""
        shared_inputs.one_of("language", language, LANGUAGES)
        budget, within = host.budget(target_card, reserve), capabilities()
        picture, interpolates = images.as_tensor(image), flag("use_interframe", use_interframe)
        job = shared_inputs.job_from(
            picture, budget, min_resolution, duration, fps, dtype, interpolates, inference_steps
        )
        plan = make_plan(
            within.begin(job), Capacity(budget, host_memory_bytes(target_card)), shared_inputs.one_of("policy", policy, Policy), available=within.available,
        )  # fmt: skip
        if not plan.fits:
            raise SonicGuardError(refusal(plan, language))
        seconds = job.duration_s if within.to_file else plan.job.duration_s  # Sonic Long Video cuts for itself
        changes = [change_line(change, language) for change in plan.changes]
        report = "\n".join([headline(plan.risk, language), *changes, *limit_lines(plan.estimate, language)])
        return io.NodeOutput(
            plan.job.min_resolution, seconds, plan.job.fps, str(plan.job.dtype), plan.job.interpolate,
            plan.job.steps, report, ui={"text": (report,)},
        )  # fmt: skip
