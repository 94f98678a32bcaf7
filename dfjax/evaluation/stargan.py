"""Figures of StarGAN on pictures that it has not learnt from, by a classifier trained on yet others."""

import numpy as np

from dfjax.errors import InputError
from dfjax.evaluation.classifier import classifier_for, predict
from dfjax.evaluation.held_out import held_out_name, load_pictures
from dfjax.inference.run import Run
from dfjax.inference.translate import Translator

PICTURES = 256
TRAINING_PICTURES = 2000  # that the classifier learns from


def figures(run: Run, *, data: str | None = None) -> dict:
    """Every picture is asked for each label in turn to be made the other, all others being asked to stay; for a label
    that excludes others, only if it does not have it:

        label_accuracy    share in which the classifier sees the label asked for
        kept_accuracy     share of the other labels that it sees as they were
        recon_l1          mean distance of pictures in [-1, 1] that were given their own labels again
        classifier_accuracy  share of labels of the true pictures that the classifier sees right
        labels            label_accuracy of each

    Args:
        run: of system stargan.
        data: held-out labelled pictures; the classifier then learns from the run's own. By default rendered people of
            two other seeds.

    Raises:
        InputError: as `heldout.held_out_name` and `open_streams`; an imported run, whose labels have no names.
    """
    cfg, names = run.cfg, list(run.cfg.data.labels)
    if not names:
        raise InputError(
            f'{run.path}: an imported run names no labels: write them as data.labels into its config.json, '
            'and as data.source labelled pictures for the classifier to learn from'
        )
    classifier = classifier_for(
        run.path, cfg.data.source if data else held_out_name(cfg, TRAINING_PICTURES, 3), names, cfg.data.size
    )
    rows = load_pictures(cfg, data or held_out_name(cfg, PICTURES), names)
    rows = {k: v[:PICTURES] for k, v in rows.items()}
    translate = Translator(run, batch_size=32)
    return measure(cfg, names, rows, translate, lambda pictures: predict(classifier, np.stack(pictures)) > 0.5)


def measure(cfg, names: list[str], rows: dict[str, np.ndarray], translate, see) -> dict:
    """The figures by `translate(pictures, labels)` and `see(pictures)`, bool [N, K].

    Args:
        rows: 'image' uint8 [N, S, S, 3], 'label' and 'known' [N, K].
    """
    import jax.numpy as jnp

    from dfjax.systems.stargan import condition_of, exclusive_slices, flipped, group_slices

    label, known = jnp.asarray(rows['label']), rows['known'] > 0
    parts = [part for part in group_slices(cfg) for _ in range(part.stop - part.start)]
    own, kept, right, errors = {}, [], see(rows['image']) == (rows['label'] > 0.5), []
    for k, name in enumerate(names):
        excludes = parts[k] in exclusive_slices(cfg)
        there = known[:, k] & ~(excludes & (rows['label'][:, k] > 0))  # whose label can be flipped
        if not there.any():
            continue
        pictures, (asked, meant) = rows['image'][there], flipped(cfg, label[there], k)
        made = translate(pictures, np.asarray(condition_of(cfg, asked, meant)))
        fits = see(made) == (np.asarray(asked) > 0.5)  # [n, K]
        own[name] = float(fits[:, k].mean())
        others = known[there].copy()
        others[:, k] = False
        if excludes:
            others[:, parts[k]] = False
        kept.append(fits[others])
        again = translate(made, np.asarray(condition_of(cfg, label[there], meant)))
        errors.append(np.abs(np.stack(again).astype(np.float64) - pictures).mean() / 127.5)
    kept = np.concatenate(kept)
    return {
        'label_accuracy': round(float(np.mean(list(own.values()))), 4),
        'kept_accuracy': round(float(kept.mean()), 4) if kept.size else None,
        'recon_l1': round(float(np.mean(errors)), 4),
        'classifier_accuracy': round(float(right[known].mean()), 4),
        'labels': {name: round(value, 4) for name, value in own.items()},
    }
