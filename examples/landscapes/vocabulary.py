"""The vocabulary of the data set: labels with their colors, kinds of scene and styles of light. Needs no Mitsuba."""

from dataclasses import dataclass


LABELS = ["sky", "cloud", "mountain", "rock", "snow", "grass", "tree", "sand", "water", "sea", "dirt", "flower"]
SKY, CLOUD, MOUNTAIN, ROCK, SNOW, GRASS, TREE, SAND, WATER, SEA, DIRT, FLOWER = range(len(LABELS))

# RGB of each label, as in the library's label set `landscapes`
PALETTE = [
    (118, 182, 234),
    (235, 240, 245),
    (134, 150, 160),
    (125, 105, 90),
    (255, 255, 255),
    (123, 200, 0),
    (30, 110, 40),
    (235, 205, 120),
    (70, 120, 200),
    (20, 70, 150),
    (150, 100, 50),
    (220, 60, 140),
]

# A layout's number modulo 8 is its kind. The order is part of the data set.
KINDS = ["lake", "meadow", "sea", "river", "snow", "desert", "road", "forest"]

# Layouts outside this range are never used in training: lower numbers are for evaluation, higher ones for judging.
TRAINING_LAYOUTS = range(1000, 9000)


@dataclass(frozen=True)
class StyleRanges:
    """Ranges from which the light of a style is drawn."""

    sun_elevation: tuple[float, float]  # degrees
    turbidity: tuple[float, float]  # of the Hosek-Wilkie sky, 1 to 10
    overcast: tuple[float, float]  # part of the sky's light that comes through a gray veil, 0 to 1
    haze: tuple[float, float]  # extinction of green light per kilometer
    exposure: tuple[float, float]  # factor


# The order is part of the data set: it seeds the draws.
STYLES = {
    "noon": StyleRanges((42, 65), (2.2, 3.5), (0, 0), (0.012, 0.045), (0.95, 1.1)),
    "afternoon": StyleRanges((20, 35), (2.2, 4), (0, 0.1), (0.012, 0.05), (0.95, 1.1)),
    "golden": StyleRanges((7, 13), (2.5, 4.5), (0, 0.1), (0.02, 0.08), (0.9, 1.1)),
    "sunset": StyleRanges((1.6, 4), (3, 6), (0, 0.2), (0.03, 0.1), (0.7, 0.95)),
    "overcast": StyleRanges((30, 50), (3, 5), (0.85, 0.97), (0.04, 0.12), (0.85, 1.05)),
    "misty": StyleRanges((9, 25), (4, 7), (0.35, 0.6), (0.2, 0.6), (1.0, 1.2)),
    "dusk": StyleRanges((0.4, 1.0), (2.5, 4), (0.2, 0.45), (0.08, 0.2), (0.45, 0.65)),
}
