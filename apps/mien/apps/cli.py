"""The `mien` command: finds the verb, reads its options, and reports errors in one line.

Nothing heavy is imported before the verb is known, so that help and refusals answer at once.
"""

import contextlib
import importlib
import io
import logging
import logging.handlers
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mien.apps.refusal import MAX_CHARACTERS, Refusal, refusing
from mien.text import one_line

# verb -> (module:class of its options, what `mien --help` says)
VERBS: dict[str, tuple[str, str]] = {
    "animate": ("animate:Animate", "text -> a moving face: video, curves, contact sheet"),
    "caption": ("caption:Caption", "motion -> what the face does, with times"),
    "track": ("track:Track", "a video or a photo of a face -> motion"),
    "tokenize": ("tokenize:Tokenize", "motion -> tokens, one a frame"),
    "detokenize": ("detokenize:Detokenize", "tokens -> motion or video"),
    "convert": ("convert:Convert", "a motion file into another format, or a video"),
    "live": ("live:Live", "record Live Link Face from the network, or send a clip to it"),
    "head": ("head:MakeHead", "a head of a chosen age and build as a mesh"),
    "avatar create": ("avatar:CreateAvatar", "photos of a person -> an avatar"),
    "avatar list": ("avatar:ListAvatars", "the avatars there are"),
    "avatar show": ("avatar:ShowAvatar", "an avatar as a picture"),
    "avatar export": ("avatar:ExportAvatar", "an avatar as a splat PLY"),
    "demo": ("demo:Demo", "a page in the browser that does both directions"),
    "synth": ("synth:Synth", "make the training corpus"),
    "synth portraits": (
        "synth_portraits:SynthPortraits",
        "draw made-up people to train photo encoders on",
    ),
    "train tokenizer": ("train:TrainTokenizer", "train the motion tokenizer"),
    "train llm": ("train:TrainLanguageModel", "train the language model, both directions"),
    "train avatar": ("train_avatar:TrainAvatar", "train the encoder that makes avatars of photos"),
    "train detail": (
        "train_detail:TrainDetail",
        "train what expressions do to a painted avatar's skin",
    ),
    "train evaluator": (
        "benchmark.train_evaluator:TrainEvaluator",
        "train the evaluator that `eval full` measures in",
    ),
    "train twins": (
        "benchmark.train_twins:TrainTwins",
        "train what the language model is compared with",
    ),
    "eval": ("eval:Evaluate", "measure reconstruction, text -> motion, motion -> text"),
    "eval retarget": ("retarget:EvaluateRetarget", "measure motion between heads and back"),
    "eval avatar": (
        "eval_avatar:EvaluateAvatar",
        "measure avatars made from photos, and their speed",
    ),
    "eval control": (
        "eval_control:EvaluateControl",
        "measure editing, take-overs, long streams and times asked for",
    ),
    "eval tokenizers": (
        "eval_tokenizers:EvaluateTokenizers",
        "train every form of token alike and compare them",
    ),
    "eval full": (
        "benchmark.command:EvaluateFull",
        "measure as the field does, with floors, ceilings and twins",
    ),
    "bench": ("bench:Bench", "measure speed"),
}
PLANNED = {"serve": "an HTTP service"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        Exit code: 0 done, 2 bad input (one line on stderr), 130 interrupted. A bug raises.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        with _holding_warnings():
            return _run(args)
    except Refusal as error:
        print(f"mien: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mien: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `mien ... | head` has read enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (the interpreter flushes it at exit)
        return 0


@contextlib.contextmanager
def _holding_warnings() -> Iterator[None]:
    """Print what our libraries warned of at the end; a refusal has its one line for itself."""
    held = logging.handlers.BufferingHandler(capacity=10_000)
    logger = logging.getLogger("mien")
    logger.addHandler(held)
    try:
        yield
        for record in held.buffer:
            text = one_line(record.getMessage(), MAX_CHARACTERS)
            print(f"mien: warning: {text}", file=sys.stderr)
    finally:
        logger.removeHandler(held)


def _run(args: list[str]) -> int:
    if not args or args[0] in {"-h", "--help", "help"}:
        print(_help(VERBS), file=sys.stdout if args else sys.stderr)
        return 0 if args else 2
    if args[0] == "--version":
        from importlib.metadata import version

        print(f"mien {version('mien')}")
        return 0
    config = parse(args)
    if config is not None:
        config.run()
    return 0


def run_alone(options: type) -> int:
    """Run a command that is no verb of `mien`; 0 done, 2 bad input."""
    import tyro

    try:
        tyro.cli(options, config=(tyro.conf.FlagCreatePairsOff,)).run()
    except Refusal as error:
        print(f"mien: error: {error}", file=sys.stderr)
        return 2
    return 0


def parse(args: list[str]) -> Any:
    """The verb's dataclass filled in from the arguments, or None where help was shown.

    Raises:
        Refusal: If there is no such verb, or its options cannot be read.
    """
    verb, rest = _find_verb(args)
    if verb is None:
        print(_help({v: VERBS[v] for v in VERBS if v.startswith(f"{args[0]} ")}))
        return None
    return _read_options(verb, rest)


def _find_verb(args: list[str]) -> tuple[str | None, list[str]]:
    """The verb and the arguments after it; None where help on a group of verbs is asked for."""
    if " ".join(args[:2]) in VERBS:
        return " ".join(args[:2]), args[2:]
    if args[0] in VERBS:
        return args[0], args[1:]
    group = [verb.split()[1] for verb in VERBS if verb.startswith(f"{args[0]} ")]
    if group:
        if args[1:2] and args[1] in {"-h", "--help"}:
            return None, []
        got = repr(args[1]) if args[1:] else "nothing"
        raise Refusal(f"`mien {args[0]}` wants one of {', '.join(group)}, got {got}.")
    if args[0] in PLANNED:
        raise Refusal(f"`mien {args[0]}` ({PLANNED[args[0]]}) is not built yet.")
    names = dict.fromkeys(verb.split()[0] for verb in VERBS)
    raise Refusal(
        f"wanted one of the commands {', '.join(names)}, got {args[0]!r}; see `mien --help`."
    )


def _read_options(verb: str, args: list[str]) -> Any:
    """The verb's filled-in dataclass, or None where its help was shown."""
    import tyro

    module, name = VERBS[verb][0].split(":")
    options = getattr(importlib.import_module(f"mien.apps.{module}"), name)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), refusing():
            return tyro.cli(
                options, args=args, prog=f"mien {verb}", config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            return None
        raise Refusal(_flatten(complaint.getvalue(), verb)) from None


def _flatten(box: str, verb: str) -> str:
    """The first paragraph of tyro's complaint, boxed or ruled by dashes, as one line."""
    lines = [line.strip("│| ").strip() for line in box.splitlines()]
    if len(lines) > 1 and re.fullmatch(r"-{3,}", lines[1]):
        lines = lines[2:]  # a title and a rule: how tyro draws where the box's signs cannot be
    body: list[str] = []
    for line in lines:
        if re.match(r"^[─-]{3,}", line) or line.startswith("Got errors"):
            break
        if line and not line.startswith("╭"):
            body.append(line)
    text = " ".join(body).rstrip(".") or "the options could not be read"
    if wrong := re.match(r"Error parsing (\S+): ", text):
        got = " ".join(re.findall(r"'([^']*)'", text))
        text = f"{wrong[1]} wants another kind of value, got {got!r}"
    return f"{text}; see `mien {verb} --help`."


def _help(verbs: dict[str, tuple[str, str]]) -> str:
    rows = "\n".join(f"  mien {verb:<16} {text}" for verb, (_, text) in verbs.items())
    more = "Options of a command: mien COMMAND --help"
    return f"Language to facial motion, and back.\n\n{rows}\n\n{more}"
