"""The two phases of an iteration: values, which network gets gradients, what is random, and what is updated."""

import contextlib
import copy
import functools
import math

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from spade_hf import SegmentationDiscriminator
from spade_hf.losses import (
    Objective,
    SegmentationObjective,
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    masked_l1_loss,
)
from spade_hf.seeding import Stream
from spade_hf.training import (
    DiscriminatorAugmentation,
    Game,
    ModelEMA,
    Side,
    choose_random_styles,
    discriminator_step,
    generate,
    generator_step,
)
from spade_hf.training.augmentation import crop

from ..training_data import make_dataset, make_networks


def make_batch(*indices: int) -> dict[str, torch.Tensor]:
    samples = [make_dataset()[index] for index in indices]
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def phase(step, networks, batch, **options):
    """`generator_step` or `discriminator_step` of the networks."""
    more = {name: options.pop(name) for name in ("augmentation", "fake_images", "loss_crop_size") if name in options}
    objective = options.pop("objective", None) or Objective(options.pop("weights", None), **options)
    generator, encoder, discriminator = (networks[name] for name in ("generator", "style_encoder", "discriminator"))
    return step(generator, encoder, discriminator, batch, objective=objective, latent_dim=4, **more)


def fakes_of(networks, batch, number=Stream.GENERATOR_PHASE, **options):
    options = {"style_encoder": networks["style_encoder"], "latent_dim": 4, **options}
    return generate(networks["generator"], batch=batch, phase=number, **options)


@contextlib.contextmanager
def recorded(generator):
    """A list to which the generator appends what it makes."""
    images = []
    hook = generator.register_forward_hook(lambda module, inputs, output: images.append(output[0].detach()))
    yield images
    hook.remove()


def l1(fake, real, mask=None, has_other_style=None):
    assert mask is None
    return (fake - real).abs().mean()


@pytest.fixture
def networks():
    return {name: network.train() for name, network in make_networks().items()}


def grad_names(network):
    return {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_generator_phase_trains_generator_and_style_encoder_alone(networks):
    batch = make_batch(0, 1)
    networks["discriminator"].requires_grad_(False)
    output = phase(generator_step, networks, batch, perceptual_loss=l1)
    output.loss.backward()
    for name in ("generator", "style_encoder"):
        parameters = dict(networks[name].named_parameters())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters.values())
        assert len(grad_names(networks[name])) > 0.9 * len(parameters)
    assert all(p.grad is None for p in networks["discriminator"].parameters())
    assert not any(value.requires_grad for value in (*output.terms.values(), output.real_logits, output.fake_logits))


def test_generator_loss_is_the_sum_of_weighted_terms(networks):
    batch = make_batch(0, 1)
    weights = {"adversarial": 1, "feature_matching": 10, "perceptual": 3, "kl": 0.05}
    networks["discriminator"].eval()
    with recorded(networks["generator"]) as made:
        output = phase(generator_step, networks, batch, perceptual_loss=l1, weights=weights)
    (fake_images,) = made
    assert list(output.terms) == ["adversarial", "feature_matching", "perceptual", "kl"]
    expected = sum(weights[name] * term for name, term in output.terms.items())
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(output.terms["perceptual"], l1(fake_images, batch["real_images"]))

    fake, real = (
        networks["discriminator"](batch["label_map"], images) for images in (fake_images, batch["real_images"])
    )
    torch.testing.assert_close(output.terms["adversarial"], hinge_generator_loss(fake.logits))
    torch.testing.assert_close(output.terms["feature_matching"], feature_matching_loss(fake.features, real.features))
    torch.testing.assert_close(output.real_logits, torch.stack([one.mean() for one in real.logits]).mean())
    torch.testing.assert_close(output.fake_logits, torch.stack([one.mean() for one in fake.logits]).mean())


def test_a_simplified_map_excludes_what_differs_from_the_real_image(networks):
    """The discriminator sees the simplified map beside both images; their comparison leaves out the differences."""
    batch = make_batch(0, 1)
    batch["agreement"] = torch.zeros_like(batch["label_map"], dtype=torch.bool)
    networks["discriminator"].eval()
    perceptual_loss = lambda fake, real, mask, _: masked_l1_loss(fake, real, mask)  # noqa: E731
    output = phase(generator_step, networks, batch, perceptual_loss=perceptual_loss)
    assert output.terms["feature_matching"] == 0 and output.terms["perceptual"] == 0
    assert output.terms["adversarial"] != 0


