"""Motion <-> one integer a frame: the geometric VQ-VAE.

`MotionTokenizer.load()` gives the shipped one; `train_tokenizer` makes another.
"""

from mien.tokenizer.config import TokenizerConfig, tokenizer_small
from mien.tokenizer.features import FaceSpace, HeadFrames, frames_of, motion_features
from mien.tokenizer.quantizer import Quantizer, QuantizerConfig
from mien.tokenizer.streaming import TokenStreamer
from mien.tokenizer.tokenizer import MotionTokenizer

__all__ = [
    "FaceSpace",
    "HeadFrames",
    "MotionTokenizer",
    "Quantizer",
    "QuantizerConfig",
    "TokenStreamer",
    "TokenizerConfig",
    "frames_of",
    "motion_features",
    "tokenizer_small",
]
