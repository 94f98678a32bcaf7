"""Installs `dfjax` and its one command; see README.md."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'dfjax/__init__.py').read_text())[1]

setup(
    name='dfjax',
    version=VERSION,
    description='Face and image synthesis in JAX and Flax: swap, animate, translate, edit.',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11',
    # configs/ stands at the top of the tree, where people look for it, and is installed within the package.
    packages=[*find_packages(include=['dfjax', 'dfjax.*']), 'dfjax.configs'],
    package_dir={'dfjax.configs': 'configs'},
    package_data={
        'dfjax': ['py.typed'],
        'dfjax.apps': ['watch.html'],
        'dfjax.apps.studio': ['page/*'],
        'dfjax.data.render': ['head3d.npz'],
        'dfjax.inference': ['lips.npz'],
    },
    install_requires=[
        'argcomplete>=3.2',
        "array-record>=0.8.1; sys_platform != 'win32'",  # packed data sets, which Windows thus has none of
        'av>=18.1',
        'c2pa-python>=0.38',
        'cryptography>=42',
        'dlib-bin>=20.0.1',
        'dm-pix>=0.4.3',
        'einops>=0.8',
        'face_recognition_models>=0.3',
        'flatbuffers>=24.3',
        'flax>=0.12',
        'grain>=0.2.15',
        'h5py>=3.11',
        'importlib_resources>=6.1',  # tensorflow-datasets needs it and does not say so
        'jax>=0.8,!=0.10.2',  # jaxlib 0.10.2 adds up wrong sums on a CPU: tests/test_jaxlib.py
        'ml_collections>=1.1',
        'ml_dtypes>=0.5',
        'numpy>=2',
        'opencv-python-headless>=4.13.0.92',
        'optax>=0.2.5',
        'orbax-checkpoint>=0.11.30',
        'pillow>=11.3',  # the first that reads AVIF by itself; tensorboardX needs one too and does not say so
        'tensorboardX>=2.6.2',
        'tensorflow-datasets>=4.9.10',
        'tqdm>=4.66',
    ],
    extras_require={
        'test': [
            'httpx>=0.27',  # asks the studio as a browser would
            'ipykernel>=6.29',
            'mkdocs-material>=9.5',
            'mkdocstrings-python>=1.12',
            'mypy>=1.13',
            'nbclient>=0.10',
            'nbformat>=5.10',
            'playwright>=1.45',  # tests in Chromium, where Debian's package `chromium` has brought it
            'pytest-xdist>=3.6',
            'pytest>=8',
            'ruff>=0.8',
            'scikit-image>=0.26',
            'scipy>=1.14',
            'starlette>=1.0',
            'uvicorn>=0.30',
        ],
        'docs': ['mkdocs-material>=9.5', 'mkdocstrings-python>=1.12'],
        'studio': ['starlette>=1.0', 'uvicorn>=0.30'],
        'bench': ['torch>=2.5'],
        'heic': ['pillow-heif>=0.18'],  # pictures of phones
        'cuda': ['jax[cuda12]'],
        'tpu': ['jax[tpu]'],
    },
    entry_points={'console_scripts': ['dfjax = dfjax.apps.cli:main']},
)
