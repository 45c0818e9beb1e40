"""ComfyUI's side of the nodes: the host, its images, inputs that nodes share, and Sonic's own nodes."""
