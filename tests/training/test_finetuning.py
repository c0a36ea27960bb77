"""A trained pipeline starts a training: on its own labels, on others, at another size."""

import pytest
import torch

from spade_hf import (
    LabelSet,
    MultiscaleDiscriminator,
    ProjectedDiscriminator,
    SegmentationDiscriminator,
    SPADEGenerator,
    SPADEImageProcessor,
    SPADEPipeline,
)
from spade_hf.labels.label_set import Label
from spade_hf.training import Pretrained
from spade_hf.training.finetuning import match_channels

from ..training_data import LABELS, make_networks


# Two of LABELS' classes, in another order and case; a new one before them; unknown under another name.
OTHER = LabelSet(
    name="other",
    labels=(
        Label(0, "road", (90, 90, 90)),
        Label(1, "Rock", (1, 2, 3)),
        Label(2, "sky", (4, 5, 6)),
        Label(9, "void", (7, 8, 9)),
    ),
    unknown_id=9,
)
PAIRS = [(1, 2), (2, 0), (3, 3)]  # channels of OTHER and of LABELS: rock, sky, unknown


@pytest.fixture(scope="module")
def trained():
    """Networks with weights and statistics far from the initial ones, and a discriminator beside them."""
    networks = make_networks(seed=3)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for network in networks.values():
            for parameter in network.parameters():
                parameter.normal_(std=0.3, generator=rng)
        for _ in range(60):  # the power iteration follows the new weights
            networks["generator"](torch.randint(4, (4, 32, 32), generator=rng), torch.randn(4, 4, generator=rng))
            networks["style_encoder"](torch.randn(1, 3, 32, 32, generator=rng))
            networks["discriminator"](torch.zeros(1, 32, 32).long(), torch.randn(1, 3, 32, 32, generator=rng))
    return {name: network.eval() for name, network in networks.items()}


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """The pipeline as a run leaves it, and its discriminator as a checkpoint holds it."""
    folder = tmp_path_factory.mktemp("pretrained")
    copies = make_networks()
    for name, network in copies.items():
        network.load_state_dict(trained[name].state_dict())
    copies["discriminator"].save_pretrained(folder / "checkpoint-9" / "discriminator")
    for name in ("generator", "style_encoder"):
        copies[name].fuse_spectral_norm()
    SPADEPipeline(copies["generator"], SPADEImageProcessor(label_set=LABELS), copies["style_encoder"]).save_pretrained(
        folder
    )
    return folder


def images_of(generator, label_map, size=32):
    z = torch.linspace(-1, 1, 4)[None]
    with torch.no_grad():
        return generator.eval()(label_map.expand(1, size, size), z).images


def assert_close(found, expected):
    """Up to what thirty power iterations leave of the norms' error."""
    assert expected.std() > 0.05
    assert (found - expected).abs().mean() < 0.02 * expected.std()


def bands(first, second, size=32):
    """A label map of two labels."""
    return torch.where(torch.arange(size) < 11, first, second)[:, None]


def fresh(image_size=32, **changes):
    networks = make_networks(seed=8)
    if image_size != 32:
        config = networks["generator"].config
        networks["generator"] = SPADEGenerator.from_config(config, image_size=image_size, **changes)
    return networks


def test_the_same_labels_paint_the_same(trained, folder):
    networks = fresh()
    pretrained = Pretrained.load(str(folder), str(folder / "checkpoint-9"))
    assert not any(network.config.use_spectral_norm for network in pretrained.networks.values())
    pretrained.initialize(networks, SPADEImageProcessor(label_set=LABELS))
    label_map = bands(0, 2)
    assert_close(images_of(networks["generator"], label_map), images_of(trained["generator"], label_map))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        means = [n["style_encoder"].eval()(image).latent_dist.mean for n in (networks, trained)]
        logits = [n["discriminator"].eval()(label_map.expand(1, 32, 32), image).logits[0] for n in (networks, trained)]
    assert_close(*means)
    assert_close(*logits)


def test_spectral_norm_is_back(folder):
    networks = fresh()
    Pretrained.load(str(folder)).initialize(networks, SPADEImageProcessor(label_set=LABELS))
    assert networks["generator"].config.use_spectral_norm
    conv = networks["generator"].blocks[0].conv1
    with torch.no_grad():
        for _ in range(2):
            assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)
            conv.parametrizations.weight.original.mul_(5)


def test_weights_lie_as_in_fresh_networks(folder):
    """Channels last, as pipelines load them, the norms of the discriminator would copy every activation."""
    fresh, networks = make_networks(seed=5), make_networks(seed=5)
    Pretrained.load(str(folder), str(folder / "checkpoint-9")).initialize(
        networks, SPADEImageProcessor(label_set=LABELS)
    )
    for name, network in networks.items():
        layouts = {key: parameter.stride() for key, parameter in network.named_parameters()}
        assert layouts == {key: parameter.stride() for key, parameter in fresh[name].named_parameters()}, name


