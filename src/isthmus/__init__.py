"""Isthmus: nothing crosses but what every party agreed may cross."""

__version__ = "0.1.0"
