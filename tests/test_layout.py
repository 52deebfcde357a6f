import ast
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
ROOTS = PROJECT["tool"]["hatch"]["build"]["dev-mode-dirs"]
# What each root may import besides itself: its floor and everything below.
LEVELS = {"core": 0, "tokenizer": 1, "avatar": 1, "data_synth": 1, "llm": 2, "apps": 3}
ACROSS = {("data_synth", "avatar")}  # a corpus may render
FILES = sorted(p for root in ROOTS for p in (REPOSITORY / root).rglob("*.py"))
MIB = 2**20


def root_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).parts[0]


def owners() -> dict[str, str]:
    """Part of the namespace (`mien.motion`) -> root that holds it."""
    found: dict[str, str] = {}
    for root in ROOTS:
        for path in (REPOSITORY / root / "mien").iterdir():
            if path.suffix == ".py" or (path / "__init__.py").exists():
                assert path.stem not in found, (
                    f"{path} and {found[path.stem]} hold the same module"
                )
                found[path.stem] = root
    return found


def imported_parts(source: str) -> set[str]:
    """Parts of `mien` that a source imports, those inside functions too."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "mien":
            names = [f"mien.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("mien.")}
    return parts


def may_import(importer: str, imported: str) -> bool:
    below = LEVELS[imported] < LEVELS[importer]
    return importer == imported or below or (importer, imported) in ACROSS


def test_every_list_of_roots_in_pyproject_is_the_same() -> None:
    tool = PROJECT["tool"]
    hatch = tool["hatch"]["build"]["targets"]
    assert set(ROOTS) == set(LEVELS)
    assert hatch["wheel"]["packages"] == [f"{root}/mien" for root in ROOTS]
    assert hatch["sdist"]["include"][: len(ROOTS)] == ROOTS
    assert tool["pytest"]["ini_options"]["pythonpath"] == [".", *ROOTS]
    assert tool["pytest"]["ini_options"]["testpaths"] == ["tests", *ROOTS]
    assert tool["mypy"]["mypy_path"] == ROOTS
    assert tool["mypy"]["files"] == [*ROOTS, "tests"]
    assert tool["pyright"]["include"] == [*ROOTS, "tests"]
    assert tool["pyright"]["extraPaths"] == ROOTS
    assert tool["ruff"]["src"] == ROOTS


def test_namespace_folders_have_no_init_and_every_package_below_has_one() -> None:
    for root in ROOTS:
        assert not (REPOSITORY / root / "__init__.py").exists()
        assert not (REPOSITORY / root / "mien" / "__init__.py").exists()
    folders = {path.parent for path in FILES if "mien" in path.relative_to(REPOSITORY).parts[:-2]}
    assert folders
    for folder in folders:
        assert (folder / "__init__.py").exists(), f"{folder} has no __init__.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_module_imports_only_from_its_own_root_and_those_below(path: Path) -> None:
    holders = owners()
    for part in imported_parts(path.read_text(encoding="utf-8")):
        assert part in holders, f"{path} imports mien.{part}, which no root holds"
        assert may_import(root_of(path), holders[part]), f"{path} imports mien.{part}"


def test_the_direction_of_imports_is_judged_as_the_design_says() -> None:
    assert may_import("apps", "llm") and may_import("data_synth", "avatar")
    assert not may_import("avatar", "data_synth") and not may_import("core", "tokenizer")
    assert not may_import("tokenizer", "avatar")


def test_imports_inside_functions_count() -> None:
    source = "def f():\n    from mien import pipeline\n    import mien.llm.model\n"
    assert imported_parts(source) == {"pipeline", "llm"}


def test_no_file_is_a_drawer_or_too_long() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "misc", "helpers", "common"}, path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, f"{path} is too long"


def test_every_root_says_what_its_room_is_for() -> None:
    for root in ROOTS:
        text = (REPOSITORY / root / "README.md").read_text(encoding="utf-8")
        assert len(text.split()) >= 15, f"{root}/README.md says too little"


def test_shipped_weights_stay_small() -> None:
    sizes = {
        p: p.stat().st_size for root in ROOTS for p in (REPOSITORY / root).rglob("*.safetensors")
    }
    assert sum(sizes.values()) <= 60 * MIB, sizes
    assert all(size <= 16 * MIB for size in sizes.values()), sizes