def test_channels_of_one_name():
    old, new = (SPADEImageProcessor(label_set=labels) for labels in (LABELS, OTHER))
    assert match_channels(old, new) == PAIRS
    with_edges = [SPADEImageProcessor(label_set=labels, use_instance_edges=True) for labels in (LABELS, OTHER)]
    assert match_channels(*with_edges) == [*PAIRS, (4, 4)]
    assert match_channels(with_edges[0], new) == match_channels(old, with_edges[1]) == PAIRS


def test_a_half_size_head_starts_as_the_old_image_enlarged(trained, folder):
    """All blocks stay, and each weight of the old head becomes that of four pixels."""
    networks = fresh(image_size=64, head_upsampling=2)
    Pretrained.load(str(folder)).initialize(networks, SPADEImageProcessor(label_set=LABELS))
    label_map = bands(0, 2)
    found = images_of(networks["generator"], label_map.repeat_interleave(2, dim=0), size=64)
    expected = images_of(trained["generator"], label_map)
    assert_close(found, expected.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


def test_a_half_size_head_stays(folder, tmp_path):
    """A new model has the trained one's head, or a finer one that is asked for, and starts with the same images."""
    assert [Pretrained.load(str(folder)).options(head_upsampling=n)["head_upsampling"] for n in (1, 2)] == [1, 2]
    trained = fresh(image_size=64, head_upsampling=2)
    with torch.no_grad():
        trained["generator"].conv_out.weight.normal_(generator=torch.Generator().manual_seed(0))  # not equal in fours
    trained["generator"].fuse_spectral_norm()
    SPADEPipeline(
        trained["generator"], SPADEImageProcessor(label_set=LABELS), trained["style_encoder"]
    ).save_pretrained(tmp_path)
    pretrained = Pretrained.load(str(tmp_path))
    assert pretrained.options()["head_upsampling"] == 2
    networks = fresh(image_size=64, head_upsampling=2)
    pretrained.initialize(networks, SPADEImageProcessor(label_set=LABELS))
    assert torch.equal(networks["generator"].conv_out.weight, trained["generator"].conv_out.weight)


def test_other_labels_keep_what_has_their_name(trained, folder, caplog):
    caplog.set_level("INFO")
    networks = fresh()
    before = networks["generator"].blocks[1].norm1.conv_mask.weight[:, 0].clone()
    pretrained = Pretrained.load(str(folder), str(folder / "checkpoint-9" / "discriminator"))
    pretrained.initialize(networks, SPADEImageProcessor(label_set=OTHER))
    for new, old in ((bands(1, 2), bands(2, 0)), (bands(3, 1), bands(3, 2))):
        assert_close(images_of(networks["generator"], new), images_of(trained["generator"], old))
        image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            found, expected = (
                n["discriminator"].eval()(label_map.expand(1, 32, 32), image).logits[0]
                for n, label_map in ((networks, new), (trained, old))
            )
        assert_close(found, expected)
    assert torch.equal(networks["generator"].blocks[1].norm1.conv_mask.weight[:, 0], before)
    assert "3 of 4 labels keep their weights; new: road" in caplog.text


def test_another_size_starts_where_the_old_model_was(trained, folder):
    networks = fresh(image_size=(64, 96))
    Pretrained.load(str(folder)).initialize(networks, SPADEImageProcessor(label_set=LABELS))
    label_map = bands(0, 2, 64).expand(1, 64, 96)
    z = torch.ones(1, 4)
    with torch.no_grad():
        found, expected = (n["generator"].eval()(label_map, z).images for n in (networks, trained))
    assert networks["generator"].linear_in.weight.shape[0] == 6 * trained["generator"].linear_in.weight.shape[0]
    assert_close(found, expected)


def test_options_that_build_the_same_widths(folder):
    options = Pretrained.load(str(folder), str(folder / "checkpoint-9")).options()
    assert (options["base_channels"], options["latent_dim"], options["discriminator_base_channels"]) == (4, 4, 4)
    assert options["style_encoder_channel_mult"] == [1, 1, 1] and options["norm_type"] == "sync_batch"


def test_from_the_hub(hub, folder, trained):
    repo = f"{hub.user}/to-finetune"
    SPADEPipeline.from_pretrained(str(folder)).push_to_hub(repo, token=hub.token)
    generator = Pretrained.load(repo).networks["generator"]
    assert torch.equal(generator.linear_in.weight, trained["generator"].linear_in.weight)


def test_what_cannot_be_loaded(folder, tmp_path):
    with pytest.raises(ValueError, match=r"`pretrained_model_name_or_path` '.*nowhere' cannot be loaded"):
        Pretrained.load(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"`discriminator_name_or_path` '.*nowhere' cannot be loaded"):
        Pretrained.load(str(folder), str(tmp_path / "nowhere"))
    MultiscaleDiscriminator(num_labels=7, base_channels=4).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"has num_labels=7, but the pretrained model has 3. Give the discriminator that"
    ):
        Pretrained.load(str(folder), str(tmp_path))


