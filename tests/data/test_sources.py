"""Tables of rows: splits of saved data sets, columns that do not say that they are images, files that rows name."""

import datasets
import numpy as np
import pytest

from spade_hf.data import PairReader, load_folders, load_rows

from ..dataset_layouts import save, write_webdataset
from ..training_data import make_dataset, make_reader, make_rows, mask, png, real_image, write_imagefolder


COLUMNS = ("image", "label")


def write_table(file, kind: str, count: int = 3):
    """A parquet file without the metadata of `datasets`, as pandas writes it."""
    columns = {name: [png(make(i)) for i in range(count)] for name, make in (("image", real_image), ("label", mask))}
    if kind == "bytes and path":
        columns = {name: [{"bytes": one, "path": "1.png"} for one in values] for name, values in columns.items()}
    elif kind == "names":
        for name, values in columns.items():
            (file.parent / name).mkdir(parents=True, exist_ok=True)
            for number, one in enumerate(values):
                (file.parent / name / f"{number}.png").write_bytes(one)
        columns = {name: [f"{name}/{number}.png" for number in range(count)] for name in columns}
    datasets.Dataset.from_dict(columns).to_pandas().to_parquet(file)
    return str(file)


def read(rows, number: int = 1) -> np.ndarray:
    reader: PairReader = make_reader()
    rows = reader.prepare(rows)
    return reader.read(list(rows)[number], "Row")[1].numpy()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "bytes and path", "names"])
def test_columns_that_do_not_say_that_they_are_images(kind, streaming, tmp_path, monkeypatch):
    file = write_table(tmp_path / "rows.parquet", kind)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # where another image has the name that the rows give theirs
    real_image(7).save("1.png")
    rows = load_rows(file, image_columns=COLUMNS, streaming=streaming, cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(read(rows), read(make_rows()))
    rows = load_rows(file, streaming=streaming, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"`image_column` is 'image', which holds .* `rows.cast_column\('image'"):
        make_reader().prepare(rows)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("parquet", "{home}/private.png"),
        ("saved", "{home}/private.png"),
        ("pandas", "{home}/private.png"),
        ("pandas", "../private.png"),
        ("pandas", "file://{home}/private.png"),
        ("pandas", "zip://x.png::{home}/private.png"),
        ("pandas", "http://127.0.0.1/x.png"),
    ],
)
def test_rows_name_no_files_of_others(form, name, streaming, tmp_path, monkeypatch):
    """A foreign table must not make a run train on, and publish, images of this machine."""
    real_image(0).save(tmp_path / "private.png")
    (tmp_path / "downloaded").mkdir()
    file = tmp_path / "downloaded" / "train.parquet"
    named = [{"bytes": None, "path": name.format(home=tmp_path)}]
    if form == "pandas":
        datasets.Dataset.from_dict({"image": named, "label": [png(mask(0))]}).to_pandas().to_parquet(file)
    elif form == "parquet":
        make_rows(count=1, image=named).to_parquet(file)
    else:
        monkeypatch.setattr("datasets.arrow_writer.embed_table_storage", lambda table, **_: table)
        make_rows(count=1, image=named).save_to_disk(file.parent)
    cache = str(tmp_path / "cache")
    rows = load_rows(str(file.parent), streaming=streaming, cache_dir=cache, image_columns=COLUMNS)
    with pytest.raises(ValueError, match=r"Row .*names the file .*, which is not in .*store the images in the rows"):
        read(rows, 0)


def test_a_table_of_the_hub_holds_its_images(hub, tmp_path, monkeypatch):
    repo = f"{hub.user}/rows-that-name-files"
    real_image(0).save(tmp_path / "private.png")
    rows = make_rows(count=1, image=[{"bytes": None, "path": str(tmp_path / "private.png")}])
    rows.push_to_hub(repo, token=hub.token, embed_external_files=False)
    rows = load_rows(repo, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"it is the name of a file, .*private.png', and not the file"):
        read(rows, 0)


