"""Named runs: `get_config(variant)` of each system. Imported as `dfjax.configs`."""
