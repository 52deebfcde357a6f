"""Paint the avatars that come with the package.

Run from the repository's root: python avatar/bake/bake_looks.py [NAME ...]
"""

import dataclasses
import sys

from mien.avatar.avatar import Avatar
from mien.avatar.avatar_file import LOOKS, SUFFIX
from mien.avatar.recipes import RECIPES, make


def main(names: list[str]) -> None:
    """Paint and save the named avatars, all if none is named."""
    unknown = sorted(set(names) - set(RECIPES))
    if unknown:
        raise SystemExit(f"The recipes are {', '.join(RECIPES)}; got {', '.join(unknown)}.")
    for name in names or list(RECIPES):
        folder = LOOKS / f"{name}{SUFFIX}"
        kept = Avatar.load(folder).detail if folder.exists() else None  # of the same texture
        avatar = dataclasses.replace(make(name), detail=kept)
        avatar.save(folder)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        sys.stdout.write(f"{name}: {len(avatar)} splats, {size:.1f} MB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
