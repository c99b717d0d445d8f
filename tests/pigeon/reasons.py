"""Reason codes of pigeons."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What a pigeon reports."""

    BIRD_LANDED = "bird_landed"
    CAT_LIVES_THERE = "cat_lives_there"
    LOFT_WITHOUT_CAT = "loft_without_cat"
