"""Errors about sounds, pictures, faces and video files; see `error_messages`."""

from ..optimizations import Text

SOUNDS = (
    Text(
        "expected ComfyUI's AUDIO, got {kind}. Connect a Load Audio node.",
        "需要 ComfyUI 的 AUDIO，实际是 {kind}。请连接“加载音频”节点。",
    ),
    Text("the AUDIO has no {key}. Connect a Load Audio node.", "AUDIO 中没有 {key}。请连接“加载音频”节点。"),
    Text(
        "the waveform must be a tensor, got {kind}. Connect a Load Audio node.",
        "波形必须是张量，实际是 {kind}。请连接“加载音频”节点。",
    ),
    Text("nothing", "空值"),
    Text(
        "the waveform must be [batch, channels, samples], but its shape is {shape}.",
        "波形的形状应为 [批次, 声道, 采样]，实际为 {shape}。",
    ),
    Text(
        "the waveform must hold floating-point samples in ±1, but holds {dtype}.",
        "波形应为 ±1 以内的浮点采样，实际为 {dtype}。",
    ),
    Text(
        "the waveform is a tensor without its samples in memory. Use an ordinary one.",
        "波形张量的采样不在内存中。请使用普通张量。",
    ),
    Text(
        "the sound is empty (shape {shape}). Use a sound with samples in it.",
        "音频为空（形状 {shape}）。请使用有内容的音频。",
    ),
    Text(
        "the sound has {channels} channels, more than {most}. A waveform is [batch, channels, samples]; check the node "
        "that makes it.",
        "音频有 {channels} 个声道，超过 {most} 个。波形的形状为 [批次, 声道, 采样]；请检查生成它的节点。",
    ),
    Text(
        "the sound holds NaN or infinite samples, the first at {at} s. Repair or replace it at its source.",
        "音频含有 NaN 或无穷大的采样，第一个在 {at} 秒处。请在源头修复或更换音频。",
    ),
    Text(
        "the sample rate must be a whole number of Hz, got {rate}.",
        "采样率必须是整数（Hz），实际为 {rate}。",
    ),
    Text(
        "{rate} is no sample rate; expected a number of Hz such as 44100.",
        "{rate} 不是有效的采样率；应为 44100 这样的数值（Hz）。",
    ),
    Text("the sound is longer than {hours} hours. Cut it.", "音频超过 {hours} 小时。请剪短。"),
    Text(
        "there is not a single sample of sound in this file. Export it again.",
        "文件中没有任何音频采样。请重新导出。",
    ),
    Text(
        "its sample rate of {rate} Hz is outside {least} … {most} Hz. Convert it to 44,100 Hz.",
        "采样率 {rate} Hz 超出 {least} … {most} Hz 的范围。请转换为 44,100 Hz。",
    ),
    Text(
        "{channels} channels are more than {most}. Convert it to stereo.",
        "{channels} 个声道，超过 {most} 个。请转换为立体声。",
    ),
    Text("its header does not say how long it is. Convert it to WAV.", "文件头中没有时长。请转换为 WAV。"),
    Text("there is no track {track}. Choose one from 1 to {most}.", "没有音轨 {track}。请选择 1 到 {most}。"),
    Text(
        "its sound format is unknown to PyAV. Convert it to WAV, FLAC or MP3.",
        "PyAV 不认识它的音频格式。请转换为 WAV、FLAC 或 MP3。",
    ),
    Text(
        "cannot be read as a sound ({why}). It is damaged, cut off, or not a sound file; play it to check, then export "
        "it again as WAV, FLAC or MP3.",
        "无法作为音频读取（{why}）。文件已损坏、不完整，或不是音频文件；请先播放检查，再重新导出为 WAV、FLAC 或 MP3。",
    ),
    Text(
        "the file mixes sound of {first_rate} Hz, {first_channels} ch and of {rate} Hz, {channels} ch. Convert it to a "
        "WAV or FLAC of one kind.",
        "文件中混有 {first_rate} Hz、{first_channels} 声道与 {rate} Hz、{channels} 声道的音频。请转换为单一格式的 "
        "WAV 或 FLAC。",
    ),
    Text(
        "there is no sound in this file. Use a sound file or a video with sound.",
        "文件中没有音频。请使用音频文件，或带声音的视频。",
    ),
    Text(
        "its samples are {kind}, which PyAV does not read. Convert it.",
        "采样格式为 {kind}，PyAV 无法读取。请转换格式。",
    ),
    Text(
        "There is no sound above {threshold} dBFS in these {seconds} s. Use a louder sound, lower the threshold, or do "
        "not cut silence.",
        "这 {seconds} 秒中没有高于 {threshold} dBFS 的声音。请换用音量更大的音频、降低阈值，或不切除静音。",
    ),
    Text(
        "Sonic takes one sound at a time, and this is a batch of {count}. Connect a Load Audio node.",
        "Sonic 一次只处理一段音频，而这里是 {count} 段的批次。请连接“加载音频”节点。",
    ),
)

