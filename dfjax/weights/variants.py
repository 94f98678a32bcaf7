"""State dicts of variants brought to one form: the same function of a picture, in the arrays that our nets have."""

import re

import numpy as np

from dfjax.weights.reader import Weights

OWN, RUNNING = STATISTICS = ('own', 'running')


def fold_spectral(weights: Weights) -> tuple[Weights, list[str]]:
    """Layers under spectral normalisation as plain ones: their kernels over the largest singular value that the file
    knows, as PyTorch has it when it evaluates; of both its implementations, and one from before it had any."""
    ends = [('.weight_orig', '.weight_u', '.weight_v'), ('.module.weight_bar', '.module.weight_u', '.module.weight_v')]
    ends += [tuple(f'.parametrizations.weight.{end}' for end in ('original', '0._u', '0._v'))]
    folded = dict(weights)
    for original, first, second in ends:
        for name in [name for name in weights if name.endswith(original)]:
            layer = name.removesuffix(original)
            if f'{layer}{first}' not in weights:
                continue
            kernel = np.asarray(folded.pop(name), np.float64)
            u = np.asarray(folded.pop(f'{layer}{first}'), np.float64)
            matrix = kernel.reshape(len(kernel), -1)
            v = folded.pop(f'{layer}{second}', None)  # PyTorch 0.4 does not keep it
            v = matrix.T @ u / max(np.linalg.norm(matrix.T @ u), 1e-12) if v is None else np.asarray(v, np.float64)
            if u.shape != matrix.shape[:1] or v.shape != matrix.shape[1:]:
                return weights, []
            folded[f'{layer}.weight'] = (kernel / (u @ matrix @ v)).astype(np.float32)
            if (bias := folded.pop(f'{layer}.module.bias', None)) is not None:
                folded[f'{layer}.bias'] = bias
    if len(folded) == len(weights):
        return weights, []
    return folded, ['spectral normalisation is taken into the weights: nets that are trained on go on without it']


def with_statistics(weights: Weights, statistics: str) -> tuple[Weights, list[str]]:
    """Instance normalisations that keep running statistics, as PyTorch 0.3 had them all, by one of two rules.

    'own': each picture by its own, as the original's `test` has it, whose loader drops the others. 'running': by those
    of the file, as a net that keeps them is evaluated; it is then one of batch normalisation. A normalisation is of
    instances if the convolution before it has a bias, or it has no scale; else it is of batches.
    """
    made, dropped = dict(weights), []
    names = {name.rpartition('.')[0] for name in weights if name.endswith(('.running_mean', '.weight'))}
    for norm in sorted(names):
        conv, scale, mean = before(norm), f'{norm}.weight', f'{norm}.running_mean'
        bias = f'{conv}.bias'
        affine = scale in weights and weights[scale].ndim == 1
        if not conv or f'{conv}.weight' not in weights or not (affine or mean in weights):
            continue
        if affine and bias not in weights:
            continue  # a normalisation of batches, or one of instances without statistics
        if mean not in weights or statistics == OWN:
            if affine:
                made.pop(bias, None)  # which the normalisation takes off again
            dropped += [norm] * (mean in weights)
            for end in ('running_mean', 'running_var', 'num_batches_tracked'):
                made.pop(f'{norm}.{end}', None)
            continue
        length = len(weights[mean])
        made.setdefault(scale, np.ones(length, np.float32))
        made.setdefault(f'{norm}.bias', np.zeros(length, np.float32))
        if bias in weights:
            made[mean] = (np.asarray(weights[mean], np.float64) - made.pop(bias)).astype(np.float32)
    if not dropped:
        return made, []
    return made, [
        "its instance normalisation keeps running statistics, which are left out, as the original's loader does: each "
        'picture is normalised by its own; --statistics running takes those of the file'
    ]


def before(name: str) -> str:
    """The layer before one in a sequence: 'model.2' -> 'model.1'; '' if it is the first, or in none."""
    found = re.fullmatch(r'(.*\.)(\d{1,4})', name)
    return f'{found[1]}{int(found[2]) - 1}' if found and int(found[2]) else ''


def norm_kind(weights: Weights, conv: str, norm: str) -> str:
    """Of `models.norm.NORMS`: what follows a convolution, by the arrays that there are of both."""
    if f'{norm}.weight' in weights:
        return 'batch' if f'{norm}.running_mean' in weights else 'affine'
    return 'instance' if f'{conv}.bias' in weights else 'none'