def test_generator_phase_judges_real_images_with_the_same_weights_and_no_graph(networks):
    batch = make_batch(0, 1)
    discriminator = networks["discriminator"]
    once = copy.deepcopy(discriminator)
    calls = []
    discriminator.register_forward_hook(lambda module, inputs, output: calls.append(output[1][0][-1]))
    phase(generator_step, networks, batch)
    of_fakes, of_reals = calls
    assert of_fakes.requires_grad and not of_reals.requires_grad
    assert torch.equal(of_reals, once(batch["label_map"], batch["real_images"]).features[0][-1])
    torch.testing.assert_close(discriminator.state_dict(), once.state_dict(), rtol=0, atol=0)


def test_discriminator_phase_trains_the_discriminator_alone(networks):
    batch = make_batch(0, 1)
    output = phase(discriminator_step, networks, batch)
    output.loss.backward()
    assert all(p.grad is None for name in ("generator", "style_encoder") for p in networks[name].parameters())
    assert all(p.grad.isfinite().all() for p in networks["discriminator"].parameters())
    # While all logits lie inside the hinge's margin, real and fake pull at their bias with -1 and +1: nothing, or
    # rounding, is left.
    without = {name for name, _ in networks["discriminator"].named_parameters()} - grad_names(
        networks["discriminator"]
    )
    assert without <= {"scales.0.conv_out.bias", "scales.1.conv_out.bias"}
    torch.testing.assert_close(output.loss, sum(output.terms.values()))


def test_discriminator_terms_are_the_hinge(networks):
    batch = make_batch(0, 1)
    networks["discriminator"].eval()
    with recorded(networks["generator"]) as made:
        output = phase(discriminator_step, networks, batch)
    judged = [networks["discriminator"](batch["label_map"], images).logits for images in (batch["real_images"], *made)]
    for term, expected in zip(output.terms.values(), hinge_discriminator_loss(*judged), strict=True):
        torch.testing.assert_close(term, expected)


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"perceptual": 0}, ["adversarial", "feature_matching", "kl"]),
        ({"feature_matching": 0, "kl": 0}, ["adversarial", "perceptual"]),
    ],
)
def test_a_weight_of_zero_turns_a_term_off(networks, weights, terms):
    batch = make_batch(0, 1)
    output = phase(generator_step, networks, batch, perceptual_loss=l1, weights=weights)
    assert list(output.terms) == terms


def test_bad_weights():
    with pytest.raises(ValueError, match=r"`weights` has 'kl': -0.1; a weight must be 0 \(off\) or more"):
        Objective({"kl": -0.1})
    with pytest.raises(
        ValueError, match="`weights` has the unknown term 'lpips'; allowed are adversarial, feature_matching, "
    ):
        Objective({"lpips": 1})


def test_phases_differ_and_repeat(networks):
    batch = make_batch(0, 1)
    networks["generator"].eval()
    fakes = functools.partial(fakes_of, networks, batch, style_encoder=None)  # latents from the prior
    first = fakes(Stream.GENERATOR_PHASE)[0]
    torch.manual_seed(3)  # the global state plays no part
    assert torch.equal(first, fakes(Stream.GENERATOR_PHASE)[0])
    assert not torch.equal(first, fakes(Stream.DISCRIMINATOR_PHASE)[0])


@pytest.mark.parametrize("with_encoder", [True, False])
def test_a_sample_has_its_latent_in_every_batch(networks, with_encoder):
    """So that two processes with half a batch each see what one process sees."""
    for network in networks.values():
        network.eval()
    options = {} if with_encoder else {"style_encoder": None}
    together = fakes_of(networks, make_batch(0, 1, 2), **options)[0]
    alone = fakes_of(networks, make_batch(1), **options)[0]
    torch.testing.assert_close(together[1:2], alone)


