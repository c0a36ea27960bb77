"""The networks and losses give the public implementation's numbers; tests/fixtures/parity/README.md says whence.

Outputs agree within 1e-5, logits, losses and gradients within 1e-4 relative.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spade_hf import (
    DiagonalGaussianDistribution,
    LabelSet,
    MultiscaleDiscriminator,
    SPADEGenerator,
    SPADEImageProcessor,
    SPADEStyleEncoder,
)
from spade_hf.conversion.nvlabs import NUM_UPSAMPLING_LAYERS
from spade_hf.conversion.nvlabs_keys import (
    convert_discriminator_weights,
    convert_generator_weights,
    convert_style_encoder_weights,
)
from spade_hf.losses import feature_matching_loss, hinge_discriminator_loss, hinge_generator_loss, kl_loss

from . import public_reference
from .parity_cases import PINNED_CASES, SETTINGS, Case, edges_of, label_map_of, random_case


FIXTURES = Path(__file__).parent / "fixtures" / "parity"
OUTPUT_TOLERANCE = {"atol": 1e-5, "rtol": 0}
# Of a full case in training, our float32 images are up to 1.5e-5 from our float64 ones, depending on the number of
# threads: batch statistics of few positions amplify rounding. The float64 ones are within 2.3e-6 of the reference.
TRAINING_TOLERANCE = {"atol": 3e-5, "rtol": 0}
RELATIVE = 1e-4
FEATURE_MATCHING_WEIGHT = 10
BACKENDS = ("dense", "sparse")
FULL_CASES = ("ade-like", "coco-vae-like")


def load_fixture(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights and numbers."""
    tensors = {key: torch.from_numpy(value) for key, value in np.load(FIXTURES / f"{name}.npz").items()}
    weights = {key.removeprefix("weight:"): value for key, value in tensors.items() if key.startswith("weight:")}
    return weights, {key: value for key, value in tensors.items() if not key.startswith("weight:")}


