"""Every reader of foreign bytes, with small good files for it: name -> (suffix, seeds, reader of a path)."""

import json
import pickle
import struct
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests import torch_files as tf

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (24, 32, 4), np.uint8)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        seeds: good files, made in a folder.
        read: the reader, of a file.
    """

    seeds: Callable[[Path], list[Path]]
    read: Callable[[Path], object]


def pictures(folder: Path) -> list[Path]:
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    plain, made = Image.fromarray(PICTURE[..., :3]), []
    for name, picture, options in (
        ('a.png', Image.fromarray(PICTURE), {}),
        ('b.png', plain.convert('P'), {'transparency': 3}),
        ('c.jpg', plain, {'exif': exif.tobytes(), 'progressive': True}),
        ('d.jpg', plain.convert('CMYK'), {}),
        ('e.webp', Image.fromarray(PICTURE), {'lossless': True}),
        ('f.bmp', plain, {}),
        ('g.tif', Image.fromarray(PICTURE), {'compression': 'tiff_lzw'}),
        ('h.tiff', Image.fromarray(PICTURE[..., 0].astype(np.float32) / 255), {}),
        ('i.avif', plain, {}),
        ('j.gif', plain, {}),
        ('k.png', Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257), {}),
    ):
        picture.save(folder / name, **options)
        made.append(folder / name)
    return made


def videos(folder: Path) -> list[Path]:
    import av

    made = []
    for name, form, codec, sound in (
        ('a.mp4', 'mp4', 'libx264', 'aac'),
        ('b.mkv', 'matroska', 'mpeg4', 'pcm_s16le'),
        ('c.webm', 'webm', 'libvpx', None),
        ('d.avi', 'avi', 'mjpeg', None),
        ('e.ts', 'mpegts', 'mpeg2video', None),
        ('f.gif', 'gif', 'gif', None),
    ):
        with av.open(str(folder / name), 'w', form) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height = 64, 48
            stream.pix_fmt = {'gif': 'rgb8', 'mjpeg': 'yuvj420p'}.get(codec, 'yuv420p')
            track = output.add_stream(sound, rate=16000, layout='mono') if sound else None
            for n in range(4):
                frame = av.VideoFrame.from_ndarray(np.roll(np.tile(PICTURE[..., :3], (2, 2, 1)), n, 1), format='rgb24')
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if track:
                tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), 's16', 'mono')
                tone.sample_rate = 16000
                output.mux(track.encode(tone))
                output.mux(track.encode(None))
        made.append(folder / name)
    return made


def sounds(folder: Path) -> list[Path]:
    with wave.open(str(folder / 'a.wav'), 'wb') as file:
        file.setparams((1, 2, 16000, 0, 'NONE', ''))
        file.writeframes(np.int16(9000 * np.sin(np.arange(1600) / 9)).tobytes())
    return [folder / 'a.wav', videos(folder)[0]]


def watch(path: Path) -> int:
    from dfjax.data.media.video import read_frames

    return sum(picture.nbytes for _, _, picture in read_frames(path))


def checkpoints(folder: Path) -> list[Path]:
    weights = {'module.model.0.weight': RNG.normal(size=(4, 3, 4, 4)).astype(np.float32)}
    weights |= {'module.model.0.bias': np.zeros(4, np.float16), 'module.n': np.array(3, np.int64)}
    made = [tf.write_zip(folder / 'a.pth', weights, wrap='state_dict'), tf.write_older(folder / 'b.pth', weights)]
    return [*made, tf.write_safetensors(folder / 'c.safetensors', weights), tf.write_zip(folder / 'd.pth', critic())]


def critic(width: int = 4) -> dict[str, np.ndarray]:
    shapes = {'model.0.weight': (width, 3, 4, 4), 'model.0.bias': (width,), 'model.2.weight': (2 * width, width, 4, 4)}
    shapes |= {'model.2.bias': (2 * width,), 'model.5.weight': (1, 2 * width, 4, 4), 'model.5.bias': (1,)}
    return {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def named_arrays(folder: Path) -> list[Path]:
    values = {'conv/weight:0': RNG.normal(size=(3, 3, 3, 4)).astype(np.float32), 'conv/bias:0': np.zeros(4, np.float16)}
    made = [folder / f'{protocol}.npy' for protocol in (2, 4)]
    for protocol, path in zip((2, 4), made):
        path.write_bytes(pickle.dumps(values, protocol))
    return made


def others_faces(folder: Path) -> list[Path]:
    """A picture with facts of its face, as DeepFaceLab writes them, and a list as faceswap writes it, not packed."""
    from PIL import Image

    points = RNG.uniform(2, 22, (68, 2))
    facts = pickle.dumps({'face_type': 'full_face', 'landmarks': points.tolist(), 'source_rect': np.arange(4)}, 4)
    Image.fromarray(PICTURE[..., :3]).save(folder / 'a.jpg')
    data = (folder / 'a.jpg').read_bytes()
    (folder / 'a.jpg').write_bytes(data[:2] + b'\xff\xef' + struct.pack('>H', len(facts) + 2) + facts + data[2:])
    face = dict.fromkeys('xywh', 3) | {'landmarks_xy': points.tolist()}
    (folder / 'b.json').write_text(json.dumps({'__data__': {'a_000001.mp4': {'faces': [face]}}}))
    return [folder / 'a.jpg', folder / 'b.json']


def others_face(path: Path) -> object:
    from dfjax.inference import alignments, embedded

    return embedded.read_face(path) if path.suffix == '.jpg' else alignments.read_alignments(path)


def imported(path: Path) -> object:
    """As `dfjax import`, without writing the run."""
    from dfjax.inference.importing import read_net
    from dfjax.inference.sections import choose
    from dfjax.weights.torch_files import read_checkpoint

    weights, _ = choose(read_checkpoint(path), '', len, 'd_a', str(path))
    return read_net('cyclegan', 'd_a', weights, str(path))


def keras(folder: Path) -> list[Path]:
    import h5py

    with h5py.File(folder / 'a.h5', 'w') as file:
        for n in range(1, 3):
            group = file.create_group(f'block1_conv{n}/block1_conv{n}')
            group.create_dataset('kernel:0', data=RNG.normal(size=(3, 3, 3, 4)).astype('f4'), compression='gzip')
            group.create_dataset('bias:0', data=np.zeros(4, 'f4'))
            group.attrs['names'] = [b'kernel:0', b'bias:0']
    return [folder / 'a.h5']


def arrays(folder: Path) -> list[Path]:
    np.savez(folder / 'a.npz', x=PICTURE, names=np.array(['a', 'bc']))
    np.savez_compressed(folder / 'b.npz', **{'net/down_0/kernel': np.zeros((3, 3, 3, 4), np.float32)})
    return [folder / 'a.npz', folder / 'b.npz']


def motions(folder: Path) -> list[Path]:
    from dfjax.inference.driving import save_motion, talk

    save_motion(talk('talk:1:1'), folder / 'a.npz')
    return [folder / 'a.npz']


def face_rows(folder: Path) -> list[Path]:
    from tests.fake_faces import write_faces

    write_faces(folder / 'faces', count=2)
    return [folder / 'faces' / 'faces.jsonl']


def face_set(path: Path) -> object:
    """A face set of the pictures of a good one and these rows."""
    from dfjax.data.faces.faceset import load_faceset, read_face
    from dfjax.data.media.image import write_image

    for n in (0, 3):
        picture = path.parent / f'one_{n:06d}.png'
        if not picture.exists():
            write_image(picture, PICTURE[:, :24, :3].repeat(2, 0).repeat(2, 1))
    faces = load_faceset(path.rename(path.with_name('faces.jsonl')).parent)
    return [read_face(row, faces.size, 24) for row in faces.rows]


def analyses(folder: Path) -> list[Path]:
    from dfjax.data.faces.analyse import Analysis
    from dfjax.data.faces.face import Face

    face = Face('a.mp4', 3, 0.1, (0.0, 0.0, 9.0, 9.0), 1.0, np.ones((68, 2), np.float32), np.ones(128, np.float32))
    Analysis('a.mp4', 64, 48, 9, [face, face]).save(folder / 'into.jsonl')
    return [folder / 'into.jsonl']


def configs(folder: Path) -> list[Path]:
    from dfjax.config import load_config
    from dfjax.systems import SYSTEMS

    made = []
    for system in SYSTEMS:
        made.append(folder / f'{system}.json')
        made[-1].write_text(json.dumps(load_config(f'{system}:smoke').to_dict(), indent=1))
    return made


def config(path: Path) -> object:
    """The config and the shapes of its nets, as any use of a run begins."""
    import jax

    from dfjax.systems import load_system
    from dfjax.training.workdir import read_config

    path.rename(path.with_name('config.json'))
    cfg = read_config(path.parent)
    nets = load_system(cfg.system).nets(cfg)
    name, net = min(nets.items())
    return name, jax.eval_shape(net.module.init, jax.random.key(0), *net.inputs.values())


def metrics(folder: Path) -> list[Path]:
    rows = [{'step': n, 'seconds': 0.5, 'total': 1.5 * n, 'g/adv': float('nan')} for n in (5, 10, 15)]
    (folder / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return [folder / 'metrics.jsonl']


def report(path: Path) -> None:
    from dfjax.config import load_config
    from dfjax.training.report import Report

    path.rename(path.with_name('metrics.jsonl'))
    with Report(path.parent, load_config('vae:smoke'), 10, progress=False):
        pass
    for line in path.with_name('metrics.jsonl').read_text().splitlines():
        assert json.loads(line)['step'] <= 10


def seals(folder: Path) -> list[Path]:
    (folder / 'seal.json').write_text(json.dumps({'state/d/a': 3, 'meta/metadata': 2**31}))
    return [folder / 'seal.json']


def seal(path: Path) -> None:
    from etils import epath

    from dfjax.training.restore import _fault

    path.rename(path.with_name('seal.json'))
    assert isinstance(_fault(epath.Path(path.parent)), str)


def tables(folder: Path) -> list[Path]:
    (folder / 'a.csv').write_text('file,smile,age\na.jpg,1,3\nb.jpg,-1,4\nc.jpg,1,5\n')
    (folder / 'b.csv').write_bytes(b'\xef\xbb\xbf"file";"x"\r\n"a.jpg";0\r\n"b.jpg";1\r\n')
    return [folder / 'a.csv', folder / 'b.csv']


def table(path: Path) -> object:
    from dfjax.data.sets.labels import read_labels

    return read_labels(path, ['a.jpg', 'b.jpg', 'c.jpg'])


def records(folder: Path) -> list[Path]:
    from dfjax.data.sets.tfrecord import masked_crc

    data = b''
    for record in (b'abc', b'', bytes(200)):
        head = struct.pack('<Q', len(record))
        data += head + struct.pack('<I', masked_crc(head)) + record + struct.pack('<I', masked_crc(record))
    (folder / 'a.tfrecord').write_bytes(data)
    return [folder / 'a.tfrecord']


def read_records(path: Path) -> int:
    from dfjax.data.sets import tfrecord

    return sum(map(len, tfrecord.read_records(path)))


def datasets(folder: Path) -> list[Path]:
    split = {
        'name': 'train',
        'shardLengths': ['2', '1'],
        'filepathTemplate': '{DATASET}-{SPLIT}.tfrecord-{SHARD_X_OF_Y}',
    }
    (folder / 'info.json').write_text(json.dumps({'name': 'a', 'fileFormat': 'tfrecord', 'splits': [split]}))
    return [folder / 'info.json']


def dataset(path: Path) -> object:
    from dfjax.data.sets.tfrecord import convert_dataset

    path.rename(path.with_name('dataset_info.json'))
    return convert_dataset(path.parent, path.parent / 'out')


def signed(folder: Path) -> list[Path]:
    from dfjax.data.media.credentials import sign
    from dfjax.data.media.image import write_image

    made = [folder / 'a.png', folder / 'b.jpg', videos(folder)[0]]
    for path in made[:2]:
        write_image(path, PICTURE[..., :3])
    for path in made:
        sign(path, 'made for a test', composite=True, details={'system': 'none'})
    return made


def credentials(path: Path) -> object:
    from dfjax.data.media.credentials import read_credentials

    return json.dumps(read_credentials(path))


def reader(name: str) -> Callable[[Path], object]:
    """A function by 'module:name', imported when it is called."""

    def read(path: Path) -> object:
        import importlib

        module, _, function = name.partition(':')
        return getattr(importlib.import_module(f'dfjax.{module}'), function)(path)

    return read


TARGETS = {
    'picture': Target(pictures, reader('data.media.image:read_image')),
    'header': Target(pictures, reader('data.media.image:check_header')),
    'video': Target(videos, watch),
    'sound': Target(sounds, reader('data.media.audio:read_sound')),
    'checkpoint': Target(checkpoints, reader('weights.torch_files:read_checkpoint')),
    'named arrays': Target(named_arrays, reader('weights.arrays:read_arrays')),
    'import': Target(lambda folder: checkpoints(folder)[-1:], imported),
    'keras': Target(keras, reader('weights.vgg:read_features')),
    'arrays': Target(arrays, reader('foreign:read_npz')),
    'motion': Target(motions, reader('inference.driving:load_motion')),
    'faces': Target(face_rows, face_set),
    'faces of others': Target(others_faces, others_face),
    'analysis': Target(analyses, reader('data.faces.analyse:load_analysis')),
    'config': Target(configs, config),
    'metrics': Target(metrics, report),
    'seal': Target(seals, seal),
    'table': Target(tables, table),
    'records': Target(records, read_records),
    'dataset': Target(datasets, dataset),
    'credentials': Target(signed, credentials),
}