PICTURES = (
    Text("expected an IMAGE, got {kind}. Connect an IMAGE output.", "需要 IMAGE，实际是 {kind}。请连接 IMAGE 输出。"),
    Text(
        "its shape is {shape}, but an IMAGE is batch × height × width × channels, none of them 0. Check the node that "
        "makes it.",
        "形状为 {shape}，而 IMAGE 应为批次 × 高 × 宽 × 通道，且均不为 0。请检查生成它的节点。",
    ),
    Text("that of a number", "单个数值的形状"),
    Text(
        "its shape is {shape}, but an IMAGE is batch × height × width × channels with 1, 3 or 4 channels. A mask or a "
        "latent has to be converted first.",
        "形状为 {shape}，而 IMAGE 应为批次 × 高 × 宽 × 通道，通道数为 1、3 或 4。遮罩或潜变量需先转换为图片。",
    ),
    Text(
        "it is a tensor without its pixels in memory. Check the node that makes it.",
        "张量的像素不在内存中。请检查生成它的节点。",
    ),
    Text("it is empty ({shape}). Check the node that makes it.", "图片为空（{shape}）。请检查生成它的节点。"),
    Text(
        "its pixels are {dtype}, but an IMAGE holds fractions 0…1. Divide by 255.",
        "像素类型为 {dtype}，而 IMAGE 应为 0…1 的小数。请除以 255。",
    ),
    Text(
        "it contains NaN or infinity. The node that makes it has failed; run it again.",
        "含有 NaN 或无穷大。生成它的节点出了错；请重新运行该节点。",
    ),
    Text(
        "too large, more than {most} million pixels. Scale it down; 4096 a side is plenty.",
        "图片过大，超过 {most} 百万像素。请缩小；边长 4096 已足够。",
    ),
    Text("It has {width}×{height}.", "实际为 {width}×{height}。"),
    Text("it is damaged: {fault}. Save it again as PNG or JPEG.", "文件已损坏：{fault}。请重新保存为 PNG 或 JPEG。"),
    Text("it has long runs of fill bytes", "含有大段填充字节"),
    Text("it has more than {most} parts", "分块超过 {most} 个"),
    Text("it has more than {most} scans", "扫描超过 {most} 次"),
    Text(
        "this is not a picture, whatever its name says. Use a PNG, JPEG or WebP.",
        "这不是图片，无论文件名是什么。请使用 PNG、JPEG 或 WebP。",
    ),
    Text("cannot be read: {why}. Save it again as PNG or JPEG.", "无法读取：{why}。请重新保存为 PNG 或 JPEG。"),
    Text("cannot be read ({why}). Save it again as PNG or JPEG.", "无法读取（{why}）。请重新保存为 PNG 或 JPEG。"),
    Text(
        "the file is damaged ({why}). Save it again as PNG or JPEG.", "文件已损坏（{why}）。请重新保存为 PNG 或 JPEG。"
    ),
    Text("nothing of it can be decoded. Save it again as PNG or JPEG.", "完全无法解码。请重新保存为 PNG 或 JPEG。"),
    Text("there is no picture in this file. Use a PNG, JPEG or WebP.", "文件中没有图片。请使用 PNG、JPEG 或 WebP。"),
    Text(
        "this is a video, not a picture. Save one of its frames as PNG.",
        "这是视频，不是图片。请将其中一帧保存为 PNG。",
    ),
)

FACES = (
    Text(
        "Sonic's own detector finds no face in this picture. Crop it around the face with Face Box or Preflight, or "
        "take a picture that shows the face larger and from the front.",
        "Sonic 自带的检测器在这张图片中没有找到人脸。请用“人脸框”或“预检”围绕人脸裁剪，或换用人脸更大、更正面的图片。",
    ),
    Text(
        "no face found. Use a sharper picture with a larger face that looks at the camera, upright; or crop the "
        "picture around the face, or set the face box by hand.",
        "没有检测到人脸。请使用更清晰、人脸更大、正对镜头且端正的图片；也可以围绕人脸裁剪，或手动填写人脸框。",
    ),
    Text(
        "face number {index} does not exist; {found} found. Use 0 (the largest) … {last}, or set the face box by hand.",
        "没有第 {index} 张人脸；{found}。请用 0（最大的一张）… {last}，或手动填写人脸框。",
    ),
    Text("1 face was", "检测到 1 张"),
    Text("{count} faces were", "检测到 {count} 张"),
    Text("expected four numbers x1, y1, x2, y2, got {value}.", "需要四个数 x1, y1, x2, y2，实际是 {value}。"),
    Text("expected x1, y1, x2, y2 in pixels, got {value}.", "需要以像素为单位的 x1, y1, x2, y2，实际是 {value}。"),
    Text(
        "{box} has no area. Give the upper left corner first, then the lower right.",
        "{box} 的面积为零。请先填左上角，再填右下角。",
    ),
    Text(
        "{box} leaves the picture, which has {width}×{height} pixels.", "{box} 超出图片；图片为 {width}×{height} 像素。"
    ),
    Text(
        "face box {box} is not inside the picture, which has {width}×{height} pixels.",
        "人脸框 {box} 不在图片之内；图片为 {width}×{height} 像素。",
    ),
    Text(
        "{box} is not inside the picture, which has {width}×{height} pixels.",
        "{box} 不在图片之内；图片为 {width}×{height} 像素。",
    ),
    Text(
        "{ratio} is outside 0 … 10. The usual values are 0.15 and 0.20.",
        "{ratio} 超出 0 … 10 的范围。常用值为 0.15 和 0.20。",
    ),
    Text(
        "{threshold} is not between 0 and 1. Start from {usual}.", "{threshold} 不在 0 与 1 之间。可从 {usual} 开始。"
    ),
    Text(
        "the face detector cannot be loaded: {why}. Install this pack's requirements.txt, or set the face box by hand.",
        "无法加载人脸检测器：{why}。请安装本节点包的 requirements.txt，或手动填写人脸框。",
    ),
)