def test_random_styles_are_of_the_prior_and_not_matched_by_the_discriminators_features(networks):
    batch = make_batch(0, 1)
    batch["has_random_style"] = torch.tensor([True, False])
    for network in networks.values():
        network.eval()
    own, random = (
        fakes_of(networks, batch | {"has_random_style": torch.tensor(chosen)})[0]
        for chosen in ([False, False], [True, True])
    )
    mixed, posterior = fakes_of(networks, batch)
    torch.testing.assert_close(mixed, torch.stack([random[0], own[1]]))
    assert not torch.equal(own[0], random[0]) and len(posterior.mean) == 2

    seen = []
    options = {"perceptual_loss": lambda fake, real, *rest: seen.append(rest) or l1(fake, real)}
    both = phase(generator_step, networks, batch, **options).terms["feature_matching"]
    assert seen[0][0] is None and torch.equal(seen[0][1], batch["has_random_style"])
    batch["has_random_style"] = torch.tensor([True, True])
    neither = phase(generator_step, networks, batch, **options).terms["feature_matching"]
    assert both > 0 and neither == 0


def test_the_share_of_random_styles():
    batch = {"seed": torch.arange(400)}
    chosen = choose_random_styles(batch, 0.25)
    assert 70 < chosen.sum() < 130
    assert torch.equal(choose_random_styles({"seed": torch.arange(400)[7:9]}, 0.25), chosen[7:9])  # in any batch
    assert not choose_random_styles(batch, 0).any() and choose_random_styles(batch, 1).all()


def test_a_model_without_latent(networks):
    batch = make_batch(0, 1)
    generator = type(networks["generator"]).from_config({**networks["generator"].config, "latent_dim": None})
    images, posterior = generate(generator, None, batch, Stream.GENERATOR_PHASE, latent_dim=None)
    assert images.shape == (2, 3, 32, 32) and posterior is None


def test_divergence_names_the_term(networks):
    batch = make_batch(0, 1)
    with pytest.raises(FloatingPointError, match=r"Training diverged: perceptual is nan\. Lower the learning rates"):
        phase(generator_step, networks, batch, perceptual_loss=lambda fake, *_: fake.sum() * math.nan)
    with torch.no_grad():
        networks["discriminator"].scales[0].conv_out.bias.fill_(math.inf)
    with pytest.raises(FloatingPointError, match=r"discriminator_fake is inf"):
        phase(discriminator_step, networks, batch)


def test_the_discriminator_may_be_shown_the_images_of_the_generators_phase(networks):
    batch = make_batch(0, 1)
    made = phase(generator_step, networks, batch).fake_images
    assert made.shape == (2, 3, 32, 32) and not made.requires_grad
    with recorded(networks["generator"]) as fresh:
        reused = phase(discriminator_step, networks, batch, fake_images=made)
    assert fresh == [] and torch.equal(reused.fake_images, made)


def test_a_discriminator_that_segments_is_shown_mixed_images_too(networks):
    batch = make_batch(0, 1)
    networks["discriminator"] = SegmentationDiscriminator(num_labels=3, use_unknown_label=True, base_channels=4)
    shown = []
    networks["discriminator"].register_forward_pre_hook(lambda module, inputs: shown.append(inputs))
    adversarial = SegmentationObjective(3, 3)
    output = phase(discriminator_step, networks, batch, adversarial=adversarial)
    ((label_map, images),) = shown
    fake, real, mixed = images.chunk(3)
    assert torch.equal(label_map, torch.cat([batch["label_map"]] * 3)) and torch.equal(real, batch["real_images"])
    assert torch.equal(mixed, torch.where(adversarial.mixture(batch)[:, None], real, fake))
    assert list(output.terms) == ["discriminator_real", "discriminator_fake", "label_mix"]
    output = phase(generator_step, networks, batch, adversarial=adversarial)
    assert list(output.terms) == ["adversarial", "kl"]  # no features to match
    output.loss.backward()
    assert len(grad_names(networks["generator"])) > 10


def test_augmented_images_are_judged_and_plain_ones_compared(networks):
    batch = make_batch(0, 1)
    shown, compared = [], []
    networks["discriminator"].register_forward_pre_hook(lambda module, inputs: shown.append(inputs))
    augmentation = DiscriminatorAugmentation(["translation", "cutout"])
    options = {"perceptual_loss": lambda fake, real, *_: compared.append(real) or l1(fake, real)}
    phase(generator_step, networks, batch, augmentation=augmentation, **options)
    judged, (expected,) = augmentation(batch, Stream.GENERATOR_PHASE, batch["real_images"])
    (fake_map, _), (real_map, real) = shown
    assert torch.equal(real, expected) and torch.equal(compared[0], batch["real_images"])
    assert torch.equal(fake_map, judged["label_map"]) and torch.equal(real_map, judged["label_map"])


