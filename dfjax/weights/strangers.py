"""What a file is that should be a checkpoint and is none, and what to do about it."""

import tarfile
import zipfile
from pathlib import Path

from dfjax.errors import InputError

GIVE = 'give a .pth, .pt, .ckpt or .safetensors file'
ENDINGS = ('.pth', '.pt', '.ckpt', '.pkl', '.bin', '.tar', '.safetensors')
LISTED = 5  # files of an archive that are named
HEAD = 1024  # bytes that tell what a file is
PACKED = {b'\x1f\x8b': 'gzip', b'BZh': 'bzip2', b'\xfd7zXZ\0': 'xz', b'(\xb5/\xfd': 'zstd'}
PACKED |= {b'7z\xbc\xaf\x27\x1c': '7-Zip', b'Rar!\x1a': 'RAR'}
OTHERS = {
    b'\x89HDF\r\n\x1a\n': 'an HDF5 file, as Keras writes them; give the checkpoint of the original PyTorch project',
    b'GGUF': 'a GGUF file; give the checkpoint that it was made from',
    b'\x93NUMPY': f'an array of NumPy; {GIVE}',
    b'\x89PNG': f'a PNG picture; {GIVE}',
    b'\xff\xd8\xff': f'a JPEG picture; {GIVE}',
    b'%PDF': f'a PDF document; {GIVE}',
}


def stranger(path: Path) -> str:
    """The line for a file that does not begin as a checkpoint does."""
    with path.open('rb') as file:
        head = file.read(HEAD)
    if not head:
        return f'empty; {GIVE}'
    text = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if head.startswith(b'version https://git-lfs'):
        return 'a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`, or download it from its page'
    if text.startswith((b'<!doctype', b'<html', b'<head', b'<script', b'<?xml', b'<error')):
        return (
            'a web page, not a checkpoint: the download failed or asked something; open its page and download it again'
        )
    for start, what in PACKED.items():
        if head.startswith(start):
            return f'packed by {what}; unpack it, and give the checkpoint that is inside'
    if head[257:262] == b'ustar' or (not head.startswith(b'\x80') and _is_tar(path)):
        return in_tar(path)
    for start, what in OTHERS.items():
        if head.startswith(start):
            return what
    return f'not a checkpoint of PyTorch or safetensors; {GIVE}'


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (OSError, ValueError):
        return False


def in_tar(path: Path) -> str:
    """The line for a tar archive."""
    names = []
    try:
        with tarfile.open(path, 'r:') as archive:
            while (member := archive.next()) is not None and len(names) < 1000:
                names.append(member.name)
    except (tarfile.TarError, OSError, ValueError):
        pass  # what it held until there
    if {'storages', 'tensors', 'pickle'} <= set(names):
        return 'written by PyTorch 0.1, before 2017; load it there and save it again'
    return f'a tar archive{_holding(names)}'


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Raises InputError for a zip that PyTorch did not write, or that holds a program."""
    names = archive.namelist()
    inside = {name.partition('/')[2] for name in names}
    if 'constants.pkl' in inside and any(name.startswith('code/') for name in inside):
        raise InputError(
            f'{path}: a TorchScript program; save its weights alone: '
            'torch.save(torch.jit.load(FILE, map_location="cpu").state_dict(), "weights.pth")'
        )
    if 'data.pkl' in inside:
        return
    if names and all(name.endswith('.npy') for name in names):
        raise InputError(f'{path}: arrays of NumPy (.npz); {GIVE}')
    raise InputError(f'{path}: a zip archive{_holding(names)}')


def _holding(names: list[str]) -> str:
    """What an archive holds, and what to do."""
    likely = [name for name in names if name.lower().endswith(ENDINGS)]
    if likely:
        more = f' and {len(likely) - LISTED} more' if len(likely) > LISTED else ''
        return f' that holds {", ".join(name[-100:] for name in likely[:LISTED])}{more}; unpack it and give that file'
    return f' without a checkpoint in it; {GIVE}'
