"""Weight files of other projects: readers that run nothing in them, and each system's names for its layers."""
