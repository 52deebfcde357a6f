"""Tracking: a video or a photo of a face to the motion of the default head.

Landmarks come from MediaPipe's Face Landmarker (the extra `track`), or from anything else that
has the same protocol. Where its 478 landmarks lie on the default head, and what its scores say,
was measured on renders of known faces.
"""

from mien.tracking.footage import Crop, Footage
from mien.tracking.landmarker import Face, FaceLandmarker, MediaPipeLandmarker
from mien.tracking.measure import Errors, measure, table
from mien.tracking.model_file import download_model, find_model
from mien.tracking.sightings import Sightings, follow
from mien.tracking.smoothing import OneEuro, Smoothing, smooth
from mien.tracking.tracker import Tracking, track, track_sightings

__all__ = [
    "Crop",
    "Errors",
    "Face",
    "FaceLandmarker",
    "Footage",
    "MediaPipeLandmarker",
    "OneEuro",
    "Sightings",
    "Smoothing",
    "Tracking",
    "download_model",
    "find_model",
    "follow",
    "measure",
    "smooth",
    "table",
    "track",
    "track_sightings",
]
