"""Readers of published weight files, and the one strict converter."""
