import pytest
from huggingface_hub import ModelCard, ModelCardData, create_repo

from spade_hf.metrics.card import load_card, update_card


SETTINGS = {"num_images": 8, "feature_network": "efficientnet-lite2"}


def write_card(folder):
    metadata = ModelCardData(license="apache-2.0", tags=["spade"]).to_yaml()
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{metadata}\n---\n\n# Streets\n\nText.\n", encoding="utf-8")
    return folder


def update(folder, figures, **changes):
    options = {"dataset_name": "me/streets", "split": "validation", "settings": SETTINGS, **changes}
    update_card(load_card(str(folder)), figures, model=str(folder), **options)
    return {(r.dataset_name, r.metric_type): r for r in ModelCard.load(folder / "README.md").data.eval_results}


def test_figures_are_metadata_and_the_rest_of_the_card_stays(tmp_path):
    folder = write_card(tmp_path / "street_model")
    results = update(folder, {"kid": 0.25, "fid": None, "style_features": 0.5})
    assert results.keys() == {("me/streets", "kid"), ("me/streets", "style_features")}
    kid = results["me/streets", "kid"]
    assert results["me/streets", "style_features"].metric_name == "style features"
    assert (kid.metric_value, kid.metric_name, kid.dataset_split) == (0.25, "KID", "validation")
    assert kid.metric_args == SETTINGS and kid.task_type == "image-to-image"
    card = ModelCard.load(folder / "README.md")
    assert card.data.model_name == "street_model" and card.data.license == "apache-2.0"
    assert card.text.endswith("# Streets\n\nText.\n") and [path.name for path in folder.iterdir()] == ["README.md"]


def test_figures_of_the_same_data_are_replaced_and_others_kept(tmp_path):
    folder = write_card(tmp_path)
    update(folder, {"kid": 0.25, "miou": 0.5})
    update(folder, {"kid": 0.75}, dataset_name="me/lanes")
    results = update(folder, {"kid": 0.125})
    assert {key: result.metric_value for key, result in results.items()} == {
        ("me/streets", "kid"): 0.125,
        ("me/lanes", "kid"): 0.75,
    }


def test_the_card_names_no_path(tmp_path):
    folder = write_card(tmp_path / "model")
    (tmp_path / "private" / "streets").mkdir(parents=True)
    update(folder, {"kid": 0.25}, dataset_name=str(tmp_path / "private" / "streets"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "private" not in text and "name: streets" in text


def test_a_card_on_the_hub(hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    name = f"{hub.user}/streets"
    card = load_card(str(write_card(tmp_path)))
    create_repo(name)
    card.push_to_hub(name)
    update_card(load_card(name), {"kid": 0.5}, model=name, dataset_name="me/streets", split="test", settings={})
    (result,) = load_card(name).data.eval_results
    assert (result.metric_value, result.dataset_split) == (0.5, "test")


def test_a_model_without_card(tmp_path):
    with pytest.raises(ValueError, match=r"The model card of `model` '.*' cannot be read"):
        load_card(str(tmp_path))
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(ValueError, match=r"The model card of `model` '.*' cannot be read"):
        load_card(str(tmp_path))
