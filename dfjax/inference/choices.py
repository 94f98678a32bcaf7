"""What a user chooses from by name, for verbs whose help is shown without JAX: no import of this module is heavy."""

SOLVERS = ('dpm++', 'ddim', 'ddpm')  # of `solvers`: from noise to pictures
PATHS = ('spherical', 'linear')  # of `latents.PATHS`: between codes
EASINGS = ('none', 'smooth', 'in', 'out')  # of `latents.EASINGS`: along a leg of a path
