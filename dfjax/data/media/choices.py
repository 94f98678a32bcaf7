"""What a person may choose for whatever is read and written, by an option of any command or by the environment."""

import os

ALLOW_CUT, SDR, CONSENT = 'DFJAX_ALLOW_CUT', 'DFJAX_SDR', 'DFJAX_CONSENT'


def allow_cut() -> bool:
    """Whether a video that is cut short, or damaged further on, is taken as far as it goes."""
    return bool(os.environ.get(ALLOW_CUT))


def sdr() -> bool:
    """Whether a video of high dynamic range is written in the standard one, tone-mapped."""
    return bool(os.environ.get(SDR))


def consent() -> str:
    """What is said of the consent of the people shown; '' where nothing is."""
    return os.environ.get(CONSENT, '')
