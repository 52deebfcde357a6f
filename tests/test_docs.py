import re
import shlex
import subprocess
from pathlib import Path

import pytest

from mien.apps.cli import VERBS, parse

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(p for p in REPOSITORY.glob("*/README.md") if p.parent.name[0] != "."),
    ]
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


def commands(text: str) -> list[list[str]]:
    """Every `mien` command in a page's blocks, as the shell would split it."""
    found = []
    for block in blocks(text, "[a-z]*"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and Path(words[0]).name == "mien":
                    found.append(words[1:])
    return found


def test_commands_are_found_in_a_page() -> None:
    page = (
        '```bash\npip install . && .venv/bin/mien animate \\\n  "a smile" -o a.mp4  # says\n```\n'
    )
    assert commands(page) == [["animate", "a smile", "-o", "a.mp4"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_every_command_on_a_page_has_options_that_exist(page: Path) -> None:
    for argv in commands(page.read_text(encoding="utf-8")):
        assert parse(argv) is not None, argv


def test_the_readme_shows_every_command() -> None:
    shown = {" ".join(argv[:n]) for argv in commands(README) for n in (1, 2)}
    missing = set(VERBS) - shown - {"avatar show"}
    assert not missing, missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_two_printed_commands_are_whole_shell_commands() -> None:
    printed = blocks(README, "bash")
    assert len(printed) == 2
    assert "mien animate" in printed[0] and printed[1].rstrip().endswith(".venv/bin/pytest")
    for command in printed:
        subprocess.run(["bash", "-n", "-c", command], check=True, capture_output=True)


def test_the_python_in_the_readme_runs() -> None:
    (example,) = blocks(README, "python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    frames = names["frames"]
    assert isinstance(frames, list) and len(frames) == 100
    assert frames[0].shape == (256, 256, 3)
