"""A linear reading of the mouth: which change of its picture goes with which level of the voice.

The numbers are the ridge regression of the levels in `speech.BANDS_HZ` on the coarse, left-right symmetric cosine
frequencies of the aligned mouth, over films of 22 people who speak, each weighted by at most eight seconds. They were
made by ``python -m bench.lip_template FOLDER``; `docs/finishing-lipsync.md` names the films. On people who were not
among those learned from, it reads as well.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from .mouth import SHAPE


@cache
def reading() -> np.ndarray:
    """float64 [coefficients of a shape, bands]."""
    text = Path(__file__).with_name("template.json").read_text(encoding="utf-8")
    symmetric = np.array(json.loads(text)["coefficients"], np.float64)
    bands = symmetric.shape[-1]
    full = np.zeros((*SHAPE, bands))
    full[:, ::2] = symmetric
    return full.reshape(-1, bands)
