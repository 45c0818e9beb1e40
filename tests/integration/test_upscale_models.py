"""Upscale models as files: Real-ESRGAN's real weights, files that are none, and a video from file to file."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sonic_guard.errors import FinishError
from sonic_guard.finishing.output_size import OutputSize
from sonic_guard.finishing.pipeline import FinishRequest, finish
from sonic_guard.finishing.upscale.network import from_descriptor, load_network
from sonic_guard.finishing.upscale.tile_memory import demand_of
from sonic_guard.finishing.upscale.upscale_video import Upscale
from sonic_guard.media.footage import open_footage, shots
from sonic_guard.media.video_writer import Encoding
from sonic_guard.messages.upscale_messages import upscale_dict, upscale_lines
from tests.support.footage_files import packets, seconds, write
from tests.support.moving_scenes import SCENES, psnr
from tests.support.upscale_networks import plain, real_esrgan, spandrel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real-ESRGAN's small model for video, ×4."""
    spandrel()
    path = tmp_path_factory.mktemp("models") / "animevideo.safetensors"
    save_file(real_esrgan(), path)
    return path


def picture(width: int, height: int) -> np.ndarray:
    return cv2.resize(SCENES["disc"](0.0), (width, height), interpolation=cv2.INTER_AREA)


def one(step: Upscale, frame: np.ndarray) -> np.ndarray:
    [made] = step.run(iter([frame]))
    return made


def test_real_weights_make_edges_sharp(model: Path) -> None:
    network = load_network(model)
    assert (network.name, network.scale) == ("animevideo", 4)
    large = np.full((192, 224, 3), 60, np.uint8)
    cv2.circle(large, (100, 90), 60, (220, 180, 140), -1, cv2.LINE_AA)
    cv2.line(large, (20, 180), (200, 20), (20, 30, 200), 9, cv2.LINE_AA)
    small = cv2.resize(large, (56, 48), interpolation=cv2.INTER_AREA)
    bicubic = cv2.resize(small, (224, 192), interpolation=cv2.INTER_CUBIC)
    made = one(Upscale(network, OutputSize(factor=4), "cpu"), small)
    assert psnr(made, large) > 26
    assert edges(bicubic) < 0.5 * edges(large)
    assert edges(made) > 0.9 * edges(large)


def edges(frame: np.ndarray) -> float:
    """How much sharp detail there is."""
    return float(np.abs(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F)).mean())


def test_real_esrgan_sees_18_pixels(model: Path) -> None:
    demand = demand_of(load_network(model))
    assert (demand.reach, demand.coarsest) == (18, 1)


@pytest.mark.parametrize("tile", [56, 64])
def test_tiles_of_a_real_model_are_not_seen(model: Path, tile: int) -> None:
    network, frame = load_network(model), picture(78, 60)
    whole, tiled = (one(Upscale(network, OutputSize(factor=4), "cpu", side), frame) for side in (None, tile))
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_checkpoints_of_torch_are_read(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"params_ema": real_esrgan()}, path)
    assert load_network(path).digest() == load_network(model).digest()


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (Path("harm.txt"), "done")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spandrel()
    monkeypatch.chdir(tmp_path)
    torch.save({"params": Harmful()}, tmp_path / "model.pth")
    with pytest.raises(FinishError, match="cannot be read"):
        load_network(tmp_path / "model.pth")
    assert not (tmp_path / "harm.txt").exists()


def no_file(folder: Path, model: Path) -> Path:
    return folder / "missing.pth"


def a_folder(folder: Path, model: Path) -> Path:
    return folder


def torn(folder: Path, model: Path) -> Path:
    path = folder / "torn.safetensors"
    path.write_bytes(model.read_bytes()[:100_000])
    return path


def torn_checkpoint(folder: Path, model: Path) -> Path:
    torch.save(real_esrgan(), folder / "whole.pth")
    path = folder / "torn.pth"
    path.write_bytes((folder / "whole.pth").read_bytes()[:100_000])
    return path


def empty(folder: Path, model: Path) -> Path:
    path = folder / "empty.pth"
    path.touch()
    return path


def no_model(folder: Path, model: Path) -> Path:
    path = folder / "picture.png"
    cv2.imwrite(str(path), picture(8, 8))
    return path


def script(folder: Path, model: Path) -> Path:
    path = folder / "script.pt"
    torch.jit.trace(torch.nn.Conv2d(3, 3, 3), torch.rand(1, 3, 8, 8)).save(str(path))  # type: ignore[union-attr]
    return path


def of_another_kind(folder: Path, model: Path) -> Path:
    path = folder / "lora.safetensors"
    save_file({"lora_up.weight": torch.zeros(4, 4)}, path)
    return path


