"""Motions of heads that look straight and calm but for what is asked for, and people by number. It is not a test."""

from dfjax.data import render as heads

CALM = {'open': 0, 'smile': 0, 'pucker': 0, 'blink': 0, 'wink': 0, 'squint': 0, 'brow_raise': 0, 'brow_frown': 0}
STRAIGHT = {'yaw': 0, 'pitch': 0, 'roll': 0, 'x': 0, 'y': 0, 'scale': 0.28, 'gaze_x': 0, 'gaze_y': 0}


def motion(**changes) -> dict:
    return heads.random_light(3) | CALM | STRAIGHT | changes


def people(count: int, first: int = 0) -> dict:
    return heads.stack([heads.random_identity(first + k) for k in range(count)])