def to_images(pixels: Tensor | np.ndarray) -> Tensor:
    """uint8 `(N, H, W, 3)` to float `(N, 3, H, W)` in [-1, 1]."""
    return torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Of the whole tensor; the floor is for gradients that are zero, as of a bias before a batch norm."""
    return ((ours - theirs).norm() / theirs.norm().clamp(min=1e-4)).item()


def our_generator(case: Case, backend: str) -> SPADEGenerator:
    weights = case.weights
    has_latent = weights["fc.weight"].ndim == 2
    mask_weight = weights["head_0.norm_0.mlp_shared.0.weight"]
    generator = SPADEGenerator(
        **case.labels,
        image_size=case.image_size,
        base_channels=weights["head_0.norm_0.mlp_gamma.bias"].shape[0] // 16,
        latent_dim=weights["fc.weight"].shape[1] if has_latent else None,
        spade_hidden_channels=mask_weight.shape[0],
        spade_kernel_size=mask_weight.shape[-1],
        norm_type=case.options["norm"],
        use_spectral_norm="head_0.conv_0.weight_orig" in weights,
        num_upsampling_layers=NUM_UPSAMPLING_LAYERS[case.options["variant"]],
    )
    generator.load_state_dict(convert_generator_weights(weights))
    generator.set_modulation_backend(backend)
    return generator.eval()


def our_discriminator(weights: Mapping[str, Tensor], **labels: bool | int) -> MultiscaleDiscriminator:
    discriminator = MultiscaleDiscriminator(**labels, base_channels=4)
    discriminator.load_state_dict(convert_discriminator_weights(weights))
    return discriminator.eval()


def our_terms(
    discriminator: MultiscaleDiscriminator, mask: Tensor, edges: Tensor | None, fake: Tensor, real: Tensor
) -> dict[str, Tensor]:
    """The loss terms of both phases from one call on fake and real images together."""
    edges = None if edges is None else torch.cat([edges, edges])
    output = discriminator(torch.cat([mask, mask]), torch.cat([fake, real]), instance_edges=edges)
    halves = [(logits[: len(fake)], logits[len(fake) :]) for logits in output.logits]
    fake_logits, real_logits = zip(*halves, strict=True)
    fake_features = [[layer[: len(fake)] for layer in scale] for scale in output.features]
    real_features = [[layer[len(fake) :] for layer in scale] for scale in output.features]
    d_real, d_fake = hinge_discriminator_loss(real_logits, fake_logits)
    return {
        "g_gan": hinge_generator_loss(fake_logits),
        "g_feature_matching": FEATURE_MATCHING_WEIGHT * feature_matching_loss(fake_features, real_features),
        "d_real": d_real,
        "d_fake": d_fake,
    }


def assert_terms(terms: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for name, term in terms.items():
        assert term.item() == pytest.approx(float(expected[name]), rel=RELATIVE), name


# Numbers of the public implementation


@pytest.fixture(scope="module")
def discriminator_case() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return load_fixture("discriminator")


def channels(label_map: torch.Tensor) -> torch.Tensor:
    """Of 10 labels and the unknown id 255, which is the last channel."""
    return label_map.long().masked_fill(label_map == 255, 10)


def test_discriminator(discriminator_case):
    weights, numbers = discriminator_case
    discriminator = our_discriminator(weights, num_labels=10, use_unknown_label=True)
    with torch.no_grad():
        logits = discriminator(channels(numbers["label"]), numbers["image_eval"]).logits
    for scale in (0, 1):
        assert relative_error(logits[scale], numbers[f"d{scale}_logits"]) < RELATIVE


def test_adversarial_and_feature_matching_losses(discriminator_case):
    weights, numbers = discriminator_case
    discriminator = our_discriminator(weights, num_labels=10, use_unknown_label=True).train()
    with torch.no_grad():
        label_map, fake, real = channels(numbers["label"]), numbers["train_image"], to_images(numbers["image"])
        assert_terms(our_terms(discriminator, label_map, None, fake, real), numbers)


def test_style_encoder():
    weights, numbers = load_fixture("encoder")
    encoder = SPADEStyleEncoder(base_channels=4, latent_dim=16)
    encoder.load_state_dict(convert_style_encoder_weights(weights))
    with torch.no_grad():
        posterior = encoder.eval()(to_images(numbers["image"])).latent_dist
    torch.testing.assert_close(posterior.mean, numbers["mu"][:1, :16], **OUTPUT_TOLERANCE)
    torch.testing.assert_close(posterior.logvar, numbers["logvar"][:1, :16], **OUTPUT_TOLERANCE)


def test_kl_loss():
    _, numbers = load_fixture("encoder")
    posterior = DiagonalGaussianDistribution(numbers["mu"], numbers["logvar"])
    assert kl_loss(posterior).item() == pytest.approx(numbers["kld_unweighted"].item(), rel=RELATIVE)


# The reference, and the generator against it


def test_reference_matches_the_public_numbers(discriminator_case):
    weights, numbers = discriminator_case
    segmap = public_reference.one_hot(numbers["label"].numpy(), None, num_labels=10, use_unknown_label=True)
    logits, _ = public_reference.discriminate(weights, segmap, numbers["image_eval"])
    for scale in (0, 1):
        assert relative_error(logits[scale], numbers[f"d{scale}_logits"]) < RELATIVE
    weights, numbers = load_fixture("encoder")
    mean, logvar = public_reference.encode(weights, to_images(numbers["image"]))
    torch.testing.assert_close(mean, numbers["mu"][:1, :16], **OUTPUT_TOLERANCE)
    torch.testing.assert_close(logvar, numbers["logvar"][:1, :16], **OUTPUT_TOLERANCE)


@pytest.mark.parametrize("name", PINNED_CASES)
def test_reference_has_not_changed(name):
    case = random_case(name)
    images = public_reference.generate(case.weights, case.segmap, case.z, **case.options)
    torch.testing.assert_close(images, load_fixture("generator")[1][name], **OUTPUT_TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_generator(name, backend):
    """In float64: in float32, the order of additions alone moves the deep ones by up to 2e-5."""
    case = random_case(name)
    weights = {key: w.double() if w.is_floating_point() else w for key, w in case.weights.items()}
    segmap, z = case.segmap.double(), None if case.z is None else case.z.double()
    generator = our_generator(case, backend).double()
    label_map, edges = label_map_of(case), edges_of(case)
    for training in (False, True):  # evaluation first: training changes the statistics
        expected = public_reference.generate(weights, segmap, z, **case.options, training=training)
        assert expected.std() > 0.2  # not a comparison of gray images
        with torch.no_grad():
            images = generator.train(training)(label_map, z, instance_edges=edges).images
        torch.testing.assert_close(images, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ade", "coco-with-latent", "kernel-1-plain"])
def test_gradients_of_every_parameter(name, backend):
    """In float64: feature matching has kinks, where float32 rounding decides about the sign of a gradient."""
    case = random_case(name)
    z = None if case.z is None else case.z.double()
    loss_weights = torch.randn(2, 3, *case.image_size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    leaves = {key: w.double() if w.is_floating_point() else w for key, w in case.weights.items()}
    learned = [key for key in leaves if key.endswith((".weight", ".bias", ".weight_orig"))]
    for key in learned:
        leaves[key].requires_grad_()
    images = public_reference.generate(leaves, case.segmap.double(), z, **case.options, training=True)
    (images * loss_weights).sum().backward()
    expected = convert_generator_weights({key: leaves[key].grad for key in learned})

    generator = our_generator(case, backend).double().train()
    images = generator(label_map_of(case), z, instance_edges=edges_of(case)).images
    (images * loss_weights).sum().backward()
    gradients = {key: parameter.grad for key, parameter in generator.named_parameters()}
    assert gradients.keys() == expected.keys()
    # u and v of spectral norm are stored in float32, so a power iteration moves them in the eighth digit
    worst = max(gradients, key=lambda key: relative_error(gradients[key], expected[key]))
    assert relative_error(gradients[worst], expected[worst]) < 1e-6, worst


# The full cases, where the shared data are


class FullCase:
    def __init__(self, folder: Path) -> None:
        self.folder, self.options = folder, json.loads((folder / "options.json").read_text())
        self.expected = {key: torch.from_numpy(value) for key, value in np.load(folder / "expected.npz").items()}
        inputs = np.load(folder / "inputs.npz")
        size = (self.options["crop_size"],) * 2
        use_edges = not self.options["no_instance"]
        self.case = Case(
            weights=self.load("G"),
            label_map=inputs["label"],
            instance_map=inputs["instance"] if use_edges else None,
            segmap=public_reference.one_hot(
                inputs["label"],
                inputs["instance"] if use_edges else None,
                num_labels=self.options["label_nc"],
                use_unknown_label=True,
            ),
            z=torch.from_numpy(inputs["z"]) if "z" in inputs else None,
            options={"variant": "normal", "start_size": (size[0] // 32,) * 2, "norm": "batch"},
            labels={
                "num_labels": self.options["label_nc"],
                "use_unknown_label": True,
                "use_instance_edges": use_edges,
            },
            image_size=size,
        )
        self.images = to_images(inputs["image"])
        # label ids and instance maps through the processor, as a user's
        labels = LabelSet.anonymous(self.options["label_nc"], use_unknown_label=True)
        self.label_map, self.edges = SPADEImageProcessor(label_set=labels, use_instance_edges=use_edges).preprocess(
            inputs["label"], self.case.instance_map
        )

    def load(self, network: str) -> dict[str, Tensor]:
        return torch.load(self.folder / f"latest_net_{network}.pth", weights_only=True)


@pytest.fixture(scope="module", params=FULL_CASES)
def full_case(request, shared_folder) -> FullCase:
    return FullCase(shared_folder / "parity" / request.param)


def test_full_reference(full_case):
    case = full_case.case
    images = public_reference.generate(case.weights, case.segmap, case.z, **case.options)
    torch.testing.assert_close(images, full_case.expected["image_eval"], **OUTPUT_TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
@torch.no_grad()
def test_full_images_and_logits(full_case, backend):
    generator = our_generator(full_case.case, backend)
    images = generator(full_case.label_map, full_case.case.z, instance_edges=full_case.edges).images
    torch.testing.assert_close(images, full_case.expected["image_eval"], **OUTPUT_TOLERANCE)
    images = generator.train()(full_case.label_map, full_case.case.z, instance_edges=full_case.edges).images
    torch.testing.assert_close(images, full_case.expected["train_image"], **TRAINING_TOLERANCE)

    discriminator = our_discriminator(full_case.load("D"), **full_case.case.labels)
    logits = discriminator(
        full_case.label_map, full_case.expected["image_eval"], instance_edges=full_case.edges
    ).logits
    for scale in (0, 1):
        assert relative_error(logits[scale], full_case.expected[f"d{scale}_logits"]) < RELATIVE


@torch.no_grad()
def test_full_style_encoder(full_case):
    if not full_case.options["use_vae"]:
        pytest.skip("a case without encoder")
    encoder = SPADEStyleEncoder(base_channels=4)
    encoder.load_state_dict(convert_style_encoder_weights(full_case.load("E")))
    posterior = encoder.eval()(full_case.images).latent_dist
    torch.testing.assert_close(posterior.mean, full_case.expected["mu"], **OUTPUT_TOLERANCE)
    torch.testing.assert_close(posterior.logvar, full_case.expected["logvar"], **OUTPUT_TOLERANCE)
    assert kl_loss(posterior).item() == pytest.approx(full_case.expected["kld_unweighted"].item(), rel=RELATIVE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_full_losses_and_gradients(full_case, backend):
    """In float64: feature matching has kinks, where float32 rounding decides about the sign of a gradient."""
    case, options = full_case.case, full_case.options
    if options["use_vae"] and backend == "dense":
        pytest.skip("too slow in float64; `test_gradients_of_every_parameter` covers it")
    generator = our_generator(case, backend).double().train()
    discriminator = our_discriminator(full_case.load("D"), **case.labels).double().train()
    z = None if case.z is None else case.z.double()
    fakes = generator(full_case.label_map, z, instance_edges=full_case.edges).images
    terms = our_terms(discriminator, full_case.label_map, full_case.edges, fakes, full_case.images.double())
    (terms["g_gan"] + terms["g_feature_matching"]).backward()
    assert_terms(terms, full_case.expected)

    names = {key: key.removeprefix("grad:") for key in full_case.expected if key.startswith("grad:")}
    blocks = generator.blocks
    start = generator.conv_in if z is None else generator.linear_in
    ours = {
        "fc.weight": start.weight.grad,
        "conv_img.weight": generator.conv_out.weight.grad,
        "head_0.norm_0.mlp_gamma.weight": blocks[0].norm1.conv_gamma_beta.weight.grad.chunk(2)[0],
        "up_3.norm_1.mlp_shared.0.weight": blocks[6].norm2.conv_mask.weight.grad,
    }
    assert set(names.values()) == ours.keys()
    for key, name in names.items():
        assert relative_error(ours[name], full_case.expected[key]) < RELATIVE, name
