"""Flax Linen modules: blocks, then nets."""