FILES_READ = (
    Text("it is damaged: {fault}. Export it again.", "文件已损坏：{fault}。请重新导出。"),
    Text(
        "its chunk {name} claims {bytes} bytes, and the file has {size}",
        "数据块 {name} 声称有 {bytes} 字节，而文件只有 {size} 字节",
    ),
    Text(
        "its tables claim {entries} entries, and the file has {size} bytes",
        "索引表声称有 {entries} 项，而文件只有 {size} 字节",
    ),
    Text(
        "it is damaged: its index leads back and forth without an end. Export it again.",
        "文件已损坏：索引循环，没有尽头。请重新导出。",
    ),
    Text("it was changed while it was read. Try again.", "读取期间文件被改动。请重试。"),
    Text("the file is empty (0 bytes). Copy or export it again.", "文件为空（0 字节）。请重新复制或导出。"),
    Text("cannot be read: {why}. Check its disk.", "无法读取：{why}。请检查磁盘。"),
    Text(
        "this is damaged, or a kind of file that is not read here. Use WAV, MP3, FLAC, M4A, OGG, MP4, MOV, MKV or AVI; "
        "a list that names other files is never followed.",
        "文件已损坏，或格式不受支持。请使用 WAV、MP3、FLAC、M4A、OGG、MP4、MOV、MKV 或 AVI；"
        "引用其他文件的播放列表不会被读取。",
    ),
    Text(
        "to look through it takes more than {seconds} s. Try again if its disk was asleep or busy; if not, export it "
        "again: a picture as PNG, a sound as WAV.",
        "检查此文件需要超过 {seconds} 秒。如果磁盘刚才处于休眠或繁忙状态，请重试；否则请重新导出：图片导出为 PNG，"
        "音频导出为 WAV。",
    ),
)

VIDEOS = (
    Text("there is no video in this file.", "文件中没有视频。"),
    Text("there is not a single frame in this file.", "文件中没有任何一帧画面。"),
    Text("a video without a frame rate.", "视频没有帧率。"),
    Text(
        "expected [k, 3, H, W] or [k, H, W, 3], got {shape}.",
        "形状应为 [k, 3, H, W] 或 [k, H, W, 3]，实际为 {shape}。",
    ),
    Text("expected uint8 or floating-point numbers, got {dtype}.", "应为 uint8 或浮点数，实际为 {dtype}。"),
    Text(
        "the network made pictures of NaN. Load Sonic with dtype bf16 or fp32.",
        "网络生成的画面为 NaN。请以 bf16 或 fp32 加载 Sonic。",
    ),
    Text(
        "this build of PyAV cannot write {format}, only {known}.",
        "当前的 PyAV 无法写入 {format}，只支持 {known}。",
    ),
    Text("{value} is not a whole number from 1 to 51.", "{value} 不是 1 到 51 的整数。"),
    Text(
        "{format} takes no pictures of {width}×{height} ({why}). Choose another ({others}), or lower min_resolution.",
        "{format} 不支持 {width}×{height} 的画面（{why}）。请改用其他格式（{others}），或减小 min_resolution。",
    ),
    Text("not a single frame was made.", "没有生成任何一帧画面。"),
    Text(
        "{written} of {frames} frames arrived. Check the disk and run again.",
        "只收到 {written} 帧，应有 {frames} 帧。请检查磁盘后重新运行。",
    ),
    Text("a frame of {size} in a video of {width}×{height}.", "{width}×{height} 的视频中出现了 {size} 的画面。"),
)

ERRORS = (*SOUNDS, *PICTURES, *FACES, *FILES_READ, *VIDEOS)
