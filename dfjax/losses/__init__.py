"""Pure functions, arrays in, scalars out."""
