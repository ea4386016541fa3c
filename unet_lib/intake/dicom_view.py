"""What a DICOM's tags say that it shows: a side view, or another part of the body than a chest."""

import re

FAULT = "DICOM of no frontal chest"

TAGS = ("ViewPosition", "ViewCodeSequence", "PatientOrientation", "BodyPartExamined")

_LATERAL = re.compile(r"(LL|RL|((LEFT|RIGHT|LT|RT|L|R)[ _-]*)?LAT(ERAL)?)")
_FRONT_TO_BACK = re.compile(r"[AP][LRHF]*/[HF][LRAP]*|[HF][LRAP]*/[AP][LRHF]*")
_LATERAL_CODES = {  # of SNOMED CT, and as SNOMED RT wrote them: lateral, left, right lateral
    "399067008", "399173006", "399198007", "R-102CD", "R-10236", "R-10232",
}  # fmt: skip
_ELSEWHERE = set(
    "ABDOMEN ANKLE ARM BREAST CALCANEUS CSPINE ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM HAND HEAD"
    " HIP HUMERUS JAW KNEE LEG LSPINE MANDIBLE NECK PELVIS SKULL SSPINE THIGH THUMB TOE WRIST"
    .split()
)  # fmt: skip


def note(dataset) -> dict[str, str]:
    """Return FAULT with a detail, or nothing: missing, empty and unknown words say nothing.

    The words are this room's own: what stands in a file is not quoted.
    """
    codes = {str(item.get("CodeValue", "")) for item in dataset.get("ViewCodeSequence") or ()}
    lateral = _LATERAL.fullmatch(_word(dataset, "ViewPosition")) or codes & _LATERAL_CODES
    if lateral or _runs_front_to_back(dataset):
        return {FAULT: " (its tags say: a lateral view)"}
    part = re.sub(r"[ _-]", "", _word(dataset, "BodyPartExamined"))
    return {FAULT: f" (its tags say: {part.lower()})"} if part in _ELSEWHERE else {}


def _runs_front_to_back(dataset) -> bool:
    """Tell whether rows or columns run to front or back, as in P, F; frontal is L, F.

    Some write the view itself there ("PA"), and a view that is named as frontal counts for more.
    """
    ends = dataset.get("PatientOrientation") or ()
    if isinstance(ends, str) or _word(dataset, "ViewPosition") in ("AP", "PA"):
        return False
    return bool(_FRONT_TO_BACK.fullmatch("/".join(map(str, ends))))


def _word(dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip().upper()
