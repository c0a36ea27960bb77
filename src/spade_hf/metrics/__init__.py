from .caches import ImageCache, load_segmenter, obtain_segmenter, save_segmenter, segmenter_settings
from .distribution import frechet_distance, kernel_distance, standardize
from .features import FEATURE_NETWORKS, feature_distance, load_feature_network, pooled_features
from .figures import FIGURES, Comparison, Figure, Figures, Judge, Measurements, Missing, score, score_styles
from .pixels import laplacian_variance, light_agreement, reduce_and_enlarge
from .scoring import ScoredBatch, Scorer
from .segmentation import Segmenter, class_ious, confusion_matrix, pixel_accuracy, train_segmenter
from .styles import channel_statistics, choose_partners, color_statistics, style_agreement


PictureCache = ImageCache  # its former name

__all__ = [
    "FEATURE_NETWORKS",
    "FIGURES",
    "Comparison",
    "Figure",
    "Figures",
    "ImageCache",
    "Judge",
    "Measurements",
    "Missing",
    "PictureCache",
    "ScoredBatch",
    "Scorer",
    "Segmenter",
    "channel_statistics",
    "choose_partners",
    "class_ious",
    "color_statistics",
    "confusion_matrix",
    "feature_distance",
    "frechet_distance",
    "kernel_distance",
    "laplacian_variance",
    "light_agreement",
    "load_feature_network",
    "load_segmenter",
    "obtain_segmenter",
    "pixel_accuracy",
    "pooled_features",
    "reduce_and_enlarge",
    "save_segmenter",
    "score",
    "score_styles",
    "segmenter_settings",
    "standardize",
    "style_agreement",
    "train_segmenter",
]
