"""What the nodes share: ComfyUI's own modules, images, inputs, and Sonic's nodes and model."""
