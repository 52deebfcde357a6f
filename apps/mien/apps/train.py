"""`mien train tokenizer | llm`: the commands that made the shipped weights."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.apps.progress import say, track
from mien.apps.refusal import refusing
from mien.apps.request import Device, check_device, check_seed

if TYPE_CHECKING:
    from numpy import ndarray

    from mien.data_synth.phrases import Split
    from mien.llm.stage import Progress
    from mien.tokenizer.config import TokenizerConfig

BABBLE_SECONDS = 4.0
LEAST = {"steps": 1, "windows": 1, "babble": 0, "clips": 1, "codes": 2, "chain": 1}
HELD_OUT_CLIPS = 100  # of the card's figures; `mien eval` measures more


@dataclass(frozen=True)
class TrainTokenizer:
    """Train the motion tokenizer on a corpus; stopped and started again, it goes on."""

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/tokenizer")
    """Where weights, card and checkpoints go."""
    kind: Literal["geometry", "coefficients"] = "geometry"
    """What is quantized: face points, or head parameters (the twin for comparison)."""
    scheme: Literal["parts", "joint"] = "parts"
    """Codebooks of parts of the face, one part renewed a frame; or one for the whole face."""
    quantizer: Literal["vq", "fsq", "rvq"] = "vq"
    """Learned codes, a fixed grid, or a chain of learned codes (the last two joint only)."""
    codes: int = 1024
    """Size of the codebook, of each one in a chain (joint vq and rvq only)."""
    chain: int = 4
    """Codebooks in the chain, and so integers a token (rvq only)."""
    frames_per_token: Literal[1, 2, 4] = 1
    """Frames that a token stands for (above 1 joint only); a language model wants 1."""
    steps: int = 2500
    """Optimizer steps."""
    windows: int = 16
    """Windows of 64 frames a step."""
    babble: int = 3000
    """Clips of free, speech-like motion to learn from beside the corpus."""
    refine: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A trained tokenizer of the same sizes whose decoder learns on; its tokens stay."""
    move_codes: bool = False
    """With --refine: its codes first move to what the clips show, each from where it was."""
    clips: int | None = None
    """How many clips of the corpus to learn from; all where not given."""
    seed: int = 0
    """Of weights, windows and disturbances."""
    resume: bool = True
    """Go on from the newest checkpoint in `out`."""
    device: Device = "cpu"
    """Where to train."""

    def run(self) -> None:
        """Check, train, report."""
        with refusing():
            check_corpus(self.data)
            check_seed(self.seed)
            check_device(self.device)
            check_least(self, LEAST)
            if self.move_codes and self.refine is None:
                raise ValueError("`--move-codes` needs `--refine FOLDER`, got none.")
            if self.scheme == "parts" and (self.quantizer != "vq" or self.frames_per_token > 1):
                raise ValueError(
                    f"`--quantizer {self.quantizer} --frames-per-token {self.frames_per_token}` "
                    "needs `--scheme joint`, got parts."
                )
            check_folder(self.out)
        say(str(self))
        from mien.data_synth.babble import babble
        from mien.tokenizer.train import TrainTokenizerConfig, train_tokenizer

        with refusing():
            config = TrainTokenizerConfig(
                out=self.out,
                tokenizer=self.sizes(),
                steps=self.steps,
                windows=self.windows,
                unquantized_steps=self.steps // 10,
                seed=self.seed,
                refine=self.refine,
                move_codes=self.move_codes,
                resume=self.resume,
                cpu=self.device == "cpu",
            )
            train, test = (_curves(self.data, split) for split in ("train", "test"))
            test, train = test[:HELD_OUT_CLIPS], train[: self.clips]
            train += [babble(number, BABBLE_SECONDS) for number in range(self.babble)]
        _, figures = train_tokenizer(config, train, test, command=_command())
        for name, value in figures.as_dict().items():
            print(f"{name:<14} {value:.4g}")

    def sizes(self) -> "TokenizerConfig":
        """The sizes that are asked for."""
        from mien.tokenizer.config import TokenizerConfig
        from mien.tokenizer.quantizer import QuantizerConfig

        quantizer = QuantizerConfig(self.quantizer, codebook_size=self.codes)
        if self.quantizer == "rvq":
            quantizer = replace(quantizer, num_quantizers=self.chain)
        return TokenizerConfig(
            kind=self.kind,
            scheme=self.scheme,
            quantizer=quantizer,
            frames_per_token=self.frames_per_token,
        )


