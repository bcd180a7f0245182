"""Texts in which case and accents are written in several ways, and what a search finds of them, on every page."""

from __future__ import annotations

TEXTS = [
    "İSTANBUL by night",
    "istanbul by day",
    "Ο ΔΡΟΜΟΣ",
    "ένας δρόμος, δρομος",
    "eine Straße",
    "EINE STRASSE",
    "DIE GRO\u1e9eE STADT",
    "caf\xe9 noir",
    "CAFE\u0301 BLANC",
    "cafe au lait",
    "Ǆungla 東京",
]
"""Captions."""

FOUND = {
    "istanbul": [0, 1],
    "İstanbul": [0, 1],
    "ISTANBUL": [0, 1],
    "i\u0307stan": [0, 1],
    "δρομος": [2, 3],
    "ΔΡΟΜΟΣ": [2, 3],
    "δρομοσ": [2, 3],
    "ΔΡΟΜ": [2, 3],
    "straße": [4, 5],
    "STRASSE": [4, 5],
    "große": [6],
    "gross": [6],
    "caf\xe9": [7, 8],
    "CAFE\u0301": [7, 8],
    "cafe ": [9],
    "ǆ": [10],
    "東": [10],
    "%": [],
}
"""By what is searched for, the places of the texts that hold it."""
