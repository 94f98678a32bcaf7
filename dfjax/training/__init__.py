"""The one loop, its checkpoints, devices and reports."""