@pytest.mark.parametrize("form", ["imagefolder", "parquet of names", "saved folders", "folders"])
def test_data_of_ones_own_can_name_files(form, tmp_path):
    folder = write_imagefolder(tmp_path / "data", mode="L")
    rows = load_rows(str(folder), cache_dir=str(tmp_path / "cache"))
    if form == "parquet of names":
        rows.to_parquet(folder / "train.parquet")
        rows = load_rows(str(folder / "train.parquet"), cache_dir=str(tmp_path / "cache"))
    elif form in ("folders", "saved folders"):
        for number in range(6):
            (folder / f"{number}.png").rename(folder / "masks" / f"{number}_photo.png")
        folders = dict.fromkeys(COLUMNS, str(folder / "masks"))
        rows = load_folders(folders, suffixes={"image": "_photo.png"}, file_list=write_list(tmp_path))
        if form == "saved folders":
            rows.save_to_disk(tmp_path / "saved")
            rows = load_rows(str(tmp_path / "saved"))
    np.testing.assert_array_equal(read(rows), read(make_rows()))


def write_list(root):
    (root / "list.txt").write_text("".join(f"{number}\n" for number in range(6)))
    return str(root / "list.txt")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_split_of_a_single_saved_data_set(streaming, tmp_path):
    make_rows(6).save_to_disk(tmp_path / "saved")

    def count(split: str, name: str = "saved") -> int:
        return len(list(load_rows(str(tmp_path / name), split=split, streaming=streaming)))

    assert [count(split) for split in ("train", "train[:2]", "train[4:]+train[:1]", "train[:50%]")] == [6, 2, 3, 3]
    for split in ("validation", "nonsense"):
        with pytest.raises(ValueError, match=rf'split .{split}.\) cannot be loaded: Unknown split "{split}"'):
            count(split)
    make_rows(6).to_parquet(tmp_path / "v.parquet")
    files, cache = {"validation": str(tmp_path / "v.parquet")}, str(tmp_path / "cache")
    loaded = datasets.load_dataset("parquet", data_files=files, split="validation", cache_dir=cache)
    loaded.save_to_disk(tmp_path / "validation")
    assert count("validation", "validation") == 6
    with pytest.raises(ValueError, match=r'Unknown split "train". Should be one of \[\'validation\'\]'):
        count("train", "validation")


def test_the_splits_of_a_saved_dictionary(tmp_path):
    datasets.DatasetDict({"train": make_rows(4), "validation": make_rows(2)}).save_to_disk(tmp_path / "saved")
    sizes = [len(load_rows(str(tmp_path / "saved"), split=split)) for split in ("train", "validation", "train[1:]")]
    assert sizes == [4, 2, 3]
    dataset = make_dataset(load_rows(str(tmp_path / "saved"), split="train[1:]"))
    assert dataset[0]["label_map"].shape == (32, 32)


def test_a_shards_images_are_those_in_the_shard(tmp_path, monkeypatch):
    """Also where files of the same names lie around."""
    write_webdataset(tmp_path)
    rows = load_rows(str(tmp_path / "shards"), streaming=True)
    expected = [row["jpg"].size for row in rows]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("000000.jpg", "000001.jpg", "train-00000.tar/000000.jpg"):
        save(tmp_path / "elsewhere" / name, real_image(0, (5, 5)))
    assert [row["jpg"].size for row in load_rows(str(tmp_path / "shards"), streaming=True)] == expected


CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: data/train-*.parquet}\n---\n"


def test_a_folder_with_a_card_is_read_as_it_is_now(tmp_path):
    """`datasets` alone would show the rows that it has prepared first."""
    folder, cache = tmp_path / "pairs", str(tmp_path / "cache")
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)

    def write(name: str, *values: int) -> None:
        datasets.Dataset.from_dict({"value": values}).to_parquet(folder / "data" / f"train-{name}.parquet")

    def read() -> list[int]:
        return load_rows(str(folder), cache_dir=cache)["value"][:]

    write("0", 1, 2)
    assert read() == [1, 2]
    write("1", 3)
    assert read() == [1, 2, 3]
    write("0", 4, 5, 6)
    assert read() == [4, 5, 6, 3]
    prepared = set((tmp_path / "cache").iterdir())
    (folder / ".hidden").write_text("no data")
    assert read() == [4, 5, 6, 3] and set((tmp_path / "cache").iterdir()) == prepared
