"""How a face is laid into frames, as the page says it: those settings of `dfjax convert` that people use."""

from collections.abc import Mapping

from dfjax.inference.settings import BY_FIELD, Settings, key_of

NAMES = ('mode', 'mask', 'erode', 'blur', 'scale', 'colour', 'sharpen')


def laid(said: Mapping, mask_net: str | None = None) -> Settings:
    """The settings among what the page sends.

    Args:
        mask_net: the folder of a mask net's run, for the mask by one.

    Raises:
        InputError: one is none that there is, is out of its range, or contradicts another.
    """
    given = {name: said[name] for name in NAMES if said.get(name) not in (None, '')}
    return Settings(**given, mask_net=mask_net or '').check()


def words_of(settings: Settings) -> list[str]:
    """The options of a command line that say them; what is as it always is goes without."""
    values = {name: getattr(settings, name) for name in (*NAMES, 'mask_net')}
    changed = {name: value for name, value in values.items() if value != BY_FIELD[name].default}
    said = {key_of(BY_FIELD[name]).replace('_', '-'): value for name, value in changed.items()}
    return [f'--{name}={value if isinstance(value, str) else format(value, "g")}' for name, value in said.items()]
