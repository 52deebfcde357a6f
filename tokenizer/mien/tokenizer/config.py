"""Sizes of a tokenizer, and the builder that turns them into a codec."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mien.arkit import EXPR_NAMES
from mien.tokenizer.features import FaceSpace, Kind, feature_size
from mien.tokenizer.part_codec import PartCodec
from mien.tokenizer.parts import face_parts, part_columns, unit_columns
from mien.tokenizer.quantizer import QuantizerConfig
from mien.tokenizer.vqvae import Codec

FORMAT_VERSION = 2
FRAMES_PER_TOKEN = (1, 2, 4)


@dataclass(frozen=True)
class TokenizerConfig:
    """Every size of a tokenizer.

    Attributes:
        kind: "geometry" codes face points; "coefficients" codes head parameters (the twin).
        fps: Frames a second, Hz.
        basis_size: Principal components kept of the features.
        encoder_width: Channels of the encoder.
        decoder_width: Channels of the decoder.
        encoder_ahead: Dilations of the encoder's symmetric blocks; their sum is its look-ahead
            in frames.
        encoder_back: Dilations of the encoder's causal blocks.
        decoder_ahead: Like `encoder_ahead`, for the decoder: the delay of a stream in frames.
        decoder_back: Dilations of the decoder's causal blocks.
        quantizer: Which quantizer ("joint" only).
        scheme: "parts" renews one part of the face a frame, from codebooks of their own; "joint"
            learns one codebook for the whole face.
        frames_per_token: Frames that a token stands for, 1, 2 or 4 ("joint" only, if above 1).
        emphasis: Share of a unit's acceleration that is added to what is decoded, since coding
            smooths; see `mien.tokenizer.streaming.Emphasis`.
    """

    kind: Kind = "geometry"
    fps: float = 25.0
    basis_size: int = 56
    encoder_width: int = 128
    decoder_width: int = 128
    encoder_ahead: tuple[int, ...] = (1, 1, 2, 4)
    encoder_back: tuple[int, ...] = (4,)
    decoder_ahead: tuple[int, ...] = (1, 1, 2)
    decoder_back: tuple[int, ...] = (1, 2, 4, 8)
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)

    scheme: Literal["parts", "joint"] = "parts"
    frames_per_token: int = 1
    emphasis: float = 0.0

    def __post_init__(self) -> None:
        if self.scheme not in ("parts", "joint"):
            raise ValueError(f"`scheme` must be 'parts' or 'joint', got {self.scheme!r}.")
        if self.kind not in ("geometry", "coefficients"):
            raise ValueError(f"`kind` must be 'geometry' or 'coefficients', got {self.kind!r}.")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"`fps` must be in (0, 1000], got {self.fps}.")
        if self.frames_per_token not in FRAMES_PER_TOKEN:
            raise ValueError(f"`frames_per_token` must be 1, 2 or 4, got {self.frames_per_token}.")
        if not 0 <= self.emphasis <= 1:
            raise ValueError(f"`emphasis` must be in [0, 1], got {self.emphasis}.")
        if self.scheme == "parts" and (self.frames_per_token > 1 or self.quantizer.kind != "vq"):
            raise ValueError(
                "`scheme` 'parts' wants the quantizer 'vq' and 1 frame a token, got "
                f"{self.quantizer.kind!r} and {self.frames_per_token}; set `scheme` to 'joint'."
            )


def tokenizer_small(kind: Kind = "geometry") -> TokenizerConfig:
    """Give the sizes of the shipped tokenizer: 1024 codes, 25 a second, 160 ms of delay."""
    return TokenizerConfig(kind=kind, scheme="parts", emphasis=0.22)


def build_codec(config: TokenizerConfig, space: FaceSpace) -> Codec | PartCodec:
    """Build an untrained codec for a head."""
    if config.scheme == "parts":
        return _build_part_codec(config, space)
    return Codec(
        num_features=feature_size(config.kind, space.num_points, space.num_expr),
        num_expr=space.num_expr,
        basis_size=config.basis_size,
        encoder_width=config.encoder_width,
        decoder_width=config.decoder_width,
        encoder_ahead=config.encoder_ahead,
        encoder_back=config.encoder_back,
        decoder_ahead=config.decoder_ahead,
        decoder_back=config.decoder_back,
        quantizer=config.quantizer,
        frames_per_token=config.frames_per_token,
    )


def _build_part_codec(config: TokenizerConfig, space: FaceSpace) -> PartCodec:
    parts = face_parts()
    is_geometry = config.kind == "geometry"
    return PartCodec(
        columns=part_columns(parts, space.regions, space.num_points)
        if is_geometry
        else unit_columns(parts, EXPR_NAMES),
        num_features=feature_size(config.kind, space.num_points, space.num_expr) + 6,
        millimetres=space.ipd_mm / math.sqrt(space.num_points) if is_geometry else 1.0,
        num_expr=space.num_expr,
        width=config.decoder_width,
        ahead=config.decoder_ahead,
        back=config.decoder_back,
        parts=parts,
    )


def config_to_json(config: TokenizerConfig) -> dict[str, Any]:
    """Give the config as plain values."""
    return dataclasses.asdict(config)


def config_from_json(values: Mapping[str, Any]) -> TokenizerConfig:
    """Read what `config_to_json` gave.

    Raises:
        ValueError: If a field is unknown or its value is refused.
    """
    sizes = _with_tuples(values)
    quantizer = _with_tuples(sizes.pop("quantizer", {}))
    try:
        return TokenizerConfig(**sizes, quantizer=QuantizerConfig(**quantizer))
    except TypeError as error:
        raise ValueError(f"This is no tokenizer config: {error}.") from error


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(x) if isinstance(x, list) else x for key, x in values.items()}