def test_other_widths(folder):
    pretrained, processor = Pretrained.load(str(folder)), SPADEImageProcessor(label_set=LABELS)
    networks = fresh()
    networks["generator"] = SPADEGenerator.from_config({**networks["generator"].config, "spade_hidden_channels": 6})
    with pytest.raises(ValueError, match=r"conv_mask.weight of the pretrained SPADEGenerator is .* Build it with the"):
        pretrained.initialize(networks, processor)
    networks = fresh()
    networks["generator"] = SPADEGenerator.from_config({**networks["generator"].config, "latent_dim": None})
    with pytest.raises(ValueError, match=r"SPADEGenerator has no linear_in.weight, which the pretrained one has"):
        pretrained.initialize(networks, processor)


def test_a_fused_copy_is_what_is_read(trained, folder):
    """The pipeline holds normalized weights: loading them into a normalizing network is no second normalization."""
    generator = make_networks()["generator"]
    generator.load_state_dict(trained["generator"].state_dict())
    generator.fuse_spectral_norm()
    loaded = Pretrained.load(str(folder)).networks["generator"]
    assert torch.equal(loaded.blocks[2].conv2.weight, generator.blocks[2].conv2.weight)


@pytest.mark.parametrize("kind", [SegmentationDiscriminator, ProjectedDiscriminator])
def test_other_discriminators_keep_what_has_the_labels_names(kind, folder, tmp_path):
    torch.manual_seed(0)
    labels = {"num_labels": 3, "use_unknown_label": True, "base_channels": 4}
    backbone = {"backbone": "efficientnet-lite0"}
    old, new = kind(**labels, **backbone), kind(**labels, **backbone)
    for weight in (old.conv_out.weight,) if kind is SegmentationDiscriminator else [h.embed.weight for h in old.heads]:
        torch.nn.init.normal_(weight)
    old.prepare_backbone(torch.rand(2, 3, 64, 64))
    old.save_pretrained(tmp_path / "discriminator")
    pretrained = Pretrained.load(str(folder), str(tmp_path))
    options = pretrained.options()
    assert options["discriminator"] == {SegmentationDiscriminator: "segmentation"}.get(kind, "projected")
    assert options["discriminator_backbone"] == "efficientnet-lite0"
    pretrained.initialize({"discriminator": new}, SPADEImageProcessor(label_set=OTHER))
    for name, value in old.state_dict().items():  # the frozen part is the old one's
        if name.startswith(("frozen_features", "mix_")):
            assert torch.equal(new.state_dict()[name], value), name
    label_map = torch.randint(3, (1, 64, 64), generator=torch.Generator().manual_seed(0))
    image = torch.rand(1, 3, 64, 64)
    renamed = torch.tensor([2, 3, 1])[label_map]  # sky, unknown in place of grass, which is not there, rock
    with torch.no_grad():
        found = new.eval()(renamed, image).logits[0]
        expected = old.eval()(label_map.where(label_map != 1, 3), image).logits[0]
    if kind is SegmentationDiscriminator:
        assert_close(found[:, [2, 1, 3]], expected[:, [0, 2, 3]])  # sky, rock and fake
    else:
        assert_close(found, expected)


def test_what_is_no_discriminator(folder):
    with pytest.raises(ValueError, match="it holds a SPADEGenerator; a discriminator is one of Multiscale"):
        Pretrained.load(str(folder), str(folder / "generator"))


@pytest.mark.parametrize("use_instance_edges", [False, True])
def test_outputs_of_classes_are_found_wherever_unknown_is(use_instance_edges):
    """Unknown has no output: it is the first channel of one label set, and amid the classes of the other."""
    sets = [("sky", "grass", "rock"), 0], [("rock", "road", "Sky"), 2]
    old, new = (
        SPADEImageProcessor(
            label_set=LabelSet(
                "toy",
                tuple(Label(i, name, (i, 1, 1)) for i, name in zip({0, 1, 2, 3} - {unknown}, names, strict=True)),
                unknown_id=unknown,
            ),
            use_instance_edges=use_instance_edges,
        )
        for names, unknown in sets
    )
    options = {
        "num_labels": 3,
        "use_unknown_label": True,
        "use_instance_edges": use_instance_edges,
        "base_channels": 4,
    }
    trained, fresh = (SegmentationDiscriminator(**options) for _ in range(2))
    torch.nn.init.normal_(trained.conv_out.bias)
    before = fresh.conv_out.bias.detach().clone()
    trained.fuse_spectral_norm()
    Pretrained({"discriminator": trained}, old).initialize({"discriminator": fresh}, new)
    sky, _, rock, fake = range(4)
    expected = torch.stack([trained.conv_out.bias[rock], before[1], *trained.conv_out.bias[[sky, fake]]])
    assert torch.equal(fresh.conv_out.bias, expected)  # rock, road (new), sky, fake
