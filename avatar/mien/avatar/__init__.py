"""Gaussian head avatars: what they are made of, how they move, and how they are drawn."""

from mien.avatar.avatar import Avatar
from mien.avatar.gaussians import Gaussians
from mien.avatar.ply import read_ply, write_ply
from mien.avatar.render import Image, render, render_cameras, render_frames

__all__ = [
    "Avatar",
    "Gaussians",
    "Image",
    "read_ply",
    "render",
    "render_cameras",
    "render_frames",
    "write_ply",
]
