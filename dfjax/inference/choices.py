"""What a user chooses from by name, for verbs whose help is shown without JAX: no import of this module is heavy."""

SOLVERS = ('dpm++', 'ddim', 'ddpm')  # `solvers`: from noise to pictures
PATHS = ('spherical', 'linear')  # `latents.PATHS`: between codes
EASINGS = ('none', 'smooth', 'in', 'out')  # `latents.EASINGS`: along a leg of a path
