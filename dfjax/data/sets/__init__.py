"""Data sets by name: face sets, pictures, tfds datasets, rendered people."""