def test_each_phase_has_its_own_latents_and_augmentation(networks):
    """In evaluation mode nothing else differs between the phases' fakes."""
    for network in networks.values():
        network.eval()
    batch, shown = make_batch(0, 1), []
    networks["discriminator"].register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    augmentation = DiscriminatorAugmentation(["translation"])
    with recorded(networks["generator"]) as made:
        phase(generator_step, networks, batch, augmentation=augmentation, weights={"perceptual": 0})
        phase(discriminator_step, networks, batch, augmentation=augmentation)
    assert len(made) == 2 and not torch.equal(*made)
    (_, first, second), count = shown, len(batch["label_map"])
    assert not torch.equal(first, second[:count])
    judged, _ = augmentation(batch, Stream.DISCRIMINATOR_PHASE, batch["real_images"])
    assert torch.equal(second[:count], judged["label_map"]) and torch.equal(second[count:], judged["label_map"])


def test_losses_see_a_crop_of_each_image(networks):
    """Discriminator and losses; the whole image comes back, for samples and the other phase."""
    batch, shown = make_batch(0, 1), []
    networks["discriminator"].register_forward_pre_hook(lambda module, inputs: shown.append(inputs))

    def compare(fake, real, mask=None, has_other_style=None):
        shown.append((fake, real))
        return (fake - real).abs().mean()

    with recorded(networks["generator"]) as made:
        output = phase(generator_step, networks, batch, loss_crop_size=16, perceptual_loss=compare)
        phase(discriminator_step, networks, batch, loss_crop_size=16, fake_images=output.fake_images)
    (whole,) = made
    assert torch.equal(output.fake_images, whole)
    judged, fakes = crop(batch, Stream.GENERATOR_PHASE, 16, whole)
    fake, real, compared, both = shown
    assert torch.equal(fake[0], judged["label_map"]) and torch.equal(fake[1], fakes)
    assert torch.equal(real[1], judged["real_images"])
    assert torch.equal(compared[0], fakes) and torch.equal(compared[1], judged["real_images"])
    judged, fakes = crop(batch, Stream.DISCRIMINATOR_PHASE, 16, whole)
    assert torch.equal(both[1], torch.cat([fakes, judged["real_images"]]))


def state_of(network):
    return copy.deepcopy(network.state_dict())


def changed(network, before):
    """Whether any parameter has changed."""
    return any(not torch.equal(value, before[name]) for name, value in network.named_parameters())


@pytest.mark.parametrize("reuse_fakes", [False, True])
def test_a_game_updates_both_sides_and_the_averages(networks, reuse_fakes):
    """Once per two batches here; the discriminator judges frozen, and trains again afterward."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)

    def side(*names):
        models = {name: networks[name] for name in names}
        optimizer = torch.optim.SGD([one for model in models.values() for one in model.parameters()], 0.01)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        prepared = {name: accelerator.prepare(model) for name, model in models.items()}
        return Side(accelerator, models, prepared, accelerator.prepare(optimizer), accelerator.prepare(schedule), 1.0)

    averages = {name: ModelEMA(networks[name], 0.5) for name in ("generator", "style_encoder")}
    game = Game(
        accelerator,
        side("generator", "style_encoder"),
        side("discriminator"),
        averages,
        Objective({"perceptual": 0}),
        reuse_fakes=reuse_fakes,
    )
    was_trained = []
    networks["discriminator"].register_forward_pre_hook(
        lambda module, inputs: was_trained.append(next(module.parameters()).requires_grad)
    )
    trained = [*networks.values(), *(average.model for average in averages.values())]
    before = [state_of(network) for network in trained]
    with recorded(networks["generator"]) as made:
        game(make_batch(0, 1))
        assert not any(map(changed, trained, before))  # one of two batches
        assert [average.num_updates for average in averages.values()] == [0, 0]
        outputs = game(make_batch(2, 3))
    assert all(map(changed, trained, before))
    assert [average.num_updates for average in averages.values()] == [1, 1]
    assert was_trained == [False, False, True] * 2  # fake and real images, then both together
    assert len(made) == (2 if reuse_fakes else 4)
    assert torch.equal(*(output.fake_images for output in outputs)) == reuse_fakes
    assert list(outputs[0].terms) == ["adversarial", "feature_matching", "kl"]


def test_the_names_of_earlier_versions():
    from spade_hf.training import PhaseOutput, StepOutput, TrainingIteration

    assert TrainingIteration is Game and StepOutput is PhaseOutput
