"""What `predict` writes: a PNG that any program reads, with a record that only it looks for."""

import cv2
import numpy as np
import pytest

from unet_lib.commands import outputs


def test_a_written_png_is_what_any_program_reads(tmp_path):
    mask = np.zeros((5, 7), np.uint8)
    mask[1:3, 2:6] = 255
    outputs.write(tmp_path / "new/m.png", mask, {"file": "é\n,\"\udcff.png"})
    assert np.array_equal(cv2.imread(str(tmp_path / "new/m.png"), cv2.IMREAD_UNCHANGED), mask)
    assert outputs.read_record(tmp_path / "new/m.png") == {"file": "é\n,\"\udcff.png"}
    assert np.array_equal(outputs.read_mask(tmp_path / "new/m.png"), mask > 0)


def test_sixteen_bits_stay_sixteen(tmp_path):
    probability = np.float32([[0, 0.25, 1 / 65535], [1, 0.5, 65534 / 65535]])
    levels = outputs.probability_levels(probability)
    outputs.write(tmp_path / "p.png", levels, {})
    read = cv2.imread(str(tmp_path / "p.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    assert read.tolist() == [[0, 16384, 1], [65535, 32768, 65534]]
    assert np.abs(read / 65535 - probability).max() <= 0.5 / 65535


def test_the_digest_is_that_of_the_file(tmp_path):
    digest = outputs.write(tmp_path / "m.png", np.zeros((4, 4), np.uint8), {})
    assert outputs.digest(tmp_path / "m.png") == digest != ""
    assert outputs.digest(tmp_path / "gone.png") == ""


@pytest.mark.parametrize("cut", [20, 60, 400, -30, -1])
def test_a_cut_file_is_not_whole(tmp_path, cut):
    path = tmp_path / "m.png"
    outputs.write(path, np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8), {"a": 1})
    path.write_bytes(path.read_bytes()[:cut])
    assert outputs.read_record(path, whole=True) is None


def test_a_changed_pixel_is_noticed(tmp_path):
    path = tmp_path / "m.png"
    outputs.write(path, np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8), {"a": 1})
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)
    assert outputs.read_record(path, whole=True) is None
    assert outputs.read_record(path) == {"a": 1}


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    before = path.read_bytes()
    for known in (False, True):  # a whole picture is no damaged one of ours
        with pytest.raises(FileExistsError, match="m.png is there and was not written by predict,"
                                                  " or was changed since; it is left alone: choose"
                                                  " another --out, or move it"):
            outputs.write(path, np.ones((4, 4), np.uint8), {}, known=known)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    assert outputs.read_record(path) is None and outputs.read_record(tmp_path / "gone") is None


def test_an_overlay_outlines_each_mask_in_its_colour():
    image = np.full((100, 80), 90, np.uint8)
    masks = [np.zeros((100, 80), bool), np.zeros((100, 80), bool)]
    masks[0][10:40, 10:40] = True
    masks[1][50:90, 30:70] = True
    drawn = outputs.overlay(image, masks)
    assert drawn.shape == (100, 80, 3) and drawn.dtype == np.uint8
    assert tuple(drawn[10, 25]) == outputs.COLOURS[0] and tuple(drawn[89, 50]) == outputs.COLOURS[1]
    assert drawn[25, 25].tolist() == drawn[5, 5].tolist() == [90, 90, 90]


def test_an_empty_mask_draws_nothing():
    image = np.full((20, 20), 7, np.uint8)
    assert (outputs.overlay(image, [np.zeros((20, 20), bool)]) == 7).all()


def test_numbers_of_classes_come_back(tmp_path):
    numbers = np.zeros((5, 7), np.uint8)
    numbers[1:3], numbers[4] = 1, 2
    outputs.write(tmp_path / "m.png", numbers, {})
    assert np.array_equal(outputs.read_mask(tmp_path / "m.png"), numbers)
