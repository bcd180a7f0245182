"""The suffixes of files in captioned folders."""

from __future__ import annotations

__all__ = ["ARCHIVES", "IMAGES", "IMAGES_THAT_NO_TRAINER_READS", "TEXTS", "VIDEOS"]

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jxl", ".heic", ".heif"}
VIDEOS = frozenset({".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v"})

IMAGES = frozenset(_PICTURES | VIDEOS)
"""Of pictures and videos."""

IMAGES_THAT_NO_TRAINER_READS = frozenset(
    {".jfif", ".jpe", ".jp2", ".tga", ".ppm", ".pgm", ".pnm", ".ico", ".svg", ".psd", ".xcf", ".exr", ".hdr", ".raw"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"}
)

TEXTS = (".txt", ".caption")
"""Suffixes of caption files, most common first."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip", ".7z", ".rar")
