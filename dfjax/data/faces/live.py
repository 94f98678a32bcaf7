"""One person's face in frames that come one at a time, as from a camera: what comes later is not known."""

from pathlib import Path

import numpy as np

from dfjax.data.faces.analyse import CHUNK, describe
from dfjax.data.faces.detect import load_detector
from dfjax.data.faces.face import Face
from dfjax.data.faces.frame import SearchedFrame, bounded, face_in, is_cut, thumbnail
from dfjax.data.faces.identity import SAME_PERSON, descriptor_distance, load_descriptor
from dfjax.data.faces.landmarks import load_landmarker, place
from dfjax.data.faces.search import Found, Search


class LiveSearch:
    """search(rgb uint8 [H, W, 3]) -> its face, or None; frames come in order.

    A face is searched for around where it was in the frame before, and everywhere where it is not found there. Then the
    largest is taken, or the one of `person`, and is a track of its own. Landmarks are not smoothed over time.

    Args:
        detector, detector_model: see `load_detector`.
        person: a picture of whom to look for.

    Raises:
        InputError: as `load_detector`; `person` without a face, or with several.
    """

    def __init__(self, detector: str = 'dlib', detector_model: Path | str | None = None, person: Path | str = ''):
        found_by = load_detector(detector, detector_model)
        self._search = Search(found_by, load_landmarker(), thorough=bool(person))
        self._wanted = describe(person) if person else None
        self._describe = load_descriptor() if person else None
        self._count, self._track = 0, -1
        self._shape: tuple = ()  # shape, thumbnail and face: those of the frame before
        self._thumb = np.zeros(0)
        self._found: Found | None = None

    def __call__(self, rgb: np.ndarray) -> Face | None:
        small, shrink = bounded(rgb)
        thumb = thumbnail(small)
        starts = rgb.shape != self._shape or is_cut(self._thumb, thumb)
        before, self._found = self._found, None
        again = self._search.near(small, [before]) if before and not starts else None
        if again:
            (self._found,) = again
        else:  # turned, small and grainy faces are looked for now and then where there was none: that takes long
            thorough = starts or before is not None or self._count % CHUNK == 0
            self._found = self._chosen(small, self._search.everywhere(small, retry=thorough))
            self._track += self._found is not None
        frame = SearchedFrame(self._count, 0.0, small, shrink, '', starts)
        self._count, self._shape, self._thumb = self._count + 1, rgb.shape, thumb
        return None if self._found is None else face_in(frame, self._found, self._track)

    def _chosen(self, rgb: np.ndarray, found: list[Found]) -> Found | None:
        if self._describe is None:
            return max(found, key=lambda face: place(face.landmarks)[1], default=None)
        away = [float(descriptor_distance(self._describe(rgb, face.landmarks), self._wanted)) for face in found]
        return found[int(np.argmin(away))] if away and min(away) < SAME_PERSON else None
