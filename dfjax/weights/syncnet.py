"""SyncNet alone, as Wav2Lip's checkpoints of it name its layers; see `weights.wav2lip`."""

from collections.abc import Mapping
from typing import Any

from dfjax.weights import wav2lip
from dfjax.weights.layers import Layer
from dfjax.weights.reader import Reader, Weights

NET, NOTICE = 'sync', wav2lip.NOTICE


def _sizes(weights: Weights) -> dict[str, Any]:
    return {key.removeprefix(f'{NET}.'): value for key, value in wav2lip.NETS[NET].sizes(weights).items()}


def _layers(model: Mapping) -> dict[str, Layer]:
    return wav2lip.NETS[NET].layers({NET: model})


def config(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The config of the net found: embeddings are never negative, and blue comes first."""
    frames = {'frames': found['frames']} if 'frames' in found else {}
    return {'model': {**found, 'relu': True, 'aligned': False, 'bgr': True, 'bias': True}, 'data': frames}


NETS = {NET: Reader(_sizes, _layers)}
