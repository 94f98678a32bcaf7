"""Named runs: `get_config(variant)` of each system. `dfjax.config.load_config` reads them by path."""
