"""Figures: what a swap or a trained run is worth on data that it has not learnt from."""
