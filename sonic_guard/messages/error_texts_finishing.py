"""Errors about videos that are read, and about finishing them; see `error_messages`."""

from ..optimizations import Text

FOOTAGE = (
    Text("there is not a single picture in this video.", "视频中没有任何画面。"),
    Text(
        "not a single picture of this video can be decoded. It is damaged.",
        "视频的画面全部无法解码。文件已损坏。",
    ),
    Text(
        "the size of its pictures changes from {sizes}. Export it again.",
        "画面尺寸中途由 {sizes} 改变。请重新导出。",
    ),
    Text(
        "its video format is not read here. Convert it to H.264 in MP4.",
        "不支持此视频编码。请转换为 MP4 (H.264)。",
    ),
    Text(
        "cannot be read as a video ({why}). It is damaged, cut off, or not a video; play it to check, then export it "
        "again as MP4.",
        "无法作为视频读取（{why}）。文件已损坏、不完整或不是视频；请播放确认后重新导出为 MP4。",
    ),
    Text(
        "it does not say how many frames a second it has. Export it again.",
        "文件没有标明帧率。请重新导出。",
    ),
    Text(
        "pictures of {width}×{height} pixels are larger than 8192×8192. Export it in a smaller size.",
        "画面为 {width}×{height} 像素，超过 8192×8192。请以较小的尺寸导出。",
    ),
    Text(
        "it is HDR ({kind}), whose brightness would be wrong afterwards. Export it as SDR (BT.709) first.",
        "这是 HDR 视频（{kind}），处理后亮度会出错。请先导出为 SDR (BT.709)。",
    ),
    Text("its sound cannot be read ({why}).", "无法读取其中的声音（{why}）。"),
)
FINISHING = (
    Text(
        "a {suffix} file does not take the pictures of {source} as they are. Choose the source's own suffix, or .mkv.",
        "{suffix} 文件无法原样存放 {source} 的画面。请使用原文件的扩展名或 .mkv。",
    ),
    Text(
        "the suffix of a video that is written is one of {known}.",
        "写入的视频扩展名应为 {known} 之一。",
    ),
    Text(
        "this is the source itself, which is never replaced. Choose another name.",
        "这是源文件本身，不会被覆盖。请换一个文件名。",
    ),
    Text(
        "this is a source, or another output. Choose another name.",
        "这是源文件，或与另一个输出同名。请换一个文件名。",
    ),
    Text(
        "{format} goes into {suffix} files. Choose that suffix.",
        "{format} 应写入 {suffix} 文件。请使用该扩展名。",
    ),
    Text(
        "another run is finishing the same video right now. Wait for it, or cancel it there.",
        "另一次运行正在处理同一个视频。请等待其结束，或在那里取消。",
    ),
    Text(
        "expected a VIDEO or an IMAGE, got {kind}. Connect Load Video, or the output of another node that has one.",
        "需要 VIDEO 或 IMAGE，实际是 {kind}。请连接“加载视频”或其他输出视频、图像的节点。",
    ),
    Text(
        "there are no pictures here, because a VIDEO came in. Use the output video.",
        "输入的是 VIDEO，因此这里没有图像。请使用 video 输出。",
    ),
    Text(
        "there is no video here, because an IMAGE came in. Use the output images.",
        "输入的是 IMAGE，因此这里没有视频。请使用 images 输出。",
    ),
)

ERRORS = (*FOOTAGE, *FINISHING)
