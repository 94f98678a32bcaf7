"""The PyTorch sides of `dfjax bench`."""
