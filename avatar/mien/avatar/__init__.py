"""Gaussian head avatars: what they are made of, how they move, and how they are drawn."""

from mien.avatar.gaussians import Gaussians
from mien.avatar.render import Image, render, render_frames

__all__ = ["Gaussians", "Image", "render", "render_frames"]
