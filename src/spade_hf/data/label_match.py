"""Compares the labels stored with data with those by which a model reads its masks."""

from ..labels.label_set import LabelSet


def check_labels(data: LabelSet, model: LabelSet, *, color_tolerance: float | None = None) -> None:
    """Check that a model reads masks of the data as they are meant: each id and each color as the same label.

    Labels that one of them lacks are allowed: a mask that contains them cannot be read anyway. Names are not compared
    if the model has none of its own ("label 0"). Colors that the model cannot read are allowed, too.

    Args:
        data (`LabelSet`): Stored or given with the masks.
        model (`LabelSet`): The model's.
        color_tolerance (`float`, *optional*): How masks in colors are read; see [`LabelSet.ids_from_colors`].

    Raises:
        ValueError: For the first label that the model would read as another one.
    """
    is_anonymous = model.names == LabelSet.anonymous(model.num_labels, model.use_unknown_label).names
    for label_id, color in zip(data.ids, data.palette, strict=True):
        theirs, ours = _describe(data, label_id), _describe(model, label_id)
        if ours is not None and theirs != ours and not (is_anonymous and "unknown" not in (theirs, ours)):
            _refuse(f"the id {label_id} is {theirs} in the data and {ours} in the model")
        try:
            found = int(model.ids_from_colors(color[None, None], color_tolerance=color_tolerance)[0, 0])
        except ValueError:
            continue
        if found != label_id:
            name = model.id2label[found]
            _refuse(f"the color {tuple(color.tolist())} is {theirs} in the data and {name!r} in the model")


def _describe(label_set: LabelSet, label_id: int) -> str | None:
    """Return a label's name in quotes, "unknown" for pixels without class, or `None`."""
    if label_id not in label_set.ids:
        return None
    return "unknown" if label_id == label_set.unknown_id else repr(label_set.id2label[label_id])


def _refuse(difference: str) -> None:
    raise ValueError(
        f"The data's labels are not the model's: {difference}. Correct the data's label set (`label_set`, or the file "
        "with the data), or use a model that was trained or converted with these labels."
    )
