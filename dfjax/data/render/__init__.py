"""Procedural heads: pictures with known landmarks, masks and parameters, and no assets."""
