"""Plain data about ComfyUI: API graphs, workflow files and the objects of Sonic's nodes. Imports nothing of it."""
