"""Does 0.7 mean 0.7? Reliability of probabilities, and the temperature that mends it."""

import numpy as np
from scipy import optimize, special


def reliability(masks: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> dict:
    """Compare what a model says with how often it is right, over pixels.

    Args:
        masks: any shape, bool or {0, 1}, the truth.
        probabilities: the same shape, float in [0, 1], of lung.
        bins: number of equally wide bins of probability.

    Returns:
        said: (bins,) float, mean probability in each bin; found: (bins,) float, share of lung;
        share: (bins,) float, share of all pixels, summing to 1; `said` and `found` are NaN in an
        empty bin. error: the expected calibration error, the mean of abs(said - found) over pixels.

    Source:
        Guo et al., arXiv:1706.04599, who bin the confidence of the predicted class; here it is the
        probability of lung, so that both ends are seen.
    """
    masks, probabilities = np.ravel(masks), np.ravel(probabilities)
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        said = np.bincount(index, probabilities, minlength=bins) / count
        found = np.bincount(index, masks, minlength=bins) / count
    share = count / count.sum()
    error = float(np.nansum(share * np.abs(said - found)))
    return {"said": said, "found": found, "share": share, "error": error}


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities by a temperature.

    Args:
        probabilities: any shape, float in [0, 1].
        temperature: above 1 makes them less sure, below 1 surer; 0.5 stays 0.5 at any.

    Returns:
        The same shape, float64 in (0, 1).
    """
    logits = special.logit(np.clip(np.asarray(probabilities, float), 1e-7, 1 - 1e-7))
    return special.expit(logits / temperature)


def fit_temperature(masks: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature at which the cross-entropy is lowest, between 0.05 and 20.

    Args:
        masks: any shape, bool or {0, 1}, the truth of images that the model was not trained on.
        probabilities: the same shape, float in [0, 1].

    Returns:
        A temperature for `apply_temperature`.

    Source:
        Guo et al., arXiv:1706.04599.
    """
    sign = 1 - 2 * np.ravel(masks).astype(float)  # the loss of a pixel is log(1 + exp(sign logit))
    logits = special.logit(np.clip(np.ravel(probabilities).astype(float), 1e-7, 1 - 1e-7))

    def entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, sign * logits / np.exp(log_temperature)).mean())

    found = optimize.minimize_scalar(entropy, bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(found.x))
