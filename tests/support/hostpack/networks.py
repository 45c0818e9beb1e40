"""The files of SONIC_PreData's own networks, with random weights: its real code runs on them, in seconds."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FACE = (0.3, 0.2, 0.7, 0.8)
"""Left, top, right and bottom of what the small detector finds, as shares of the picture."""


class Detector(nn.Module):
    """Finds one face in every picture, in the format of yoloface_v5m.pt: [1, 1, 16]."""

    __module__ = "networks"  # TorchScript takes no path for a name, and by its path ComfyUI names a pack

    def __init__(self) -> None:
        super().__init__()
        self.face = nn.Parameter(torch.tensor(FACE), requires_grad=False)

    def forward(self, img: Tensor, grids: list[Tensor]) -> Tensor:
        """Middle and size of the box, how sure it is, five points of the face, and its class."""
        left, top, right, bottom = self.face.unbind()
        found = torch.ones(1, 1, 16)
        height, width = img.shape[2], img.shape[3]
        found[0, 0, 0], found[0, 0, 1] = width * (left + right) / 2, height * (top + bottom) / 2
        found[0, 0, 2], found[0, 0, 3] = width * (right - left), height * (bottom - top)
        return found


def write_networks(folder: Path, wrapper: Any) -> None:
    """Put into `folder`, ComfyUI's models/sonic, what `wrapper`, the module of Sonic's nodes, loads from there."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    torch.manual_seed(11)
    whisper = folder / "whisper-tiny"
    # Widths, layers and window of the encoder are those of the real one; the decoder is not called.
    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=64, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=8, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(whisper)
    WhisperFeatureExtractor().save_pretrained(whisper)
    with torch.device("meta"):
        token = wrapper.AudioProjModel(
            seq_len=10, blocks=5, channels=384, intermediate_dim=1024, output_dim=1024, context_tokens=32
        )
        bucket = wrapper.Audio2bucketModel(
            seq_len=50, blocks=1, channels=384, clip_channels=1024, intermediate_dim=1024, output_dim=1,
            context_tokens=2,
        )  # fmt: skip
    for name, network in (("audio2token.pth", token), ("audio2bucket.pth", bucket)):
        torch.save({key: _few(tensor.shape) for key, tensor in network.state_dict().items()}, folder / name)
    torch.jit.script(Detector()).save(str(folder / "yoloface_v5m.pt"))


def _few(shape: torch.Size) -> Tensor:
    """A random tensor of `shape` whose rows are one vector of noise, each shifted by one more: a small file."""
    rows, width = (shape[0], shape[1]) if len(shape) == 2 else (1, shape[0])
    noise = 0.05 * torch.randn(rows + width)
    return (
        noise.as_strided((rows, width), (1, 1)).reshape(shape) if len(shape) == 1 else noise.as_strided(shape, (1, 1))
    )
