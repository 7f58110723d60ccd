"""What talks to ComfyUI itself, for the nodes beside this folder: no module here is a node, and none imports one."""
