"""What a DICOM's tags say that it shows; silence where they say nothing."""

import pytest
from made_dicoms import dicom
from made_sets import WHITE, chest, make_set, met, put
from made_sets import dicom as film
from pydicom import Dataset

from unet_lib.intake import formats, prepare
from unet_lib.intake.dicom_view import FAULT


def code(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = value, "SCT"
    return [item]


@pytest.mark.parametrize("tags, word", [
    ({"ViewPosition": "LL"}, "a lateral view"), ({"ViewPosition": "RL"}, "a lateral view"),
    ({"ViewPosition": "LATERAL "}, "a lateral view"), ({"ViewPosition": "LAT"}, "a lateral view"),
    ({"ViewPosition": "LEFT LATERAL"}, "a lateral view"),
    ({"ViewCodeSequence": code("399173006")}, "a lateral view"),
    ({"ViewCodeSequence": code("R-10236"), "ViewPosition": ""}, "a lateral view"),
    ({"PatientOrientation": ["P", "F"]}, "a lateral view"),
    ({"PatientOrientation": ["F", "A"]}, "a lateral view"),
    ({"BodyPartExamined": "HAND"}, "hand"), ({"BodyPartExamined": "ABDOMEN"}, "abdomen"),
    ({"BodyPartExamined": "L_SPINE"}, "lspine"),
    ({"BodyPartExamined": "HAND", "ViewPosition": "PA"}, "hand"),
])  # fmt: skip
def test_side_views_and_other_parts_are_named(tags, word):
    assert formats.decode(dicom(**tags)).notes == {FAULT: f" (its tags say: {word})"}


@pytest.mark.parametrize("tags", [
    {}, {"ViewPosition": "PA"}, {"ViewPosition": "AP"}, {"ViewPosition": ""},
    {"ViewPosition": "LLD"},  # lying on the side: still a frontal view
    {"PatientOrientation": ["L", "F"]}, {"PatientOrientation": ["RA", "F"]},
    {"PatientOrientation": ""}, {"PatientOrientation": "PF"},
    {"PatientOrientation": ["PA", "F"]}, {"PatientOrientation": ["AP", ""]},  # the view itself
    {"PatientOrientation": ["P", "F"], "ViewPosition": "PA"}, {"BodyPartExamined": "PORT CHEST"},
    {"ViewCodeSequence": code("399348003")}, {"ViewCodeSequence": []},
    {"BodyPartExamined": "CHEST"}, {"BodyPartExamined": "THORAX"}, {"BodyPartExamined": ""},
    {"BodyPartExamined": "TSPINE"}, {"BodyPartExamined": "RIB"}, {"BodyPartExamined": "HANDMADE"},
    {"BodyPartExamined": "CHESTABDOMEN"}, {"BodyPartExamined": "WHOLEBODY"},
])  # fmt: skip
def test_frontal_chests_and_silence_say_nothing(tags):
    assert formats.decode(dicom(**tags)).notes == {}


def test_the_audit_names_them_and_keeps_them(tmp_path, target):
    make_set(tmp_path / "films")
    for number, tags in enumerate(({"ViewPosition": "LL"}, {"ViewPosition": "PA"})):
        put(tmp_path / f"films/images/D{number}.dcm", film(chest(20 + number) * 16, **tags))
        put(tmp_path / f"films/masks/D{number}.png", WHITE)
    manifest = prepare.restructure(tmp_path / "films", target)
    assert met(manifest)[FAULT] == ["images/D0.dcm (its tags say: a lateral view)"]
    assert sum(map(len, manifest["split"].values())) == 10
