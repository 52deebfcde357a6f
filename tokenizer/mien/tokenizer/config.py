"""Sizes of a tokenizer, and the builder that turns them into a codec."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.tokenizer.features import FaceSpace, Kind, feature_size
from mien.tokenizer.quantizer import QuantizerConfig
from mien.tokenizer.vqvae import Codec

FORMAT_VERSION = 1


@dataclass(frozen=True)
class TokenizerConfig:
    """Every size of a tokenizer.

    Attributes:
        kind: "geometry" codes face points; "coefficients" codes head parameters (the twin).
        fps: Tokens a second, Hz.
        basis_size: Principal components kept of the features.
        encoder_width: Channels of the encoder.
        decoder_width: Channels of the decoder.
        encoder_ahead: Dilations of the encoder's symmetric blocks; their sum is its look-ahead
            in frames.
        encoder_back: Dilations of the encoder's causal blocks.
        decoder_ahead: Like `encoder_ahead`, for the decoder: the delay of a stream in frames.
        decoder_back: Dilations of the decoder's causal blocks.
        quantizer: Which quantizer.
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

    def __post_init__(self) -> None:
        if self.kind not in ("geometry", "coefficients"):
            raise ValueError(f"`kind` must be 'geometry' or 'coefficients', got {self.kind!r}.")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"`fps` must be in (0, 1000], got {self.fps}.")


def tokenizer_small(kind: Kind = "geometry") -> TokenizerConfig:
    """Give the sizes of the shipped tokenizer: 1024 codes, 25 a second, 160 ms of delay."""
    return TokenizerConfig(kind=kind)


def build_codec(config: TokenizerConfig, space: FaceSpace) -> Codec:
    """Build an untrained codec for a head."""
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
