from .adversarial import hinge_discriminator_loss, hinge_generator_loss
from .feature_matching import feature_matching_loss
from .kl import kl_loss
from .masked import masked_l1_loss


__all__ = ["feature_matching_loss", "hinge_discriminator_loss", "hinge_generator_loss", "kl_loss", "masked_l1_loss"]
