"""What the studio's server does not do itself: a process that decodes what strangers made, finds faces in it, and shows
what a run makes of one frame.

It works on the CPU, so that it never takes the device from the job at work there, and keeps the run that it opened.
"""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.apps.studio.seen import SEARCHED, SHOWN, Seer, bounded, look
from dfjax.data.processes import cores, free_memory, serve
from dfjax.errors import InputError

DEMO = {'a': 48, 'b': 64}  # frames


class Looker:
    """Answers requests, one at a time; each method is one.

    Attributes:
        kept: the run that was used last, by its folder and step, and what was made of it.
    """

    def __init__(self, platforms: dict[str, str]) -> None:
        self.platforms = platforms  # JAX_PLATFORMS of the jobs
        self.kept: tuple | None = None
        self._eyes: Seer | None = None

    def answer(self, value: dict, arrays: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
        """As `serve` wants it: {'do': name of a method, and its arguments}."""
        try:
            return getattr(self, value.pop('do'))(**value), []
        except InputError:
            raise
        except Exception as error:  # else the process would end, and its models with it
            raise InputError(f'{type(error).__name__}: {error}') from error

    def look(self, path: str, folder: str, minutes: float) -> dict:
        """See `seen.look`."""
        return look(self._seer(), path, Path(folder), minutes)

    def _seer(self) -> Seer:
        self._eyes = self._eyes or Seer()
        return self._eyes

    # Runs

    def frame(self, run: str, path: str, seconds: float, out: str, look: dict) -> dict:
        """Writes one frame, and what a swap's run makes of it beside, to `out` and `out` with `-before`.

        Args:
            look: fields of `Settings` that say how the face is laid in.

        Returns:
            {'seconds' of the frame, 'step' of the run, 'faces' in it}.
        """
        from dfjax.data.media.image import write_image
        from dfjax.data.media.inputs import kind

        if kind(path) == 'image':
            from dfjax.data.media.image import read_image

            time, rgb = 0.0, read_image(path)
        else:
            from dfjax.data.media.video import frame_at

            time, rgb = frame_at(path, seconds)
        faces = self._faces(run, path, time, rgb)
        opened, swapper = self._opened(run, 'swap', look)
        made = swapper([rgb], [faces])[0]
        write_image(Path(out), bounded(made, SHOWN)[0])
        write_image(Path(out).with_stem(f'{Path(out).stem}-before'), bounded(rgb, SHOWN)[0])
        return {'seconds': round(time, 3), 'step': opened.step, 'faces': len(faces)}

    def _opened(self, run: str, use: str, look: dict | None = None) -> tuple:
        """The run at its newest checkpoint, and what uses it, by fields of `Settings` where it swaps."""
        from dfjax.inference.run import load_run
        from dfjax.training.parallel import enable_compilation_cache
        from dfjax.training.workdir import last_step

        key = run, last_step(run), use, look
        if self.kept is None or self.kept[0] != key:
            enable_compilation_cache()
            if use == 'swap':
                from dfjax.inference.settings import Settings
                from dfjax.inference.sharpen import run_gains
                from dfjax.inference.swap import Swapper

                opened, settings = load_run(run, can='swap'), Settings(**look or {})
                net = load_run(settings.mask_net, can='mask') if settings.mask_net else None
                made = Swapper(opened, settings, batch_size=1, gains=run_gains(opened), mask_net=net)
            else:
                from dfjax.apps.edit import vectors_of
                from dfjax.inference.latents import Latents

                opened = load_run(run, can=('encode', 'decode'))
                made = Latents(opened), vectors_of(opened, progress=False)
            self.kept = key, (opened, made)
        return self.kept[1]

    def _faces(self, run: str, path: str, time: float, rgb: np.ndarray) -> list:
        """The face to be replaced, as the run's own search found it, or the largest of a frame of another video."""
        from dfjax.data.faces.analyse import load_analysis

        kept = Path(run) / 'into.jsonl'
        if kept.is_file():
            analysis = load_analysis(kept)
            if Path(analysis.source).resolve() == Path(path).resolve():
                return [face for face in analysis.faces if abs(face.time - time) < 0.01]
        return self._largest(path, time, rgb)

    def _largest(self, path: str, time: float, rgb: np.ndarray) -> list:
        """The largest face of a frame."""
        from dfjax.data.faces.face import Face

        small, shrink = bounded(rgb, SEARCHED)
        found = max(self._seer().search.everywhere(small), key=lambda f: f.box[2] - f.box[0], default=None)
        if found is None:
            return []
        box = tuple(v * shrink for v in found.box)
        return [Face(Path(path).name, 0, time, box, found.score, (found.landmarks * shrink).astype(np.float32))]

    # What there is
    def demo(self, folder: str) -> None:
        """Renders two people, as `dfjax demo` does, into a folder that is not there yet."""
        from dfjax.apps.demo import render_videos
        from dfjax.data.media.output import atomic_folder

        with atomic_folder(Path(folder)) as part:
            render_videos(part, DEMO)

    def device(self) -> dict:
        """What jobs work on, asked in a process of its own: this one has the CPU alone."""
        code = 'import jax, json; d = jax.devices(); print(json.dumps([d[0].platform, d[0].device_kind, len(d)]))'
        environment = {name: value for name, value in os.environ.items() if name != 'JAX_PLATFORMS'} | self.platforms
        done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True)
        platform, kind, count = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else ('none', '', 0)
        names = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'av', 'opencv-python-headless', 'dlib-bin', 'starlette')
        versions = {name: metadata.version(name) for name in names}
        memory = free_memory()
        free = None if memory == float('inf') else round(memory / 2**30, 1)
        return {
            'platform': platform,
            'kind': kind,
            'count': count,
            'cores': cores(),
            'free': free,
            'versions': versions,
        }

    def abilities(self) -> dict:
        """{system: {'functions': [...], 'variants': [...]}}."""
        from dfjax.systems import SYSTEMS, load_system

        told = {}
        for name in SYSTEMS:
            module = load_system(name)
            functions = [f for f in dir(module) if f[0] != '_' and callable(getattr(module, f))]
            told[name] = {'functions': functions, 'variants': _variants(name)}
        return told

    def details(self, run: str) -> dict:
        """What of a run can be chosen: 'nets' to export, 'attributes' to edit, 'labels' and 'sides' to translate."""
        from dfjax.inference.run import load_run

        opened = load_run(run)
        told: dict = {'step': opened.step, 'nets': [name for name in opened.params if name != 'batch_stats']}
        if hasattr(opened.system, 'DIRECTIONS'):
            told['sides'] = list(opened.system.DIRECTIONS)
        if hasattr(opened.system, 'condition_of'):
            from dfjax.inference.labels import label_names

            told['labels'] = label_names(opened)
        if hasattr(opened.system, 'encode') and hasattr(opened.system, 'decode'):
            from dfjax.apps.edit import vectors_of

            vectors = vectors_of(opened, progress=False)
            told['attributes'] = {name: round(float(auc), 3) for name, auc in zip(vectors.names, vectors.auc)}
        return told

    def edit(self, run: str, path: str, amounts: dict, detail: bool, out: str) -> dict:
        """Writes an edited picture to look at while sliders move."""
        from dfjax.data.media.image import read_image, write_image
        from dfjax.inference.attributes import face_type_of
        from dfjax.inference.edit import Editor

        opened, (latents, vectors) = self._opened(run, 'edit')
        rgb, kind = read_image(path), face_type_of(opened.cfg)
        faces = [] if kind is None else self._largest(path, 0.0, rgb)
        made = Editor(latents, vectors.shift(amounts), kind, detail)([rgb], [faces])[0]
        write_image(Path(out), bounded(made, SHOWN)[0])
        return {'step': opened.step, 'faces': len(faces)}


def _variants(system: str) -> list[str]:
    """The named runs of a system."""
    import importlib.util

    from dfjax.config import config_file

    spec = importlib.util.spec_from_file_location(f'dfjax_named_{system}', config_file(system))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.VARIANTS)


def main() -> None:
    given = {name: value for name, value in os.environ.items() if name == 'JAX_PLATFORMS'}
    os.environ['JAX_PLATFORMS'] = 'cpu'
    serve(Looker(given).answer)


if __name__ == '__main__':
    main()
