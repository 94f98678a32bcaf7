"""Pure array operations on jnp arrays: geometry and image. Imported by everything, imports nothing of dfjax."""