def _command() -> str:
    """What was typed, for cards."""
    return " ".join(["mien", *sys.argv[1:]])


def _curves(corpus: Path, split: "Split") -> "list[ndarray]":
    """The motion of one split, clip by clip."""
    from mien.data_synth.corpus import clip_from_row, read_corpus

    rows = read_corpus(corpus, split)
    return [
        clip_from_row(row).curves for row in track(rows, len(rows), f"reading {split}", "clip")
    ]


def check_corpus(folder: Path) -> None:
    """Refuse a folder that holds no finished corpus."""
    if not (folder / "manifest.json").is_file():
        raise ValueError(f"{folder}: wanted a folder with a corpus; make one with `mien synth`.")


def check_least(options: object, least: Mapping[str, int]) -> None:
    """Refuse options that are too small; None is not given."""
    for name, value in least.items():
        given = getattr(options, name)
        if given is not None and given < value:
            raise ValueError(f"`{name}` must be at least {value}, got {given}.")


def check_folder(folder: Path) -> None:
    """Make the folder of results, or refuse where it cannot be."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: wanted a folder for the results, got a file.")
    folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class TrainLanguageModel:
    """Train the language model, both directions; stopped and started again, it goes on.

    The built-in base is pretrained from nothing, then gets one LoRA adapter a direction. Any other
    causal language model is taken as it is and gets the adapters only.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/corpus")
    """Corpus that `mien synth` made."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/llm")
    """Where weights, card and checkpoints go."""
    tokenizer: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A motion tokenizer; the shipped one where not given."""
    base: str | None = None
    """Another causal language model: a folder or a hub id."""
    warm_start: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """A language model that this command made before, to go on from; its reader and its text
    tokenizer stay where --naming-steps and --text-steps are 0."""
    naming_steps: int = 5000
    """Steps of the sentence reader, which comes first."""
    counting_steps: int = 3000
    """Steps of the small reader that tells how many things a prompt asks for."""
    lexical_steps: int = 2400
    """Steps of the reader that names by words alone; 0 keeps that of --warm-start."""
    tuning_steps: int = 1500
    """Steps of the encoder that names are read with; 0 keeps that of --warm-start."""
    text_steps: int = 2200
    """Steps on texts alone (built-in base only)."""
    mixed_steps: int = 3000
    """Steps on texts and motion (built-in base only)."""
    adapter_steps: int = 1000
    """Steps of each adapter; 0 keeps those of --warm-start, whose base must stay too."""
    adapters: tuple[Literal["text_to_motion", "motion_to_text"], ...] = (
        "text_to_motion",
        "motion_to_text",
    )
    """Directions that learn in these; another keeps its adapter of --warm-start."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of products of matrices; bf16 needs a processor with bf16 instructions."""
    seed: int = 0
    """Of weights and batches."""

    def run(self) -> None:
        """Check, train, report."""
        with refusing():
            check_corpus(self.data)
            check_seed(self.seed)
            stages = ("naming", "counting", "lexical", "tuning", "text", "mixed", "adapter")
            least = 1 if self.warm_start is None else 0
            check_least(self, {f"{stage}_steps": least for stage in stages})
            check_folder(self.out)
        say(str(self))
        from mien.llm.train import TrainLlmConfig, train_llm

        usual = TrainLlmConfig()
        with refusing():
            config = TrainLlmConfig(
                corpus=self.data,
                out=self.out,
                tokenizer=self.tokenizer,
                base=self.base,
                start=self.warm_start,
                naming=replace(usual.naming, steps=self.naming_steps),
                counting=replace(usual.counting, steps=self.counting_steps),
                lexical=replace(usual.lexical, steps=self.lexical_steps),
                tuning=replace(usual.tuning, steps=self.tuning_steps),
                text=replace(usual.text, steps=self.text_steps),
                mixed=replace(usual.mixed, steps=self.mixed_steps),
                adapter=replace(usual.adapter, steps=self.adapter_steps),
                directions=self.adapters,
                precision=self.precision,
                seed=self.seed,
            )
        train_llm(config, _report, lambda piece: say(f"encoded {piece}"), _command())
        say(f"wrote {self.out}")


def _report(stage: str, progress: "Progress") -> None:
    """One line of progress."""
    losses = ", ".join(f"{task} {loss:.3f}" for task, loss in progress.losses.items())
    say(
        f"{stage} {progress.step}/{progress.steps}: {losses}; "
        f"{progress.tokens_per_second:.0f} tokens/s, {progress.seconds_left:.0f} s left"
    )
