"""All that the audit looks for, from worst to least: what is done about it, and the remedy."""

from typing import NamedTuple


class Fault(NamedTuple):
    """What is done about a fault, and what the owner of the files can do."""

    decision: str
    remedy: str


_LOOK = "look at these files"
_STORED = Fault("stored as 0 and 255, or as numbers of classes", "none is needed")

FAULTS: dict[str, Fault] = {
    # what costs pairs
    "unreadable file": Fault("excluded", "fetch these files again, or convert them to PNG"),
    "path leads outside the source": Fault(
        "refused", "`follow_links: true` follows links, and `cp -rL` makes a copy without them"),
    "name that not every system allows": Fault("refused", "rename these files"),
    "image and mask of different size": Fault(
        "excluded", "a mask has its image's proportions within 1 %; draw or export it again"),
    "image without mask": Fault("excluded", "add the mask, or predict it: unet_lib predict"),
    "mask without image": Fault("excluded", "add the image, or name both alike"),
    "no annotation": Fault("excluded: not annotated is not the same as no lung", "annotate it"),
    "only one lung's mask": Fault("excluded", "add the mask of the other lung"),
    "mask is a grey picture": Fault("excluded", "is this the image itself? Name the right file"),
    "empty mask": Fault(
        "excluded: a chest without lungs teaches nothing",
        "empty_masks: keep, where an empty mask is a fact (tumours)"),
    "full mask": Fault("excluded: lungs do not fill an image", _LOOK),
    "two files with one id": Fault("second excluded", "keep one of them, or write a list"),
    "same image twice in train": Fault("second excluded", "remove one of them"),
    "same image in train and test": Fault("excluded from train", "remove one of them"),
    "same id in train and test": Fault("excluded from train", "rename or remove one of them"),
    # what may be wrong and is used all the same
    "numbers may be shifted by one": Fault(
        "paired by equal numbers", "does the first image belong to the first mask? Then number both"
        " alike, or write a list with such rows: image,mask"),
    "foreground along the border": Fault("kept, as mask_values says", "is it inverted?"),
    "may be a negative": Fault("kept as it is", "invert: auto turns such images round"),
    "mask may be turned": Fault(
        "kept as it is", "does it lie on its picture? Open both beside each other"),
    "DICOM may be a negative": Fault(
        "kept as its tags ask for", "are they wrong? Save it as PNG, which invert: auto turns"),
    "DICOM of no frontal chest": Fault(
        "kept as it is", "leave it out where frontal chests are meant; are its tags wrong?"),
    "one mask of several images": Fault("kept, as the list says", "look at these rows"),
    "mask bears another image's name": Fault(
        "kept, as the list says", "was one column sorted or moved alone? Look at these rows"),
    "fewer masks than most images have": Fault("kept, as the list says", "does a row lack?"),
    "one mask of several is empty": Fault("kept", "is the other mask all that there is?"),
    "masks of one lung alone": Fault(
        "taken as they are", "add the masks of the other lung, if it is to be found as well"),
    "group on both sides": Fault("kept, as the list says", "give all rows of a group one part"),
    "near copies that share a prefix": Fault(
        "kept", "films of one patient? group_by: '^(.+)[_-]' keeps them on one side"),
    "near copies that share a name": Fault(
        "kept", "another size or form of one set? Name one of the folders as source"),
    "id without group": Fault("a group of its own", "widen group_by if it belongs to one"),
    "image in false colours": Fault(
        "reduced to luminance, which mixes up what colours stand for", "export them in grey"),
    "two masks of an image are the same": Fault(
        "taken as one", "is one a copy of the other, left and right? Export the one that lacks"),
    "few grey levels": Fault(
        "kept", "export them with more; of 16-bit images intensity: 'low,high' fixes the range"),
    "16-bit picture unlike the rest": Fault("scaled by itself", "intensity: 'low,high' fixes it"),
    "16-bit picture outside the range": Fault("black or white", "change intensity, or use 'auto'"),
    "unusable window": Fault("the data's own range is taken", _LOOK),
    "stray value in a mask": Fault("became background", "mask_values names what is foreground"),
    "mask of another size": Fault("resized to its image, nearest pixel", _LOOK),
    "annotation ignored": Fault(
        "left out: it covers no pixel", "draw it as a polygon, rectangle, circle or mask"),
    "crowd annotation ignored": Fault(
        "left out: a crowd is no outline", "iscrowd: 0 if it is the structure itself"),
    "annotation clipped": Fault("cut off at the edge of the picture", _LOOK),
    "annotation names another picture": Fault("used: names of files pair them", _LOOK),
    "annotation without picture size": Fault("taken to be of this picture's size", _LOOK),
    "ring inside a ring": Fault("filled", "a hole needs RLE or a mask"),
    "label in two annotation files": Fault(
        "joined", "are they two readers? Move one of the files out of the source, or write a list"
        " that names the file that is meant as the mask of each image"),
    "masks of an image overlap": Fault(
        "joined", "are they two readers? Write a list with one mask for each image; classes of"
        " different values are named by mask_values"),
    "ids that differ only in case": Fault("kept apart", "macOS and Windows do not: rename one"),
    "one id in several folders": Fault("made distinct by the folders' names", _LOOK),
    "image and mask differ in case": Fault("paired", "name both alike"),
    "folders taken together": Fault("one set", "name one of them as source to use it alone"),
    # what is not used
    "folder ignored": Fault("ignored", "if it was meant, name it as source or write a list"),
    "stray file": Fault("ignored", "none is needed, unless it was meant to be an image or mask"),
    "mask of a test image": Fault("ignored", "test images are looked at without"),
    "column ignored": Fault("ignored", "a list has image, mask, group and part"),
    "row twice in the list": Fault("second ignored", "remove it"),
    "val_fraction unused": Fault("the source's own validation set is used", "none is needed"),
    # what was settled
    "negative, turned round": Fault("black and white changed places", _LOOK),
    "empty mask, kept": Fault("kept, as empty_masks says", "none is needed"),
    "turned by its orientation flag": Fault("turned upright", "none is needed"),
    "equally transparent picture": Fault("taken as opaque", _LOOK),
    "transparent picture": Fault("transparent pixels became black", _LOOK),
    "non-square pixels": Fault("resampled to square ones", "none is needed"),
    "colour image": Fault("reduced to luminance", "none is needed"),
    "16-bit image": Fault("scaled to 8 bits, see depth", "none is needed"),
    "mask with a soft border": Fault("cut in its middle", "none is needed"),
    "mask of other values": _STORED,
    "mask of 0 and 1": _STORED,
    "coloured mask": _STORED,
    "mask in the alpha channel": _STORED,
    "mask drawn from an annotation": _STORED,
}
"""By name, from worst to least."""
