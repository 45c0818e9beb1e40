"""Texts about a farm that runs: what happens, how far it is, how it ended."""

from collections.abc import Mapping

from ..optimizations import Text
from ..park.events import Happening
from ..park.journal_tables import TaskKind, TaskState
from ..park.outcomes import Outcome

NEEDS = Text(
    "it needs {needed} of graphics memory with every memory optimization; the smallest common card for it is {card}",
    "启用全部显存优化后仍需 {needed} 显存；能容纳它的最小常见显卡是 {card}",
)
NEEDS_MORE = Text(
    "it needs {needed} of graphics memory with every memory optimization, more than any known card has",
    "启用全部显存优化后仍需 {needed} 显存，超过任何已知显卡",
)
HAPPENINGS: Mapping[Happening, Text] = {
    Happening.DIED: Text("{subject} has ended and is started again", "{subject} 已退出，正在重新启动"),
    Happening.LINK_LOST: Text("the scheduler does not answer: {detail}", "调度器无响应：{detail}"),
    Happening.LINKED: Text("connected to the scheduler {detail}", "已连接调度器 {detail}"),
    Happening.JOINED: Text("{subject} is there: {detail}", "{subject} 已就绪：{detail}"),
    Happening.LEFT: Text(
        "{subject} is gone; what it was making goes on elsewhere", "{subject} 已离开；其任务将在别处继续"
    ),
    Happening.UNUSABLE: Text("{subject} cannot be used yet: {detail}", "{subject} 尚不可用：{detail}"),
    Happening.LOADING: Text("the ComfyUI of {subject} is loading", "{subject} 的 ComfyUI 正在加载"),
    Happening.LACKING: Text("{subject} is not used: {detail}", "{subject} 未被使用：{detail}"),
    Happening.BENCHED: Text(
        "{subject} fails again and again and gets no work for a minute: {detail}",
        "{subject} 接连失败，一分钟内不再分配任务：{detail}",
    ),
    Happening.PAUSED: Text(
        "a video cannot be written; trying again in a moment: {detail}", "无法写入视频，稍后重试：{detail}"
    ),
    Happening.REFUSED: Text("{subject} fits none of the cards: {detail}", "{subject} 在任何显卡上都放不下：{detail}"),
    Happening.FAILED: Text("{subject} failed: {detail}", "{subject} 失败：{detail}"),
    Happening.AGAIN: Text("{subject} begins again: {detail}", "{subject} 重新开始：{detail}"),
}
STATES: Mapping[TaskState, Text] = {
    TaskState.WAITING: Text("waiting", "等待中"),
    TaskState.RUNNING: Text("being made", "制作中"),
    TaskState.DONE: Text("done", "已完成"),
    TaskState.FAILED: Text("failed", "失败"),
    TaskState.REFUSED: Text("refused", "放不下"),
    TaskState.CANCELLED: Text("cancelled", "已取消"),
}
KINDS: Mapping[TaskKind, Text] = {
    TaskKind.VIDEO: Text("video", "视频"),
    TaskKind.PART: Text("part", "分段"),
    TaskKind.JOIN: Text("joined", "合并"),
    TaskKind.FINISH: Text("finished", "后期处理"),
}
OUTCOMES: Mapping[Outcome, Text] = {
    Outcome.DONE: Text("done", "完成"),
    Outcome.OUT_OF_MEMORY: Text("out of memory", "显存不足"),
    Outcome.NO_ROOM: Text("memory in use by others", "显存被其他程序占用"),
    Outcome.SERVER_FAILED: Text("the server failed", "服务器失败"),
    Outcome.JOB_FAILED: Text("the job failed", "任务失败"),
    Outcome.OUTPUT_FAILED: Text("could not be written", "无法写入"),
    Outcome.LOST: Text("contact lost", "失去联系"),
    Outcome.SERVER_DIED: Text("the server ended", "服务器退出"),
    Outcome.CANCELLED: Text("cancelled", "已取消"),
}
ALL_JOBS = Text("all videos", "全部视频")
LEFT = Text("about {left} left", "约剩 {left}")
ASKED = Text("The farm has been asked to cancel what is left.", "已请求取消剩余任务。")
FOUND = Text("ComfyUI: {place}", "ComfyUI：{place}")
NONE_FOUND = Text(
    "no ComfyUI with Sonic and Sonic Guard answers on this machine (port {first} and those after it), and this folder "
    "is none. Start it, or give --comfyui FOLDER, --servers URL or --scheduler ADDRESS.",
    "本机没有装有 Sonic 与 Sonic Guard 的 ComfyUI 在响应（端口 {first} 及其后），当前文件夹也不是 ComfyUI。请先启动它，"
    "或使用 --comfyui 文件夹、--servers 地址、--scheduler 地址。",
)
ONLY_STARTED = Text(
    "--cards, --cpu-servers, --comfyui-python and --comfyui-args are for a ComfyUI that is started: give --comfyui "
    "FOLDER.",
    "--cards、--cpu-servers、--comfyui-python 与 --comfyui-args 只用于由本命令启动的 ComfyUI：请使用 --comfyui "
    "文件夹。",
)
NO_WORDS = Text("--comfyui-args: a quotation does not end.", "--comfyui-args：引号没有配对。")
NO_CARDS = Text(
    "--cards: expected numbers such as 0,1, got {cards}.", "--cards：应为 0,1 这样的数字，得到的是 {cards}。"
)
STOPPED = Text("Stopped. Go on with: sonic-guard farm resume {out}", "已停止。继续：sonic-guard farm resume {out}")
WRITTEN = Text("Report: {path}", "报告：{path}")

# ---- the report

TITLE = Text("Sonic Guard farm", "Sonic Guard 农场")
COUNTS = Text("Videos", "视频")
STEPS = Text("Steps done", "已完成的步骤")
CARD_HOURS = Text("Card hours", "显卡小时")
ELAPSED = Text("Time from the first to the last attempt", "从首次到最后一次尝试的时间")
COLUMNS: Mapping[str, Text] = {
    "name": Text("Video", "视频"),
    "kind": Text("Step", "步骤"),
    "state": Text("State", "状态"),
    "attempts": Text("Attempts", "尝试次数"),
    "seconds": Text("Time", "用时"),
    "predicted_s": Text("Predicted time", "预测用时"),
    "predicted": Text("Predicted memory", "预测显存"),
    "used": Text("Used memory", "实际显存"),
    "card": Text("Card", "显卡"),
    "reason": Text("Reason", "原因"),
}
GANTT = Text("What each server made, and when", "各服务器的时间线")
