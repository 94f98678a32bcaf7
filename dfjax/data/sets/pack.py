"""Packs a face set, or any pictures, into a tfds dataset: what `dfjax pack` runs, and what every tfds user can read."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tensorflow_datasets as tfds

from dfjax.data.faces.faceset import FaceSet, check_size, outlines_of
from dfjax.data.faces.polygons import Outlines
from dfjax.data.media.image import read_image
from dfjax.data.media.output import atomic_folder
from dfjax.data.names import INFO
from dfjax.data.sets.dataset import Dataset
from dfjax.data.sets.tfrecord import check_array_record


class FaceSetBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The face set as a tfds builder: split `train`, one example a face, in the order of lines.

    Pictures keep their bytes. A face without a descriptor has one of NaN, without a sharpness NaN. Outlines drawn by
    hand are one after another in `drawn` [K, 2], in picture pixels: the n-th has `drawn_points`[n] of them, and is
    where the face is, or, where `drawn_face`[n] is false, where it is not.
    """

    VERSION = tfds.core.Version('1.0.0')
    name = 'face_set'

    def __init__(self, *, faceset: FaceSet, **options):
        self.faceset = faceset
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        side, tensor = self.faceset.size, tfds.features.Tensor
        features = {
            'image': tfds.features.Image(shape=(side, side, 3)),
            'landmarks_aligned': tensor(shape=(68, 2), dtype=np.float32),
            'polygon': tensor(shape=(None, 2), dtype=np.float32),
            'drawn': tensor(shape=(None, 2), dtype=np.float32),
            'drawn_points': tensor(shape=(None,), dtype=np.int32),
            'drawn_face': tensor(shape=(None,), dtype=np.bool_),
            'descriptor': tensor(shape=(128,), dtype=np.float32),
            'matrix': tensor(shape=(2, 3), dtype=np.float64),
            'landmarks': tensor(shape=(68, 2), dtype=np.float32),
            'box': tensor(shape=(4,), dtype=np.float32),
            'sharpness': tfds.features.Scalar(np.float32),
            'time': tfds.features.Scalar(np.float64),
            'frame': tfds.features.Scalar(np.int64),
            'size': tfds.features.Scalar(np.int64),
            'face_type': tfds.features.Text(),
            'source': tfds.features.Text(),
            'file': tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description='Aligned faces with landmarks, outline, identity descriptor and the map from their source.',
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, manager: tfds.download.DownloadManager) -> dict:
        return {'train': self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        for n, (row, descriptor) in enumerate(zip(self.faceset.rows, self.faceset.descriptors())):
            face = row.face
            yield (
                n,
                {
                    'image': _picture_bytes(row.path, self.faceset.size),
                    'landmarks_aligned': row.landmarks,
                    'polygon': row.polygon,
                    **_flat(outlines_of(row)),
                    'descriptor': descriptor,
                    'matrix': row.matrix,
                    'landmarks': np.asarray(face.landmarks, np.float32),
                    'box': np.asarray(face.box, np.float32),
                    'sharpness': np.nan if face.sharpness is None else face.sharpness,
                    'time': face.time,
                    'frame': face.frame,
                    'size': self.faceset.size,
                    'face_type': self.faceset.face_type,
                    'source': face.source,
                    'file': row.file,
                },
            )


def _flat(outlines: Outlines) -> dict[str, np.ndarray]:
    """Outlines as arrays of one length each, which any reader of tfds takes."""
    polygons = (*outlines.face, *outlines.not_face)
    return {
        'drawn': np.concatenate([np.zeros((0, 2), np.float32), *polygons]).astype(np.float32),
        'drawn_points': np.array([len(polygon) for polygon in polygons], np.int32),
        'drawn_face': np.arange(len(polygons)) < len(outlines.face),
    }


class PicturesBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures with their labels as a tfds builder, as celeb_a has them: split `train`, truth values in `attributes`.

    The pictures of a folder keep their bytes and sides; others are saved without loss.
    """

    VERSION = tfds.core.Version('1.0.0')
    name = 'pictures'

    def __init__(self, *, source: Dataset, **options):
        self.source = source
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {'image': tfds.features.Image(shape=(None, None, 3)), 'file': tfds.features.Text()}
        if self.source.labels:
            features['attributes'] = {label: np.bool_ for label in self.source.labels}
        return tfds.core.DatasetInfo(
            builder=self,
            description='Pictures and what is known of them.',
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, manager: tfds.download.DownloadManager) -> dict:
        return {'train': self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict]]:
        paths = getattr(self.source, 'paths', None)
        for n in range(len(self.source)):
            own = paths and paths[n].is_file()  # a frame of a video has no file
            data = _picture_bytes(paths[n]) if own else _png(self.source[n]['image'])
            file = paths[n].relative_to(self.source.name).as_posix() if paths else f'{n:06d}.png'
            row = {'image': data, 'file': file}
            if self.source.labels:
                row['attributes'] = {label: bool(column[n]) for label, column in self.source.labels.items()}
            yield n, row


def _picture_bytes(path: Path, side: int | None = None) -> bytes:
    """The file's bytes where any reader makes the same RGB picture of them, else a PNG of that (EXIF, alpha, grey)."""
    picture = read_image(path)
    if side:
        check_size(path, picture, side)
    data = path.read_bytes()
    plain = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if plain is not None and plain.shape == picture.shape and (plain[..., ::-1] == picture).all():
        return data
    return _png(picture)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode('.png', picture[..., ::-1])[1].tobytes()


def pack_faceset(faceset: FaceSet, out: Path | str, force: bool = False) -> int:
    """Writes a face set as a tfds dataset (array_record) and returns the bytes written.

    Args:
        faceset: the set.
        out: the dataset's folder, the argument of `tfds.builder_from_directory`.
        force: replace a dataset that is there.

    Raises:
        InputError: if the folder exists or cannot be written, or a picture is damaged.
    """
    return _pack(FaceSetBuilder, out, force, faceset=faceset)


def pack_pictures(source: Dataset, out: Path | str, force: bool = False) -> int:
    """Writes pictures and their labels as a tfds dataset; otherwise as `pack_faceset`."""
    return _pack(PicturesBuilder, out, force, source=source)


def _pack(builder: type, out: Path | str, force: bool, **options) -> int:
    check_array_record()
    with atomic_folder(out, force, marker=INFO) as folder, tempfile.TemporaryDirectory(dir=folder) as work:
        made = builder(**options, data_dir=work, file_format='array_record')
        with _quiet():
            made.download_and_prepare()
        for file in Path(made.data_dir).iterdir():
            os.replace(file, folder / file.name)
    return sum(file.stat().st_size for file in Path(out).iterdir())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps tfds from printing where it writes and how far it is, as long as the block lasts."""
    log = logging.getLogger('absl')
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with (
            open(os.devnull, 'w') as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),  # the bar
        ):
            yield
    finally:
        log.setLevel(level)
