"""ComfyUI's data as plain objects: API graphs, workflow files, objects of Sonic's nodes. Does not import ComfyUI."""
