"""Checks of the functions that a reader writes in notebooks 01 to 06 and 09 to 12.

Each check tries the function on cases with known answers and prints what a teacher would say: which
case went wrong, what came, what was expected, and a hint. A function that is not written yet is
told so, one that raises is quoted with its line, and a wrong answer never raises.
"""

from unet_lib.exercises.learning import (
    check_bootstrap,
    check_combine,
    check_deviation,
    check_dice,
    check_enough,
    check_speedup,
    check_update,
)
from unet_lib.exercises.preparing import check_mean_mask, check_pairs, check_parameters

__all__ = ["check_bootstrap", "check_combine", "check_deviation", "check_dice", "check_enough",
           "check_mean_mask", "check_pairs", "check_parameters", "check_speedup", "check_update"]
