"""The nets of Wav2Lip and SyncNet as their checkpoints name them (Rudrabha/Wav2Lip, models/)."""

from collections.abc import Callable, Mapping
from typing import Any

from dfjax.weights.layers import Layer, conv, norm, up
from dfjax.weights.reader import Reader, Weights, consecutive, side

NOTICE = "the weights that Wav2Lip's authors publish are for non-commercial use"
CONV = '.conv_block.0'
NORM = '.conv_block.1'


def _block(ours: str, theirs: str, kind: Callable[[str], Layer] = conv) -> dict[str, Layer]:
    return {f'{ours}/conv': kind(theirs + CONV), f'{ours}/norm': norm(theirs + NORM)}


def _sides(weights: Weights, first: str, later: str) -> tuple[list[int], list[int]]:
    """Channels and residual blocks at each side of a net whose blocks are numbered by side and place: names with {}."""
    count = consecutive(weights, f'{first}.weight', 0, 1, 0)
    widths = [side(weights, f'{first}.weight'.format(i), 0, 0) for i in range(count)]
    return widths, [consecutive(weights, f'{later}.weight'.replace('@', str(i)), 1, 1, 0) for i in range(count)]


# A list of blocks one after another (SyncNet's halves, and the generator's for speech): a residual block keeps its
# channels, and nothing else is 3x3 and does; but the last three and the faces' are known by their places.


def _run(weights: Weights, at: str, tail: int) -> tuple[list[int], list[int], int]:
    """Channels and residual blocks at each side of a list of blocks without its last `tail`, and its codes' length."""
    count = consecutive(weights, f'{at}.{{}}{CONV}.weight', 0, 1, 0)
    shapes = [weights[f'{at}.{i}{CONV}.weight'].shape for i in range(count)]
    widths, blocks = [], []
    for i, shape in enumerate(shapes[: max(count - tail, 0)]):
        outputs, inputs = (*shape, 0, 0)[:2]
        if i and outputs == inputs:
            blocks[-1] += 1
        else:
            widths.append(outputs)
            blocks.append(0)
    return widths, blocks, shapes[-1][0] if shapes else 0


def _run_layers(ours: str, theirs: str, blocks: list[int], tail: list[str]) -> dict[str, Layer]:
    table, at = {}, 0
    for i, count in enumerate(blocks):
        for name in [f'down_{i}', *(f'block_{i}_{j}' for j in range(count))]:
            table |= _block(f'{ours}/{name}', f'{theirs}.{at}')
            at += 1
    for name in tail:
        table |= _block(f'{ours}/{name}', f'{theirs}.{at}')
        at += 1
    return table


def _audio_sizes(weights: Weights) -> dict[str, Any]:
    widths, blocks, code = _run(weights, 'audio_encoder', 2)
    whole = len(blocks) + sum(blocks)
    widths.append(side(weights, f'audio_encoder.{whole}{CONV}.weight', 0, code))
    return {'audio.widths': widths, 'audio.blocks': blocks, 'audio.code': code}


def _generator_sizes(weights: Weights) -> dict[str, Any]:
    face = f'face_encoder_blocks.{{}}.0{CONV}'
    widths, blocks = _sides(weights, face, f'face_encoder_blocks.@.{{}}{CONV}')
    decoder, after = _sides(weights, f'face_decoder_blocks.{{}}.0{CONV}', f'face_decoder_blocks.@.{{}}{CONV}')
    decoder[1:] = [side(weights, f'face_decoder_blocks.{i}.0{CONV}.weight', 1, 0) for i in range(1, len(decoder))]
    sizes = {
        'encoder': widths,
        'encoder_blocks': blocks[:-1],
        'decoder': decoder,
        'decoder_blocks': after[1:],
        'last': side(weights, f'output_block.0{CONV}.weight', 0, 32),
        'outputs': side(weights, 'output_block.1.weight', 0, 3),
        **_audio_sizes(weights),
    }
    least = side(weights, face.format(len(widths) - 1) + '.weight', 2, 3)
    return {f'g.{k}': v for k, v in sizes.items()} | {'size': least * 2 ** max(len(widths) - 2, 0)}


def _generator(model: Mapping) -> dict[str, Layer]:
    g, table = model['g'], {}
    for i, count in enumerate(g['encoder_blocks']):
        for j, name in enumerate([f'down_{i}', *(f'block_{i}_{j}' for j in range(count))]):
            table |= _block(name, f'face_encoder_blocks.{i}.{j}')
    for j, name in enumerate(('whole', 'code')):
        table |= _block(name, f'face_encoder_blocks.{len(g["encoder"]) - 1}.{j}')
    table |= _run_layers('audio', 'audio_encoder', g['audio']['blocks'], ['whole', 'code'])
    table |= _block('up_0', 'face_decoder_blocks.0.0')
    for i, count in enumerate(g['decoder_blocks'], 1):
        table |= _block(f'up_{i}', f'face_decoder_blocks.{i}.0', up)
        for j in range(count):
            table |= _block(f'up_{i}_{j}', f'face_decoder_blocks.{i}.{j + 1}')
    return table | _block('last', 'output_block.0') | {'picture': conv('output_block.1')}


def _sync_sizes(weights: Weights) -> dict[str, Any]:
    widths, blocks, code = _run(weights, 'face_encoder', 3)
    sizes = {'face.widths': widths, 'face.blocks': blocks, 'code': code, **_audio_sizes(weights)}
    del sizes['audio.code']
    return {f'sync.{k}': v for k, v in sizes.items()} | {
        'frames': max(side(weights, f'face_encoder.0{CONV}.weight', 1, 15) // 3, 1)
    }


def _sync(model: Mapping) -> dict[str, Layer]:
    face, audio = model['sync']['face'], model['sync']['audio']
    table = _run_layers('face', 'face_encoder', face['blocks'], ['last', 'whole', 'code'])
    return table | _run_layers('audio', 'audio_encoder', audio['blocks'], ['whole', 'code'])


def _discriminator_sizes(weights: Weights) -> dict[str, Any]:
    widths, _ = _sides(weights, f'face_encoder_blocks.{{}}.0{CONV}', f'face_encoder_blocks.@.{{}}{CONV}')
    return {'d.widths': widths}


def _discriminator(model: Mapping) -> dict[str, Layer]:
    last, table = len(model['d']['widths']) - 1, {}
    for i in range(last):
        table[f'down_{i}'] = conv(f'face_encoder_blocks.{i}.0{CONV}')
        if i:
            table[f'block_{i}'] = conv(f'face_encoder_blocks.{i}.1{CONV}')
    for j, name in enumerate(('whole', 'code')):
        table[name] = conv(f'face_encoder_blocks.{last}.{j}{CONV}')
    return table | {'logit': conv('binary_pred.0')}


def config(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The config of the nets found, with the original's losses: blue comes first, embeddings are never negative."""
    model = {key: value for key, value in found.items() if key != 'size'} | {'early': 1, 'bgr': True, 'bias': True}
    data = {'frames': found['frames']} if 'frames' in found else {}
    data |= {'size': found['size']} if 'size' in found else {}
    model |= {'sync.relu': True, 'sync.aligned': False}
    loss = {'kind': 'bce', 'adversarial': 'vanilla'}
    return {'model': model, 'data': data, 'loss': loss, 'room': 1.2}  # a detector's box


NETS = {
    'g': Reader(_generator_sizes, _generator),
    'sync': Reader(_sync_sizes, _sync),
    'd': Reader(_discriminator_sizes, _discriminator),
}
