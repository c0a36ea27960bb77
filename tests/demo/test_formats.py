"""Shapes of pictures."""

from spade_hf.demo.formats import formats_of


def test_a_square_model_offers_what_its_divisor_allows():
    square, wide, wider = formats_of((256, 256), 32)
    assert (square.name, square.size, square.canvas_size) == ("Square", (256, 256), (512, 512))
    assert (wide.name, wide.size, wide.canvas_size) == ("3:2", (256, 384), (512, 768))
    assert (wider.name, wider.size) == ("16:9", (256, 448))
    assert [one.name for one in formats_of((64, 64), 32)] == ["Square", "3:2"]  # 64x128 is far from 16:9


def test_other_models_keep_their_shape():
    (own,) = formats_of((256, 512), 64)
    assert (own.name, own.size, own.canvas_size) == ("512:256", (256, 512), (256, 512))
