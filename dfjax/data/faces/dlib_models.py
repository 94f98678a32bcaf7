"""Where dlib's trained models lie: in the installed package face_recognition_models, which is never imported.

(Importing it needs pkg_resources, which today's setuptools no longer brings.)
"""

from importlib.util import find_spec
from pathlib import Path

from dfjax.errors import InputError

LANDMARKS = 'shape_predictor_68_face_landmarks.dat'  # trained on iBUG 300-W: non-commercial
DESCRIPTOR = 'dlib_face_recognition_resnet_model_v1.dat'


def dlib_model(name: str) -> str:
    """The path of a model file; InputError where the package or the file is missing."""
    spec = find_spec('face_recognition_models')
    folders = spec.submodule_search_locations if spec else []
    for folder in folders or []:
        path = Path(folder) / 'models' / name
        if path.is_file():
            return str(path)
    raise InputError(f'{name} is missing: install it with `pip install face_recognition_models`')
