"""Face Box: find the face, choose the margin, crop."""

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..sonic_guard.media import crop, picture
from ..sonic_guard.operations.face_box import FaceBoxRequest, portrait_of, select_face
from .comfyui import images, shared_inputs
from .comfyui.languages import errors_in_users_language


class FaceBox(io.ComfyNode):
    """The face of every picture of a batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="SonicGuardFaceBox",
            display_name="Face Box (Sonic Guard)",
            category=shared_inputs.CATEGORY,
            description="Detects the face, chooses expand_ratio by its size and crops the image around it.",
            inputs=[
                io.Image.Input("image", tooltip="A portrait, or a batch of portraits."),
                shared_inputs.aspect(),
                shared_inputs.face_index(),
                shared_inputs.face_box(),
            ],
            outputs=[
                io.Image.Output(display_name="image", is_output_list=True, tooltip="The crop of each image."),
                io.Float.Output(
                    display_name="expand_ratio", is_output_list=True, tooltip="0.15 for a large face, otherwise 0.20."
                ),
                io.Float.Output(
                    display_name="face_ratio",
                    is_output_list=True,
                    tooltip="Side of the face divided by the side of the image.",
                ),
                io.String.Output(
                    display_name="box", is_output_list=True, tooltip="The face box: x1, y1, x2, y2 in pixels."
                ),
                io.Image.Output(
                    display_name="preview", is_output_list=True, tooltip="The image with face box and crop drawn on it."
                ),
            ],
        )

    @classmethod
    @errors_in_users_language
    def execute(cls, image: Any, aspect: str, face_index: int, face_box: str) -> io.NodeOutput:
        """Find the face of every picture."""
        pictures = picture.from_batch(images.as_tensor(image))
        names = [f"image[{number}]" if len(pictures) > 1 else "image" for number in range(len(pictures))]
        faces = [
            select_face(FaceBoxRequest(portrait_of(rgb), aspect, face_index, face_box, name=name))
            for rgb, name in zip(pictures, names, strict=True)
        ]
        batch = images.as_batch(image)
        previews = [
            images.from_rgb(crop.draw_preview(rgb, each.faces, each.face, each.crop))
            for rgb, each in zip(pictures, faces, strict=True)
        ]
        outputs = [
            each.outputs(crop.crop(batch[number : number + 1], each.crop), preview)
            for number, (each, preview) in enumerate(zip(faces, previews, strict=True))
        ]
        return io.NodeOutput(*map(list, zip(*outputs, strict=True)), ui=ui.PreviewImage(torch.cat(previews), cls=cls))
