"""DICOM files made with pydicom for the tests of the intake."""

import io

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

RAMP = np.tile(np.arange(64, dtype=np.uint16) * 64, (48, 1))
"""12 bits, 0 to 4032 from left to right."""

PATIENT = {"PatientName": "Doe^Jane", "PatientID": "4711-0815", "PatientBirthDate": "19700131",
           "StudyDate": "20240229", "InstitutionName": "Sankt Elsewhere"}  # fmt: skip


def dataset(pixels=RAMP, *, syntax=ExplicitVRLittleEndian, **tags) -> Dataset:
    """A Dataset of MONOCHROME2 (or RGB, by the shape); `tags` are set at last, None: without it."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # digital X-ray
    made.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.Modality = "DX"
    for keyword, value in PATIENT.items():
        setattr(made, keyword, value)
    bits = pixels.dtype.itemsize * 8
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored = bits, 12 if pixels is RAMP else bits
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    made.PixelData = raw + b"\0" * (len(raw) % 2)
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in tags.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    made.HighBit = made.BitsStored - 1
    return made


def written(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def dicom(pixels=RAMP, **tags) -> bytes:
    return written(dataset(pixels, **tags))


def table(entries, *, first=0, bits=8) -> Dataset:
    """An item of a look-up table sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = [int(entry) for entry in entries]
    item["LUTData"].VR = "US"
    return item
