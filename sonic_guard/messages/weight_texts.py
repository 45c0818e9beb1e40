"""Texts about the weight files of Sonic."""

from ..optimizations import Text

FILE = Text("file", "文件")
SIZE = Text("size", "大小")
FROM = Text("from", "来源")
DOWNLOAD = Text("download", "下载")
LICENCE = Text("accept the licence first", "须先接受许可")
"""The download is refused before."""
