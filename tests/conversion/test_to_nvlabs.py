"""Weights in the public format: what the reference reads of them, and what comes back."""

import pytest
import torch

from spade_hf import LabelSet, SPADEGenerator, SPADEImageProcessor, SPADEPipeline, SPADEStyleEncoder
from spade_hf.conversion import convert_nvlabs_checkpoint, save_nvlabs_checkpoint
from spade_hf.conversion.nvlabs_keys import convert_generator_weights, convert_style_encoder_weights
from spade_hf.conversion.to_nvlabs import public_generator_weights, public_style_encoder_weights

from .. import public_reference
from ..tiny_networks import tiny_concatenation


SMALL = {"num_labels": 3, "image_size": (64, 128), "base_channels": 2}
ENCODER = {"base_channels": 2, "latent_dim": 256}


def build(style_encoder=None, **config):
    torch.manual_seed(0)
    generator = SPADEGenerator(**{**SMALL, "latent_dim": 256 if style_encoder else None, **config})
    labels = LabelSet.anonymous(3, use_unknown_label=generator.config.use_unknown_label)
    processor = SPADEImageProcessor(label_set=labels, use_instance_edges=generator.config.use_instance_edges)
    return SPADEPipeline(generator=generator, image_processor=processor, style_encoder=style_encoder)


def label_map():
    return torch.arange(3).repeat_interleave(3).expand(1, 64, 9).repeat(1, 1, 15)[..., :128]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ({}, "--norm_G spectralspadesyncbatch3x3 --ngf 2 --num_upsampling_layers normal --label_nc 3 --crop_size 128"
             " --aspect_ratio 2.0 --no_instance"),
        ({"num_upsampling_layers": 7, "image_size": (128, 256), "spade_kernel_size": 1, "norm_type": "instance",
          "use_spectral_norm": False, "use_unknown_label": True, "use_instance_edges": True},
         "--norm_G spadeinstance1x1 --ngf 2 --num_upsampling_layers most --label_nc 3 --crop_size 256"
         " --aspect_ratio 2.0 --contain_dontcare_label"),
    ],
    ids=["spectral norm", "instance norm, seven upsamplings"],
)  # fmt: skip
def test_the_public_format_reads_the_same_and_comes_back(config, options, tmp_path):
    pipeline = build(**config)
    assert save_nvlabs_checkpoint(pipeline, tmp_path) == options
    assert [path.name for path in tmp_path.iterdir()] == ["latest_net_G.pth"]
    weights = torch.load(tmp_path / "latest_net_G.pth", weights_only=True)
    there_and_back = convert_generator_weights(weights)
    expected = pipeline.generator.state_dict()
    assert there_and_back.keys() == expected.keys()
    assert all(torch.equal(there_and_back[key], expected[key]) for key in expected)


def test_published_weights_come_back_with_spectral_norm_divided_out(tmp_path):
    published = public_reference.random_generator_weights(3, base_channels=2, hidden_channels=128, start_size=(2, 4))
    torch.save(published, tmp_path / "published.pth")
    pipeline = convert_nvlabs_checkpoint(
        tmp_path / "published.pth", num_labels=3, use_instance_edges=False, image_size=(64, 128),
        num_upsampling_layers="normal",
    )  # fmt: skip
    assert save_nvlabs_checkpoint(pipeline, tmp_path).startswith("--norm_G spadesyncbatch3x3 ")
    weights = torch.load(tmp_path / "latest_net_G.pth", weights_only=True)
    segmap = torch.nn.functional.one_hot(label_map(), 3).movedim(-1, 1).double()
    expected, found = (
        public_reference.generate({key: value.double() for key, value in each.items()}, segmap, start_size=(2, 4))
        for each in (published, weights)
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1


def test_a_style_encoder(tmp_path):
    pipeline = build(SPADEStyleEncoder(**ENCODER))
    assert save_nvlabs_checkpoint(pipeline, tmp_path).endswith("--use_vae --z_dim 256 --norm_E spectralinstance")
    weights = torch.load(tmp_path / "latest_net_E.pth", weights_only=True)
    images = torch.rand(1, 3, 256, 256) * 2 - 1
    expected, _ = public_reference.encode(weights, images)
    with torch.no_grad():
        found = pipeline.style_encoder(images).latent_dist.mean
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    expected = pipeline.style_encoder.state_dict()
    there_and_back = convert_style_encoder_weights(weights)
    assert there_and_back.keys() == expected.keys()
    again = convert_nvlabs_checkpoint(
        tmp_path / "latest_net_G.pth", style_encoder_path=tmp_path / "latest_net_E.pth", num_labels=3,
        use_instance_edges=False, image_size=(64, 128),
    )  # fmt: skip
    z = again.style_encoder(images).latent_dist.mean
    torch.testing.assert_close(
        again.generator(label_map(), z).images, pipeline.generator(label_map(), z).images, atol=1e-5, rtol=0
    )


def test_names_are_those_of_the_published_files():
    generator = SPADEGenerator(**{**SMALL, "image_size": 64}, latent_dim=256)
    published = public_reference.random_generator_weights(3, base_channels=2, hidden_channels=128, latent_dim=256)
    ours = public_generator_weights(generator)
    assert ours.keys() == published.keys()
    assert all(ours[key].shape == value.shape for key, value in published.items())
    encoder = public_reference.random_encoder_weights(base_channels=2, latent_dim=256)
    assert public_style_encoder_weights(SPADEStyleEncoder(**ENCODER)).keys() == encoder.keys()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"channel_mult": (8, 8, 8, 4, 2, 1, 1)}, r"`channel_mult` is \(8, 8, 8, 4, 2, 1, 1\), not the paper's"),
        ({"spade_hidden_channels": 32}, r"`spade_hidden_channels` is 32, not 128"),
        ({"latent_dim": 8}, r"it has a latent, but no style encoder"),
    ],
)
def test_what_the_public_implementation_cannot_build(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_nvlabs_checkpoint(build(**config), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_encoder_or_generator(tmp_path):
    encoder = SPADEStyleEncoder(base_channels=4, latent_dim=256)
    with pytest.raises(ValueError, match=r"its style encoder has base_channels=4, not 2"):
        save_nvlabs_checkpoint(build(encoder), tmp_path)
    pipeline = build()
    pipeline.register_modules(generator=tiny_concatenation())
    with pytest.raises(ValueError, match=r"generator is a ConcatenationGenerator; only a SPADEGenerator"):
        save_nvlabs_checkpoint(pipeline, tmp_path)
