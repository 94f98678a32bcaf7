"""dfjax: face and image synthesis in JAX and Flax. `dfjax --help` is the application; README.md the guide."""

__version__ = '0.1.0'
