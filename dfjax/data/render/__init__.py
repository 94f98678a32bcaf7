"""Procedural heads: pictures with known landmarks, masks and parameters, and no assets."""

from dfjax.data.render.animate import animate
from dfjax.data.render.parameters import (
    attributes,
    random_expression,
    random_identity,
    random_light,
    random_motion,
    random_pose,
    stack,
    swapped,
)
from dfjax.data.render.people import random_motions, random_people
from dfjax.data.render.render import Rendered, render, truth

__all__ = [
    'Rendered',
    'animate',
    'attributes',
    'random_expression',
    'random_identity',
    'random_light',
    'random_motion',
    'random_motions',
    'random_people',
    'random_pose',
    'render',
    'stack',
    'swapped',
    'truth',
]
