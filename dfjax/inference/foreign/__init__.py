"""Checkpoints of the original projects: read without PyTorch and without running anything in them.

tensors.py    a file -> its state dicts, as NumPy arrays (`unpickle.py` reads the pickles in it)
layers.py     a state dict -> parameters, by a table from our layers to its names, or a comparison that says why not
tables.py     those tables and what follows from the shapes, a class a net
convert.py    files of a system's nets -> a run
"""