BAD = {
    no_file: "no such file", a_folder: "folder", torn: "cannot be read", torn_checkpoint: "cannot be read",
    empty: "cannot be read", no_model: "names end in", script: "names end in", of_another_kind: "no architecture",
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), BAD.items(), ids=[make.__name__ for make in BAD])
def test_files_that_are_no_model(tmp_path: Path, model: Path, make: object, message: str) -> None:
    with pytest.raises(FinishError, match=message):
        load_network(make(tmp_path, model))  # type: ignore[operator]


@pytest.mark.parametrize("value", [None, 5, "model", object(), torch.nn.Conv2d(3, 3, 3)])
def test_what_is_no_upscale_model(value: object) -> None:
    with pytest.raises(FinishError, match="UPSCALE_MODEL"):
        from_descriptor(value)


def test_a_model_for_gray_pictures_is_refused() -> None:
    package = spandrel()
    weights = real_esrgan()
    weights["body.0.weight"] = weights["body.0.weight"][:, :1]
    last = max(int(name.split(".")[1]) for name in weights)
    for part in ("weight", "bias"):
        weights[f"body.{last}.{part}"] = weights[f"body.{last}.{part}"][:16]
    with pytest.raises(FinishError, match="channels"):
        from_descriptor(package.ModelLoader().load_from_state_dict(weights))


def test_a_video_from_file_to_file(tmp_path: Path) -> None:
    source = write(tmp_path / "in.mp4", 30)
    step = Upscale(plain(3), OutputSize(height=108), "cpu")
    result = finish(FinishRequest(source, (step,), Encoding(crf=10)), tmp_path / "out.mp4", tmp_path / "work")
    assert (result.width, result.height, result.frames, result.changed) == (144, 108, 30, 30)
    assert packets(result.path, "audio") == packets(source, "audio")
    assert seconds(result.path, "video") == pytest.approx(seconds(source, "video"))
    first = next(shots(open_footage(result.path))).picture
    wanted = one(step, next(shots(open_footage(source))).picture)
    assert np.abs(first.astype(int) - wanted).mean() < 3


def test_the_command(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sonic_guard.cli.commands import main

    source, target = write(tmp_path / "in.mp4", 3), tmp_path / "out.mp4"
    options = ["--model", str(model), "--factor", "3", "--device", "cpu", "--json"]
    assert main(["finish", "upscale", str(source), "--out", str(target), *options]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["width"], said["height"], said["frames"], said["scale"]) == (192, 144, 3, 4)
    assert (said["device"], said["dtype"], said["tiles"], said["exact_tiles"]) == ("cpu", "fp32", 1, True)
    assert said["predicted_bytes"] > 64 * 48 * 131 * 4


def test_the_command_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sonic_guard.cli.commands import main

    source = write(tmp_path / "in.mp4", 3)
    options = ["--model", str(tmp_path / "none.pth"), "--out", str(tmp_path / "out.mp4")]
    assert main(["finish", "upscale", str(source), *options]) == 2
    assert "none.pth" in capsys.readouterr().err


def test_interpolation_from_file_to_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sonic_guard.cli.commands import main

    source, target = write(tmp_path / "in.mp4", 30), tmp_path / "out.mp4"
    assert main(["finish", "interpolate", str(source), "--out", str(target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["changed"]) == (60, 30)
    before, after = seconds(source, "video"), seconds(target, "video")
    assert after[::2] == pytest.approx(before, abs=1e-4)
    assert np.diff(after) == pytest.approx([0.02] * 59, abs=1e-4)
    assert packets(target, "audio") == packets(source, "audio")


def test_a_run_that_found_all_made_already_reports_how() -> None:
    step = Upscale(plain(3), OutputSize(factor=2), "cpu")
    assert upscale_dict(step, 64, 48)["used_model"]
    assert "cpu" in upscale_lines(step, 64, 48)[0]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Upscale(plain(3), OutputSize(height=24), "cpu"), ["did not run"]),
        (Upscale(plain(3), OutputSize(factor=3), "cpu"), ["×2", "whole frames", "interpolated"]),
        (Upscale(plain(3), OutputSize(factor=2), "cpu", tile=32), ["6 tiles of 32", "cannot be seen"]),
    ],
    ids=["smaller", "beyond the model", "tiles"],
)
def test_what_is_reported(step: Upscale, words: list[str]) -> None:
    list(step.run(iter([picture(64, 48)])))
    english, chinese = ("\n".join(upscale_lines(step, 64, 48, lang)) for lang in ("en", "zh"))
    assert all(word in english for word in words)
    assert chinese != english
