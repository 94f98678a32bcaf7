"""Load a run, apply its nets in batches."""
