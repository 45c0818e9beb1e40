"""Sonic and its relatives: each node runs the models of its own pack only, and a loader's room is its own network's."""

import importlib
from contextlib import contextmanager

import pytest

from sonic_guard.comfy.sonic_objects import LOADER, SAMPLER, check_runs_in
from sonic_guard.devices.card_catalogue import GIB
from sonic_guard.errors import WrapperError
from sonic_guard.job import Job, latent_frames
from sonic_guard.memory.constants import constants
from sonic_guard.memory.stage_model import predict, stage_bytes
from sonic_guard.memory.stage_split import split_stages
from sonic_guard.optimizations import EVERY, Optimization
from sonic_guard.relatives import ADAPTERS, LOADERS, PREDATAS, SAMPLERS, Relative, relative_of

DICE = ADAPTERS[Relative.DICE_TALK]


class SonicModel:
    """The shape of Sonic's model, as far as it is looked at."""

    def process(
        self, audio_tensor_list, uncond_audio_tensor_list, motion_buckets, test_data, config, image_embeds=None,
        img_latent=None, fps=25.0, vae=None, inference_steps=25, dynamic_scale=1.0, seed=1,
    ):  # fmt: skip
        raise AssertionError("not called")


class DiceModel:
    """The shape of DICE Talk's."""

    def process(self, data_dict, fps, inference_steps=25, ref_scale=None, emo_scale=None, seed=None):
        raise AssertionError("not called")


def sampler_class():
    class Sampler:
        FUNCTION = "work"

        def work(self, model, fps=25.0):
            return "frames"

    return Sampler


@pytest.mark.parametrize("name", [SAMPLER, DICE.sampler])
@pytest.mark.parametrize("model", [SonicModel(), DiceModel(), None])
def test_a_sampler_runs_the_models_of_its_own_pack(pack, name, model):
    """Another one is an error before the run waits for the card and is followed."""
    entered = []

    @contextmanager
    def around(*what):
        entered.append(what)
        yield

    classes = {name: sampler_class()}
    importlib.import_module(f"{pack.__name__}.nodes.web_api.instrumentation").instrument(classes, around)
    if relative_of(model) in (None, SAMPLERS[name]):
        assert classes[name]().work(model) == "frames"
        return
    with pytest.raises(Exception, match=f"does not run in {name}. Connect the model of"):
        classes[name]().work(model)
    assert entered == []


def test_the_error_names_the_loader_whose_model_is_wanted():
    check_runs_in(SAMPLER, Relative.SONIC, Relative.SONIC)
    with pytest.raises(WrapperError, match=f"DICE Talk's model does not run in {SAMPLER}. Connect .* {LOADER}"):
        check_runs_in(SAMPLER, Relative.SONIC, Relative.DICE_TALK)


def test_the_tables_name_each_node_once():
    assert len({**LOADERS, **PREDATAS, **SAMPLERS}) == 3 * len(ADAPTERS)


@pytest.mark.parametrize("optimizations", [frozenset(), EVERY, frozenset({Optimization.UNET_OFFLOAD})])
def test_a_clip_of_dice_talk_is_longer_than_its_sound(optimizations):
    job = Job(768, 768, 4.0, min_resolution=768, fps=12.0, optimizations=optimizations, relative=Relative.DICE_TALK)
    assert (job.sound_frames, job.latent_frames, job.window) == (latent_frames(4.0), latent_frames(4.0) + 25, 25)
    assert predict(job).peak_bytes > 0
    split = split_stages(job)
    assert min(min(parts) for parts in split.values()) >= 0
    sizes = stage_bytes(job)
    assert split["denoise"].total == sizes["denoise"]
    assert split["interpolate"].total == sizes["interpolate"]


def test_its_pose_network_is_there_until_the_unet_leaves():
    table = constants(Relative.DICE_TALK)
    job = Job(512, 512, 4.0, relative=Relative.DICE_TALK)
    assert constants().pose_bytes == 0 < table.pose_bytes
    assert stage_bytes(job)["load"] == table.unet_parameters * 2 + table.pose_bytes + table.rife_bytes


def test_a_long_clip_needs_the_gpu_before_its_denoising_loop():
    """The pose network takes all frames in one batch; with tensor offload it takes one at a time."""
    short, long = (Job(512, 512, seconds, relative=Relative.DICE_TALK) for seconds in (4.0, 120.0))
    grown = stage_bytes(long)["denoise"] - stage_bytes(short)["denoise"]
    assert grown > 20 * GIB
    offloaded = frozenset({Optimization.TENSOR_OFFLOAD})
    short, long = (
        stage_bytes(Job(512, 512, seconds, relative=Relative.DICE_TALK, optimizations=offloaded))["denoise"]
        for seconds in (4.0, 120.0)
    )
    assert long - short < GIB / 4
