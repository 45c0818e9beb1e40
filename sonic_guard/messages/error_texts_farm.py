"""Errors of a farm; see `error_messages`."""

from ..optimizations import Text

PLACING = (
    Text(
        "there are two called {name}. Give each another name.",
        "有两个都叫 {name}。请使用不同的名称。",
    ),
)

FILES = (
    Text(
        "{scheme} is no place for files. Use a folder, or s3://bucket/folder.",
        "{scheme} 不能存放文件。请使用文件夹，或 s3://bucket/folder。",
    ),
    Text(
        "keys and tokens do not belong into an address. Set AWS_ACCESS_KEY_ID and the like.",
        "地址中不应包含密钥或令牌。请设置 AWS_ACCESS_KEY_ID 等环境变量。",
    ),
    Text(
        's3:// needs s3fs. Install it with `pip install "sonic-guard[farm]"`.',
        's3:// 需要 s3fs。请运行 `pip install "sonic-guard[farm]"` 安装。',
    ),
    Text(
        "{digest}… has another content. It has changed, or is damaged: make it again.",
        "{digest}… 的内容不符：文件已更改或损坏，请重新生成。",
    ),
    Text(
        "{name} is the name of another file. Choose another, or move that away.",
        "{name} 已是另一个文件的名称。请换一个名称，或移走该文件。",
    ),
    Text(
        "{name} leads out of the folder {folder}. Remove the link.", "{name} 指向文件夹 {folder} 之外。请删除该链接。"
    ),
    Text("{key} is not the key of a result.", "{key} 不是结果的键。"),
    Text(
        "{name} is not usable as a name. Use one such as folder/video.mp4.",
        "{name} 不可用作名称。请使用 folder/video.mp4 这样的名称。",
    ),
    Text("cannot use {name} in {place}: {why}", "无法使用 {place} 中的 {name}：{why}"),
)

ERRORS = (*PLACING, *FILES)
