"""Texts about a farm: many jobs on many cards."""

from ..optimizations import Text

# ---- a simulation

SIMULATED = Text(
    "{jobs:,} videos in {works:,} parts on {cards:,} cards: {makespan}",
    "{cards:,} 张显卡制作 {jobs:,} 个视频（{works:,} 段）：{makespan}",
)
BOUND = Text(
    "No placement takes less than {bound}, even one that knows every run's time in advance: ratio {ratio:.3f}",
    "任何分配方式都不会少于 {bound}，即使事先知道每次运行的时间：比值 {ratio:.3f}",
)
PLACING = Text(
    "Prediction and placement: {us:.0f} µs a video",
    "预测与分配：每个视频 {us:.0f} 微秒",
)
SHARES = Text(
    "Of the cards' time {idle:.1%} idle, {wasted:.1%} lost to failures",
    "显卡时间中空闲占 {idle:.1%}，因故障损失 {wasted:.1%}",
)
MISHAPS = Text(
    "{out_of_memory:,} runs out of memory, {stragglers:,} far slower than predicted, {lost:,} workers lost",
    "显存不足 {out_of_memory:,} 次，远慢于预测 {stragglers:,} 次，失去工作进程 {lost:,} 次",
)
REFUSED = Text(
    "{refused:,} videos fit none of the cards",
    "{refused:,} 个视频在任何显卡上都放不下",
)

# ---- the command itself

NO_DASK = Text(
    'a farm needs more packages: pip install "sonic-guard[farm]" ({error}).',
    '农场需要更多软件包：pip install "sonic-guard[farm]"（{error}）。',
)
