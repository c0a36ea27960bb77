"""How many images a call makes, and which ones at once.

Legend: N masks, M images, Z latent.
"""

from torch import Tensor


def count_images(num_masks: int, z: Tensor | None, num_images_per_mask: int) -> int:
    """Return M, the number of images from N masks and the styles `(M, Z)`, `(1, Z)` or none.

    Raises:
        ValueError: If there are several masks, and another number of styles.
    """
    if z is None:
        return num_masks * num_images_per_mask
    if num_masks > 1 and len(z) not in (1, num_masks):
        raise ValueError(f"{len(z)} styles were given for {num_masks} masks; give one, or one for each mask.")
    return max(num_masks, len(z))


def split_batches(num_masks: int, images_per_mask: int, batch_size: int) -> list[tuple[slice, slice]]:
    """Split the work into batches: several masks with all of their images, or one mask with some of its images.

    A batch contains each mask once, not once per style.
    """
    if images_per_mask <= batch_size:
        step = batch_size // images_per_mask
        starts = range(0, num_masks, step)
        return [(slice(i, i + step), slice(i * images_per_mask, (i + step) * images_per_mask)) for i in starts]
    batches = []
    for mask in range(num_masks):
        first, end = mask * images_per_mask, (mask + 1) * images_per_mask
        starts = range(first, end, batch_size)
        batches += [(slice(mask, mask + 1), slice(i, min(i + batch_size, end))) for i in starts]
    return batches
