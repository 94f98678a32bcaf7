"""A classifier of labels, trained on pictures that the run under test has never seen, to measure its output.

    classifier = train_classifier('render:people:101:2000', ('smile', 'glasses'), size=64)
    predict(classifier, pictures) > 0.5

Its training pictures are flipped, shifted, brightened, blurred and given noise, so that it also tells the labels of
what a network has painted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from dfjax.data.batches import make_data
from dfjax.data.media.output import atomic_path
from dfjax.errors import ReadError
from dfjax.foreign import read_npz
from dfjax.models.classifier import Classifier
from dfjax.ops.image import gaussian_blur, resize, to_float
from dfjax.ops.keys import init_key

SHIFT = 2  # pixels, at most, in training
AT_A_TIME = 128  # pictures


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A trained classifier.

    Attributes:
        labels: what it tells, in order.
        size: side of the pictures that it sees.
        params: of `Classifier`.
    """

    labels: tuple[str, ...]
    size: int
    params: dict


def train_classifier(
    source: str, labels: Sequence[str], size: int = 64, steps: int = 500, seed: int = 0, batch_size: int = 64
) -> TrainedClassifier:
    """Trains a classifier, one to two minutes on two cores with the defaults.

    Args:
        source: of labelled pictures, as `dfjax.data.kinds` takes it; others than the run has learnt from.
        labels: which to learn.
        size: side of the pictures.
        steps, seed, batch_size: of the training.

    Raises:
        InputError: as for any labelled data: unknown labels, labels of one class.
    """
    data = make_data(
        ConfigDict(dict(seed=seed, batch_size=batch_size, data=_section(source, labels, size))), 'labelled'
    )
    net = Classifier(len(labels))
    schedule = optax.warmup_cosine_decay_schedule(0.0, 2e-3, steps // 10, steps)
    optimizer = optax.adamw(schedule, weight_decay=1e-3)

    @jax.jit
    def init() -> tuple:
        params = net.init(init_key(seed), jnp.zeros((1, size, size, 3)))['params']
        return params, optimizer.init(params)

    @jax.jit
    def update(params: dict, opt: tuple, feed: dict, step: jax.Array) -> tuple:
        batch = data.sample(feed, step, 0)
        pictures = _varied(batch['key'], to_float(batch['image']))

        def loss(params: dict) -> jax.Array:
            logits = net.apply({'params': params}, pictures, train=True, rngs={'dropout': batch['step_key']})
            each = optax.sigmoid_binary_cross_entropy(logits, batch['label'])  # [B, K]
            return (each * batch['known']).sum() / jnp.maximum(batch['known'].sum(), 1)

        updates, opt = optimizer.update(jax.grad(loss)(params), opt, params)
        return optax.apply_updates(params, updates), opt

    try:
        params, opt = init()
        for step in range(steps):
            params, opt = update(params, opt, data.feed(1), jnp.int32(step))
    finally:
        data.close()
    return TrainedClassifier(tuple(labels), size, jax.device_get(params))


def predict(classifier: TrainedClassifier, pictures: np.ndarray) -> np.ndarray:
    """How probable each label is: float32 [N, K].

    Args:
        pictures: [N, S, S, 3], uint8 or in [-1, 1]; S may be another than the classifier's.
    """
    net, out = Classifier(len(classifier.labels)), []

    @jax.jit
    def classify(params: dict, x: jax.Array) -> jax.Array:
        x = to_float(x) if x.dtype == jnp.uint8 else x
        x = x if x.shape[1] == classifier.size else resize(x, classifier.size)
        return jax.nn.sigmoid(net.apply({'params': params}, x))

    for start in range(0, len(pictures), AT_A_TIME):
        some = np.asarray(pictures[start : start + AT_A_TIME])
        room = [(0, min(AT_A_TIME, len(pictures)) - len(some)), (0, 0), (0, 0), (0, 0)]  # so that one program does
        out.append(np.asarray(classify(classifier.params, np.pad(some, room)))[: len(some)])
    return np.concatenate(out)


def classifier_for(
    folder: Path | str, source: str, labels: Sequence[str], size: int = 64, steps: int = 500, seed: int = 0
) -> TrainedClassifier:
    """The classifier kept in a run's folder; trained, and saved there, if there is none for these arguments."""
    path = Path(folder) / 'classifier.npz'
    asked = {'source': source, 'labels': list(labels), 'size': size, 'steps': steps, 'seed': seed}
    settings = {k: np.array(v) for k, v in asked.items()}
    if path.is_file() and (params := _load(path, settings)):
        return TrainedClassifier(tuple(labels), size, params)
    classifier = train_classifier(source, labels, size, steps, seed)
    flat = flax.traverse_util.flatten_dict(classifier.params, sep='/')
    with atomic_path(path, force=True) as temporary, open(temporary, 'wb') as file:
        np.savez(file, **settings, **{f'params/{k}': v for k, v in flat.items()})
    return classifier


def _load(path: Path, settings: dict[str, np.ndarray]) -> dict | None:
    """The parameters of a saved classifier; None if it is another one, or damaged."""
    try:
        arrays = read_npz(path)
    except ReadError:
        return None
    if not all(k in arrays and np.array_equal(arrays[k], v) for k, v in settings.items()):
        return None
    flat = {k.removeprefix('params/'): v for k, v in arrays.items() if k.startswith('params/')}
    return flax.traverse_util.unflatten_dict(flat, sep='/')


def _section(source: str, labels: Sequence[str], size: int) -> ConfigDict:
    return ConfigDict(dict(source=source, labels=tuple(labels), size=size, resident_bytes=2**31))


def _varied(keys: jax.Array, pictures: jax.Array) -> jax.Array:
    """Pictures [B, S, S, 3] in [-1, 1] mirrored, shifted, brighter or darker, blurred and noisy, by keys [B]."""

    def one(key: jax.Array, sharp: jax.Array, soft: jax.Array) -> jax.Array:
        key = jax.random.split(key, 6)
        x = sharp + jax.random.uniform(key[0]) * (soft - sharp)
        x = jnp.where(jax.random.bernoulli(key[1]), x[:, ::-1], x)
        wide = jnp.pad(x, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), 'edge')
        x = jax.lax.dynamic_slice(wide, (*jax.random.randint(key[2], (2,), 0, 2 * SHIFT + 1), 0), x.shape)
        gain, lift = jax.random.normal(key[3], (2, 3))
        noise = jax.random.uniform(key[4]) * jax.random.normal(key[5], x.shape)
        return (1 + 0.15 * gain[0]) * x + 0.1 * lift + 0.06 * noise

    return jax.vmap(one)(keys, pictures, gaussian_blur(pictures, pictures.shape[1] / 64))
