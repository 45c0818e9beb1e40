"""Texts about the weight files of Sonic."""

from ..optimizations import Text

MISSING = Text(
    "{count} of the weight files that Sonic needs are not there. Put each into its folder and press R in ComfyUI.",
    "缺少 Sonic 所需的 {count} 个权重文件。请放入各自的文件夹，然后在 ComfyUI 中按 R 刷新。",
)
ONE_MISSING = Text(
    "A weight file that Sonic needs is not there. Put it into its folder and press R in ComfyUI.",
    "缺少 Sonic 所需的一个权重文件。请放入其文件夹，然后在 ComfyUI 中按 R 刷新。",
)
FILE = Text("file", "文件")
SIZE = Text("size", "大小")
FROM = Text("from", "来源")
DOWNLOAD = Text("download", "下载")
LICENCE = Text("accept the licence first", "须先接受许可")
"""The download is refused before."""
