"""Texts about leases of a card's memory."""

from collections.abc import Mapping

from ..farm.ledger import State
from ..optimizations import Text
from .catalogue import Counted

WAITING = Text(
    "Waiting for the graphics card, place {place} in line: {running}, {free} free",
    "正在等待显卡，排在第 {place} 位：{running}，空闲 {free}",
)
RUNNING = Counted(Text("{number} run on it", "有 {number} 个运行"), Text("{number} runs on it", "有 {number} 个运行"))
FOREIGN = Text("{foreign} in use by other programs", "其他程序占用 {foreign}")
STATES: Mapping[State, Text] = {
    State.RUNNING: Text("running", "运行中"),
    State.WAITING: Text("waiting", "等待中"),
    State.HERE: Text("idle", "空闲"),
}
