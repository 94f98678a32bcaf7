"""Figures of a VAE on pictures that it has not learnt from; edits are measured by a classifier trained on yet others.

psnr, ssim          of the reconstruction, means over pictures
sobel_error         mean difference of the gradients' magnitudes; sobel_gain is how much less it is than that of
                    another run, the same one trained with gamma 0
edit_moved          share of edits by which an attribute goes where it was asked to, by the classifier
edit_kept           how much the other attributes change, of what the one edited does
path_*              perceptual length of a transition between two pictures; that no frame of it leaves the range of the
                    data needs no figure, for the decoder ends in a tanh
frechet             distance of samples of the prior; frechet_floor is that of real pictures
active              dimensions of the code that are used
"""

import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.evaluation.classifier import classifier_for, predict
from dfjax.evaluation.held_out import frechet_figures, held_out_name, load_pictures
from dfjax.evaluation.metrics import psnr, ssim
from dfjax.inference.attributes import Vectors, compute, load, open_labelled, save
from dfjax.inference.latents import PATHS, Latents, path_length
from dfjax.inference.run import Run
from dfjax.inference.sample import draw_noise, make
from dfjax.losses.latent import sobel_magnitude
from dfjax.ops.image import to_float

PICTURES = 256  # held out
PAIRS = 16  # whose transitions are measured
ACTIVE = 0.01  # variance of a dimension's mean above which it is used (Burda et al. 2016)
TRAINING_PICTURES = 2000  # that the classifier learns from


def figures(run: Run, *, data: str | None = None, against: Run | None = None, samples: int = 500) -> dict:
    """The figures of the module, as a flat report; those of edits where the pictures have labels.

    Args:
        run: of system vae.
        data: held-out pictures; by default rendered people of other seeds.
        against: the same VAE without the loss on edges.
        samples: of the prior, for 'frechet'; 0 leaves it out.

    Raises:
        InputError: as `held_out_name`; `against` with another size of pictures.
    """
    if against is not None and against.cfg.data.size != run.cfg.data.size:
        raise InputError(f'{against.path}: pictures of another size than those of {run.path}')
    name = data or held_out_name(run.cfg, PICTURES)
    pictures, nets = load_pictures(run.cfg, name)['image'], Latents(run)
    codes = nets.encode(pictures)
    report = reconstruction(pictures, nets.decode(codes))
    if against is not None:
        other = Latents(against)
        error = reconstruction(pictures, other.decode(other.encode(pictures)))['sobel_error']
        report['sobel_gain'] = round(1 - report['sobel_error'] / error, 4)
    report['active'] = int((codes.var(0) > ACTIVE).sum())
    report |= {f'path_{kind}': transition_length(nets, codes, kind) for kind in PATHS}
    if data is None:
        report |= edit_figures(run, nets)
    if samples:
        report |= frechet_figures(run, make(run, draw_noise(run, samples, seed=0)), data)
    return report


def reconstruction(pictures: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """'psnr', 'ssim' and 'sobel_error' of pictures uint8 [N, S, S, 3]."""
    x, y = (to_float(jnp.asarray(p)) for p in (pictures, made))
    sobel = jnp.abs(sobel_magnitude(x) - sobel_magnitude(y)).mean()
    return {'psnr': psnr(pictures, made), 'ssim': ssim(pictures, made), 'sobel_error': round(float(sobel), 5)}


def transition_length(nets: Latents, codes: np.ndarray, kind: str) -> float:
    """Mean perceptual length of the paths between pairs of codes [N, L], at most PAIRS of them; N is 2 or more."""
    pairs = list(zip(codes[::2], codes[1::2]))[:PAIRS]
    return round(float(np.mean([path_length(nets, pair, kind) for pair in pairs])), 4)


def edit_figures(run: Run, nets: Latents) -> dict:
    """'edit_moved' and 'edit_kept', means over attributes, and 'edits': both of each."""
    kept = vectors = load(run)
    if kept is None or kept.source != run.cfg.data.source:  # made from a set that the user chose
        vectors = compute(nets, *open_labelled(run.cfg))
    if kept is None:
        save(run, vectors)
    classifier = classifier_for(
        run.path, held_out_name(run.cfg, TRAINING_PICTURES, 3), vectors.names, run.cfg.data.size
    )
    held_out = load_pictures(run.cfg, held_out_name(run.cfg, PICTURES), vectors.names)
    edits = measure_edits(nets, vectors, lambda pictures: predict(classifier, pictures), held_out)
    means = {f'edit_{k}': round(float(np.mean([e[k] for e in edits.values()])), 4) for k in ('moved', 'kept')}
    return means | {'edits': edits}


def measure_edits(nets: Latents, vectors: Vectors, classifier, held_out: dict[str, np.ndarray]) -> dict:
    """What each attribute's vector does: {name: {'moved', 'kept'}}.

    Every picture's attribute is asked to become the other: t is 1 where it has it not, -1 where it has. `moved` is the
    share of pictures in which the classifier's probability goes that way, from the reconstruction to the edit; `kept`
    the mean change of the other attributes' probabilities over that of this one.

    Args:
        classifier: pictures uint8 [N, S, S, 3] -> probabilities [N, K], in the order of the vectors.
        held_out: 'image' and 'label' [N, K].
    """
    codes = nets.encode(held_out['image'])
    before, edits = classifier(nets.decode(codes)), {}
    for k, name in enumerate(vectors.names):
        asked = 1 - 2 * held_out['label'][:, k]  # [N]
        change = classifier(nets.decode(codes + asked[:, None] * vectors.vectors[k])) - before  # [N, K]
        own, others = (
            np.abs(change[:, k]).mean(),
            np.abs(np.delete(change, k, 1)).mean() if len(vectors.names) > 1 else 0,
        )
        moved = (change[:, k] * asked > 0).mean()
        edits[name] = {'moved': round(float(moved), 4), 'kept': round(float(others / max(own, 1e-9)), 4)}
    return edits
