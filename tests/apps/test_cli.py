import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.apps.benchmark.stub_endpoint import Stub, serving

from mien import pipeline
from mien.apps import cli
from mien.apps.cli import VERBS, main, parse
from mien.apps.refusal import Refusal
from mien.apps.tokens import TokenFile
from mien.arkit import CHANNEL_NAMES, motion_from_curves
from mien.motion import Motion

Run = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must be refused as every command refuses; gives its one line."""

    def run(*argv: object) -> str:
        assert main([str(arg) for arg in argv]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("mien: error: ") and err.endswith("\n") and err.count("\n") == 1
        return err

    return run


@pytest.fixture
def clip() -> Motion:
    """Two seconds of a face whose jaw and smile move."""
    curves = np.zeros((50, len(CHANNEL_NAMES)), np.float32)
    t = np.linspace(0, np.pi, 50)
    curves[:, CHANNEL_NAMES.index("jawOpen")] = 0.6 * np.sin(t) ** 2
    curves[:, CHANNEL_NAMES.index("mouthSmileLeft")] = 0.5 * np.sin(t)
    return motion_from_curves(curves, 25.0)


@pytest.fixture
def rows(clip: Motion, tmp_path: Path) -> list[str]:
    """Lines of the clip as a Live Link Face file."""
    from mien.formats import write_motion

    path = tmp_path / "whole.csv"
    write_motion(clip, path)
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text.splitlines()


# Finding the command ---------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mien.apps.cli import main; main(['--help']); "
        "sys.exit('torch' in sys.modules or 'tyro' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"mien {verb} " in done.stdout


def test_the_module_is_the_same_program() -> None:
    argv = [sys.executable, "-m", "mien.apps", "animate", "", "-o", "x.mp4"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mien: error: The prompt must say in words")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_that_names_each_option(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: mien {verb} " in out


@pytest.mark.parametrize(
    "argv", [["walk"], ["train"], ["train", "cat"], ["avatar", "sing"], ["track"]]
)
def test_an_unknown_command_is_refused_and_the_known_ones_named(
    argv: list[str], refused: Run
) -> None:
    assert argv[-1] in refused(*argv)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["animate"], "TEXT"),
        (["animate", "hi", "--wings"], "--wings"),
        (["animate", "hi", "--seconds", "soon"], "soon"),
        (["animate", "hi", "--seconds"], "--seconds"),
        (["animate", "hi", "--device", "tpu"], "tpu"),
        (["animate", "hi", "there"], "there"),
        (["caption"], "PATH"),
        (["convert", "only-one.csv"], "OUT"),
    ],
)
def test_options_that_cannot_be_read_are_refused_in_one_line(
    argv: list[str], said: str, refused: Run
) -> None:
    assert said in refused(*argv)


def test_no_command_at_all_shows_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "mien animate" in capsys.readouterr().err


def test_options_arrive_in_the_dataclass() -> None:
    config = parse(["animate", "a smile", "-o", "a.mp4", "-o", "b.csv", "--seconds", "3"])
    assert config.output == (Path("a.mp4"), Path("b.csv"))
    assert (config.text, config.seconds, config.seed, config.fps) == ("a smile", 3.0, 0, 25.0)
    with pytest.raises(Refusal):
        parse(["animate"])


def test_a_bug_keeps_its_traceback_and_an_interruption_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(args: list[str]) -> int:
        raise RuntimeError("bug")

    def interrupted(args: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", broken)
    with pytest.raises(RuntimeError, match="bug"):
        main(["animate"])
    monkeypatch.setattr(cli, "_run", interrupted)
    assert main(["animate"]) == 130
    assert capsys.readouterr().err == "mien: interrupted\n"


# Prompts, numbers and outputs of `mien animate` -------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must say in words"),
        ("   ", "must say in words"),
        ("!!!", "must say in words"),
        ("a", "must say in words"),
        ("a smile \udcff", "must be UTF-8 text"),
        ("smile " * 10_000, "got 10000"),
        ("她害羞地笑了", "English"),
        ("sie lächelt schüchtern", "not known: 'sie', 'lächelt', 'schüchtern'"),
        ("ein Lächeln", "not known: 'ein', 'Lächeln'"),
        ("qwertzuiop asdfghjkl", "not known"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(
    text: str, said: str, refused: Run, tmp_path: Path
) -> None:
    assert said in refused("animate", text, "-o", tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", ["0", "-1", "600", "nan", "inf"])
def test_lengths_out_of_range_are_refused(seconds: str, refused: Run, tmp_path: Path) -> None:
    line = refused("animate", "a smile", "--seconds", seconds, "-o", tmp_path / "out.mp4")
    assert "from 0.2 to 120" in line and f"got {float(seconds):g}" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "-1"], "seed"),
        (["--fps", "0"], "fps"),
        (["--size", "511"], "even number"),
        (["--temperature", "-1"], "temperature"),
        (["--top-p", "0"], "top_p"),
        (["--avatar", "nobody"], "adult"),
    ],
)
def test_other_settings_out_of_range_are_refused(
    options: list[str], said: str, refused: Run, tmp_path: Path
) -> None:
    assert said in refused("animate", "a smile", "-o", tmp_path / "out.mp4", *options)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_is_refused_where_there_is_none(refused: Run, tmp_path: Path) -> None:
    line = refused("animate", "a smile", "-o", tmp_path / "out.mp4", "--device", "cuda")
    assert "no CUDA device" in line


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "at least one file"),
        (["out"], "no extension"),
        (["out.doc"], "got .doc"),
        (["out.html"], "not supported yet; wanted one of .mp4"),
        (["out.flame.npz"], "FLAME parameters"),
        (["no/folder/out.mp4"], "no folder"),
        (["a.mp4", "b.csv", "./a.mp4"], "named twice"),
        (["folder.mp4"], "got a folder"),
        (["pipe.mp4"], "a device or a pipe"),
        (["x" * 300 + ".mp4"], "name too long"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    names: list[str], said: str, refused: Run, tmp_path: Path
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    before = sorted(tmp_path.rglob("*"))
    outputs = [arg for name in names for arg in ("-o", f"{tmp_path}/{name}")]
    assert said.lower() in refused("animate", "a smile", *outputs).lower()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_is_write_protected_is_not_replaced(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("precious")
    path.chmod(0o444)
    assert "is write-protected" in refused("animate", "a smile", "-o", path)
    assert path.read_text() == "precious"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_refused(refused: Run) -> None:
    assert "cannot write in /proc" in refused("animate", "a smile", "-o", "/proc/out.mp4")


# Clips ------------------------------------------------------------------------------------------


def spoil(rows: list[str], kind: str) -> str:
    """A Live Link Face file with one thing wrong."""
    fields = [row.split(",") for row in rows]
    text = "\n".join(rows) + "\n"
    if kind == "a missing column":
        return "\n".join(",".join(f[:20] + f[21:]) for f in fields)
    if kind == "a missing value":
        return "\n".join([*rows[:5], ",".join(fields[5][:-1]), *rows[6:]])
    if kind == "no rows":
        return rows[0] + "\n"
    if kind == "one row":
        return "\n".join(rows[:2]) + "\n"
    if kind == "another delimiter":
        return text.replace(",", ";")
    if kind == "a truncated last line":
        return text[: -len(rows[-1]) // 2]
    if kind == "a cut last number":
        return text[:-9]
    if kind == "quotes":
        return "\n".join(",".join(f'"{field}"' for field in f) for f in fields)
    if kind == "all negative":
        below = [[*f[:2], *(str(-float(field)) for field in f[2:])] for f in fields[1:]]
        return "\n".join(",".join(f) for f in [fields[0], *below])
    if kind == "no header":
        return "\n".join(rows[1:])
    values = {
        "NaN": "nan",
        "infinity": "inf",
        "text": "smile",
        "empty": "",
        "negative": "-5",
        "a little negative": "-0.2",
        "100 times": "85",
    }
    fields[7][30] = values[kind]
    return "\n".join(",".join(f) for f in fields)


KINDS = [
    *("a missing column", "a missing value", "no rows", "one row", "another delimiter"),
    *("a truncated last line", "a cut last number", "no header", "quotes"),
    *("NaN", "infinity", "text", "empty", "100 times"),
    *("negative", "a little negative", "all negative"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoiled_csv_is_refused_and_nothing_is_written(
    kind: str, rows: list[str], refused: Run, tmp_path: Path
) -> None:
    path, output = tmp_path / "take.csv", tmp_path / "out.npz"
    path.write_text(spoil(rows, kind), encoding="utf-8")
    output.write_bytes(b"what was there before")
    assert "take.csv" in refused("convert", path, output)
    assert output.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.npz", "take.csv"]


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("field", ["0.0000000001", "-0.002", "1.01"])
def test_the_unspoiled_csv_is_taken(field: str, end: str, rows: list[str], tmp_path: Path) -> None:
    path, output = tmp_path / "take.csv", tmp_path / "out.npz"
    fields = rows[7].split(",")
    rows[7] = ",".join([*fields[:30], field, *fields[31:]])
    path.write_text("\n".join(rows) + end, encoding="utf-8")
    assert main(["convert", str(path), str(output)]) == 0
    assert Motion.load(output).num_frames == 50


@pytest.mark.parametrize("verb", ["caption", "tokenize"])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "no such file"),
        ("empty.csv", b"", "empty"),
        ("bytes.csv", bytes(range(256)) * 50, "not text"),
        ("bytes.npz", bytes(range(256)) * 50, "npz"),
        ("zip.npz", b"PK\x05\x06" + bytes(18), "not a motion"),
        ("bytes.safetensors", bytes(range(256)) * 50, "safetensors"),
        ("bytes.gesichter", bytes(range(256)) * 50, "recording"),
        ("words.mp4", b"this is not a video", "is not a readable video"),
        ("words.txt", b"a smile", "got .txt"),
        ("noextension", b"a smile", "no extension"),
    ],
)
def test_files_that_are_no_clips_are_refused(
    verb: str, name: str, content: bytes | None, said: str, refused: Run, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert said in refused(verb, path)


def test_a_csv_of_two_gigabytes_is_refused_unread(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as stream:
        stream.truncate(2 * 2**30)  # sparse: takes no space
    assert "2,048 MB" in refused("caption", path)


def test_an_npz_with_objects_is_refused_and_runs_nothing(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, header=np.array({"expr": 1}, dtype=object))
    assert "objects" in refused("caption", path)


def test_a_motion_of_another_head_is_refused(clip: Motion, refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "flame.npz.npz"
    clip.replace(expr=torch.zeros(50, 100), head="flame").save(path)
    assert "default head" in refused("caption", path)


def test_a_folder_is_no_clip(refused: Run, tmp_path: Path) -> None:
    assert "wanted a file" in refused("caption", tmp_path)


def test_a_clip_is_not_written_over_itself(clip: Motion, refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    clip.save(path)
    assert "named twice" in refused("convert", path, path)


# Converting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".csv", ".npz", ".safetensors"])
def test_a_clip_survives_every_format(kind: str, clip: Motion, tmp_path: Path) -> None:
    first, between, last = tmp_path / "a.npz", tmp_path / f"b{kind}", tmp_path / "c.npz"
    clip.save(first)
    assert main(["convert", str(first), str(between)]) == 0
    assert main(["convert", str(between), str(last)]) == 0
    back = Motion.load(last)
    assert back.fps == clip.fps
    torch.testing.assert_close(back.expr, clip.expr, rtol=0, atol=1e-6)
    torch.testing.assert_close(back.jaw_pose, clip.jaw_pose, rtol=0, atol=1e-6)


def test_converting_can_change_the_frame_rate(clip: Motion, tmp_path: Path) -> None:
    clip.save(tmp_path / "a.npz")
    argv = ["convert", f"{tmp_path}/a.npz", f"{tmp_path}/b.csv", "--fps", "60"]
    assert main(argv) == 0
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 121


def test_tokens_of_another_codebook_are_refused(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('{"format": "mien-tokens", "version": 1, "indices": [1, 2, 9]}')
    assert "tokens.json: A token file must hold" in refused(
        "detokenize", path, "-o", tmp_path / "a.npz"
    )
    assert "There is no file" in refused(
        "detokenize", tmp_path / "gone.json", "-o", tmp_path / "a.npz"
    )
    assert "must be a file" in refused("detokenize", tmp_path, "-o", tmp_path / "a.npz")


def test_tokens_of_another_frame_rate_are_refused(refused: Run, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = TokenFile((1, 2), codebook_size=1024, fps=30.0).to_json()
    path.write_text(text, encoding="utf-8")
    assert "25 frames a second, got 30" in refused("detokenize", path, "-o", tmp_path / "a.npz")


# Rewriting a prompt ----------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, clip: Motion) -> list[str]:
    """What `mien animate` asks the models for; they are not loaded."""
    texts: list[str] = []

    def record(text: str, *args: object, **options: object) -> Motion:
        texts.append(text)
        return clip

    monkeypatch.setattr(pipeline, "animate", record)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return texts


def test_a_prompt_in_any_language_is_rewritten_first_where_that_is_asked_for(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Stub(content="she smiles")) as stub:
        options = ["--rewrite-url", stub.url, "--rewrite-model", "tiny", "--rewrite-timeout", "5"]
        out = str(tmp_path / "a.npz")
        assert main(["animate", "она улыбается", "-o", out, *options]) == 0
        assert stub.requests[0][2]["model"] == "tiny"
    assert asked == ["she smiles"] and Path(out).is_file()
    assert "read as: she smiles" in capsys.readouterr().err


def test_a_rewriter_that_answers_nonsense_is_refused_and_nothing_written(
    asked: list[str], refused: Run, tmp_path: Path
) -> None:
    with serving(Stub(content="zorblax quinfle")) as stub:
        options = ["--rewrite-url", stub.url, "--rewrite-model", "tiny", "--rewrite-timeout", "5"]
        said = refused("animate", "smile", "-o", tmp_path / "a.npz", *options)
    assert "not known" in said and not asked and not list(tmp_path.iterdir())


def test_nothing_is_sent_before_everything_else_is_checked(
    asked: list[str], refused: Run, tmp_path: Path
) -> None:
    with serving(Stub()) as stub:
        options = ["--rewrite-url", stub.url, "--rewrite-model", "tiny"]
        refused("animate", "smile", "-o", tmp_path / "a.npz", "--seconds", "0", *options)
        assert not stub.requests
    lonely = ["-o", tmp_path / "a.npz", "--rewrite-model", "tiny"]
    assert "rewrite-url" in refused("animate", "smile", *lonely)


def test_the_network_is_not_imported_unless_it_is_asked() -> None:
    code = "import sys, mien.apps.animate; sys.exit('ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
