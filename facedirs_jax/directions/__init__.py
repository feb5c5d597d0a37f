"""Directions in template space: how they are found, and the file they are kept in."""
