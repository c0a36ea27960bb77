from dataclasses import replace

import pytest
import torch

from spade_hf.losses import TERMS, AdversarialObjective, HingeObjective, Objective
from spade_hf.models import MultiscaleDiscriminatorOutput
from spade_hf_cli.train.parser import build_parser


def test_every_term_has_an_option_with_its_weight():
    """The command line has copies of the weights, so that `--help` needs no torch."""
    options = {action.dest: action for action in build_parser()._actions if action.dest.endswith("_weight")}
    del options["label_mix_weight"], options["max_class_weight"]  # of the discriminator's loss
    assert {name.removesuffix("_weight"): action.default for name, action in options.items()} == {
        name: term.weight for name, term in TERMS.items()
    }
    assert all(options[f"{name}_weight"].help == term.help for name, term in TERMS.items())


def judged(value):
    return MultiscaleDiscriminatorOutput([torch.full((2, 1, 3, 3), value)], [[torch.full((2, 4, 3, 3), value)]])


@pytest.fixture
def arguments():
    batch = {"label_map": torch.zeros(2, 8, 8).long(), "real_images": torch.zeros(2, 3, 8, 8)}
    return batch, torch.ones(2, 3, 8, 8), None, judged(0.5), judged(-0.5)


def test_terms_that_a_model_does_not_have_are_left_out(arguments):
    """No posterior, no perceptual network; a discriminator without features has nothing to match."""
    assert list(Objective().generator_terms(*arguments)) == ["adversarial", "feature_matching"]
    batch, images, posterior, fake, real = arguments
    fake, real = (replace(one, features=[]) for one in (fake, real))
    assert list(Objective().generator_terms(batch, images, posterior, fake, real)) == ["adversarial"]


def test_a_loss_without_terms_is_an_error(arguments):
    with pytest.raises(ValueError, match=r"`weights` are all 0: adversarial, .*, kl. Give one a weight above 0"):
        Objective(dict.fromkeys(TERMS, 0))
    objective = Objective({**dict.fromkeys(TERMS, 0), "perceptual": 1, "kl": 1})
    with pytest.raises(ValueError, match="`weights` turn on perceptual, kl, which these networks do not have"):
        objective.generator_terms(*arguments)


def test_the_loss_is_the_weighted_sum(arguments):
    objective = Objective({"adversarial": 3, "feature_matching": 5})
    terms = objective.generator_terms(*arguments)
    assert objective.generator_loss(terms) == 3 * -0.5 + 5 * 1
    real, fake = arguments[4], arguments[3]
    assert objective.discriminator_terms(arguments[0], fake, real) == {
        "discriminator_real": 1.5,
        "discriminator_fake": 1.5,
    }


def test_the_objective_of_the_discriminator_is_exchangeable(arguments):
    class Doubled(HingeObjective):
        def for_generator(self, batch, fake, real):
            return 2 * super().for_generator(batch, fake, real)

    terms = Objective(adversarial=Doubled()).generator_terms(*arguments)
    assert terms["adversarial"] == -1


@pytest.mark.parametrize(
    ("old", "new"), [("generator_loss", "for_generator"), ("discriminator_terms", "for_discriminator")]
)
def test_methods_of_earlier_versions_are_refused(old, new):
    """Nothing would call them: a changed loss would silently have no effect."""
    with pytest.raises(TypeError, match=f"`Mine.{old}` is an earlier version's name. Rename it to `{new}`"):
        type("Mine", (AdversarialObjective,), {old: lambda *_: 0})
    with pytest.raises(TypeError, match=f"Rename it to `{new}`"):
        type("Mine", (HingeObjective,), {old: lambda *_: 0})


def test_the_color_term_compares_colors_of_samples_in_their_own_style(arguments):
    batch, images, *others = arguments
    texture = torch.where(torch.arange(8) % 2 == 0, 1.0, -1.0).expand(2, 3, 8, 8)  # its mean is 0, as the real one's
    objective = Objective({"color": 10})
    assert objective.generator_terms(batch, texture, *others)["color"] == 0
    assert objective.generator_terms(batch, images, *others)["color"] == 1
    batch["has_random_style"] = torch.tensor([True, False])
    assert objective.generator_terms(batch, images, *others)["color"] == 0.5
    first, second = (
        torch.where(torch.tensor(which, dtype=torch.bool)[:, None, None, None], images, 0)
        for which in ([1, 0], [0, 1])
    )
    assert objective.generator_terms(batch, first, *others)["color"] == 0  # differs in its random style
    assert objective.generator_terms(batch, second, *others)["color"] == 0.5
    batch["agreement"] = torch.arange(8).expand(2, 8, 8) < 2  # a quarter of the pixels
    assert objective.generator_terms(batch, images, *others)["color"] == 0.125
    assert "color" not in Objective().generator_terms(batch, images, *others)  # the paper's loss has no such term
