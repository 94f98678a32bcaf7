"""StarGAN's groups of labels, some of which exclude each other: what is asked for, learnt, measured and imported."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_files as tf
from ml_collections import ConfigDict

from dfjax.apps.cli import main
from dfjax.config import build
from dfjax.data.media.image import read_image, write_image
from dfjax.errors import InputError
from dfjax.evaluation import stargan as figures_stargan
from dfjax.inference.importing import import_run
from dfjax.inference.labels import wanted_labels
from dfjax.inference.run import Run, load_run
from dfjax.losses.labels import binary_cross_entropy
from dfjax.systems import stargan

RNG = np.random.default_rng(2)


def config(labels: int, **changes) -> ConfigDict:
    """The smallest run, of so many labels."""
    names, groups = list('abcdefgh'[:labels]), changes.get('groups', [])
    model = {'model.g.labels': labels + len(groups), 'model.d.labels': labels}
    tiny = {'data.size': 16, 'model.size': 16, 'model.g.width': 4, 'model.d.width': 4, 'batch_size': 24}
    return build(
        importlib.import_module('configs.stargan').get_config('smoke'),
        tiny | model | {'data.labels': names} | changes,
    )


def batch_of(cfg: ConfigDict, label: np.ndarray, known: np.ndarray) -> dict:
    keys = jax.random.split(jax.random.key(1), len(label))
    image = RNG.integers(0, 256, (len(label), cfg.data.size, cfg.data.size, 3), np.uint8)
    batch = {'image': jnp.asarray(image), 'label': jnp.float32(label), 'known': jnp.float32(known)}
    return batch | {'key': keys, 'step_key': jax.random.key(3)}


def joint_batch(cfg: ConfigDict) -> dict:
    """Of two sets: pictures with any of two labels, and pictures with one of three."""
    half = cfg.batch_size // 2
    first, second = (RNG.random((half, 2)) < 0.5), np.eye(3)[RNG.integers(0, 3, half)]
    label, known = np.zeros((2, 2 * half, 5))
    label[:half, :2], label[half:, 2:] = first, second
    known[:half, :2] = known[half:, 2:] = 1
    return batch_of(cfg, label, known)


# What is asked for


@pytest.mark.parametrize('targets', stargan.TARGETS)
def test_one_label_is_asked_for_where_they_exclude_each_other(targets):
    cfg = config(3, targets=targets, **{'loss.exclusive': True})
    batch = batch_of(cfg, np.eye(3)[RNG.integers(0, 3, 24)], np.ones((24, 3)))
    asked = np.asarray(stargan.examples(cfg, batch)['target']).reshape(-1, 3)
    assert (asked.sum(1) == 1).all() and (asked.sum(0) > 0).all()


@pytest.mark.parametrize('targets', stargan.TARGETS)
def test_of_two_sets_each_is_asked_for_labels_of_its_own_kind(targets):
    cfg = config(5, targets=targets, groups=[2, 3], **{'loss.exclusive': [1]})
    parts = stargan.examples(cfg, joint_batch(cfg))
    asked, known = (np.asarray(parts[k]).reshape(-1, 5) for k in ('target', 'known'))
    first, second = known[:, 0] > 0, known[:, 2] > 0
    assert (asked[second, 2:].sum(1) == 1).all() and not asked[second, :2].any()
    counts = set(asked[first].sum(1).tolist())
    assert counts - {1.0} and not asked[first, 2:].any()  # any of these


def test_a_group_that_is_partly_known_gives_no_two_labels():
    cfg = config(3, **{'loss.exclusive': True})
    known = np.tile([[1.0, 1, 0], [0, 1, 1]], (12, 1))
    label = np.eye(3)[RNG.integers(0, 3, 24)] * known
    coins = np.eye(3)[RNG.integers(0, 3, 24)]
    asked = stargan.random_target(cfg, batch_of(cfg, label, known), jnp.float32(coins))
    assert (np.asarray(asked).sum(1) <= 1).all()


# What is learnt


def test_the_cost_of_a_group_that_excludes_beside_one_that_does_not():
    cfg = config(5, groups=[2, 3], **{'loss.exclusive': [1]})
    batch = joint_batch(cfg)
    label, known = (np.asarray(batch[k], np.float64) for k in ('label', 'known'))
    logits = RNG.normal(size=label.shape)
    p = 1 / (1 + np.exp(-logits))
    each = -(label * np.log(p) + (1 - label) * np.log(1 - p)) * known
    softmax = np.exp(logits[:, 2:]) / np.exp(logits[:, 2:]).sum(1, keepdims=True)
    truth = (each[:, :2].sum() - (label * known)[:, 2:].ravel() @ np.log(softmax).ravel()) / len(label)
    found = stargan.label_cost(cfg, jnp.float32(logits), batch['label'], batch['known'])
    assert np.isclose(found, truth, rtol=1e-5)
    none = config(5, groups=[2, 3])
    assert stargan.label_cost(none, jnp.float32(logits), batch['label'], batch['known']) == binary_cross_entropy(
        jnp.float32(logits), batch['label'], batch['known']
    )
    turned, meant = stargan.flipped(cfg, batch['label'], 3)
    assert (np.asarray(turned)[:, 2:] == [0, 1, 0]).all() and (np.asarray(meant) == [0, 0, 1, 1, 1]).all()
    turned, _ = stargan.flipped(cfg, batch['label'], 1)
    np.testing.assert_array_equal(turned, label * [1, 0, 1, 1, 1] + (1 - label) * [0, 1, 0, 0, 0])


@pytest.mark.whole
@pytest.mark.parametrize('groups, exclusive', [([], True), ([2, 3], [1])])
def test_a_whole_step(groups, exclusive):
    cfg = config(5, groups=groups, **{'loss.exclusive': exclusive})
    options = {'xla_backend_optimization_level': 0}
    state = jax.jit(lambda key: stargan.init(cfg, key), compiler_options=options)(jax.random.key(0))
    state = state.replace(horizon=jnp.int32(cfg.steps))
    if groups:
        batch = joint_batch(cfg)
    else:
        batch = batch_of(cfg, np.eye(5)[RNG.integers(0, 5, 24)], np.ones((24, 5)))
    step = jax.jit(lambda state, batch: stargan.step(cfg, state, batch), compiler_options=options)
    new, metrics = step(state, batch)
    assert all(np.isfinite(value) for value in metrics.values())
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), new.params, state.params)
    assert all(jax.tree.leaves(moved['d'])) and moved['g']['net']['first']['kernel']
    two = {name: batch[name][:2] for name in ('image', 'label', 'known')}
    assert stargan.preview(cfg, new, two).shape == (12, 16, 16, 3)


@pytest.mark.parametrize(
    'changes, line',
    [
        ({'loss.exclusive': [1]}, r'config key loss.exclusive: give a list of groups by number, 0 to 0, not \[1\]'),
        ({'loss.exclusive': 1}, 'config key loss.exclusive: give a list'),
        ({'loss.exclusive': 'all'}, 'config key loss.exclusive: give a list'),
        ({'loss.exclusive': [0], 'groups': [1, 2]}, 'group 0 has one label, and excludes no other'),
    ],
)
def test_groups_that_cannot_exclude_are_one_line(changes, line):
    with pytest.raises(InputError, match=line):
        stargan.check(config(3, **changes))


def test_true_is_all_groups_and_false_none():
    for value, parts in ((False, []), (None, []), (True, [slice(0, 3)]), ([0], [slice(0, 3)])):
        cfg = config(3, **{'loss.exclusive': value})
        stargan.check(cfg)
        assert stargan.exclusive_slices(cfg) == parts


# Figures


def test_figures_where_one_group_excludes():
    """Pictures of five pixels, each of them a label, by a generator that paints what it is told."""
    cfg = config(5, groups=[2, 3], **{'loss.exclusive': [1]})
    batch = joint_batch(cfg)
    rows = {k: np.asarray(batch[k]) for k in ('label', 'known')}
    draw = lambda labels: np.uint8(255 * labels)[:, None, :, None].repeat(3, -1)
    rows['image'] = draw(rows['label'])
    told = []

    def paint(pictures, c):
        told.append(c)
        return draw(c[:, :5])

    see = lambda pictures: np.stack(pictures)[:, 0, :, 0] > 127
    report = figures_stargan.measure(cfg, list('abcde'), rows, paint, see)
    assert report['label_accuracy'] == report['kept_accuracy'] == 1 and report['recon_l1'] == 0
    counts = [(rows['known'][:, k] > 0).sum() for k in range(2)]
    counts += [((rows['known'] > 0) & (rows['label'] == 0))[:, k].sum() for k in range(2, 5)]  # that can be turned
    assert [len(c) for c in told[::2]] == counts
    idle = figures_stargan.measure(cfg, list('abcde'), rows, lambda pictures, c: pictures, see)
    assert idle['label_accuracy'] == 0 and idle['kept_accuracy'] == 1


# Translation, and what was trained elsewhere


def test_one_label_of_those_that_exclude_each_other_is_to_be_asked_for(tmp_path):
    cfg = config(5, groups=[2, 3], **{'loss.exclusive': [1]})
    run = Run(tmp_path, cfg, stargan, {'g': {}}, 1)  # needs no discriminator
    np.testing.assert_array_equal(wanted_labels(run, {'d': 1}, []), [0, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(wanted_labels(run, {'d': 0, 'e': 1}, []), [0, 0, 0, 0, 1, 0, 1])
    for bad in ({'d': 0}, {'d': 1, 'e': 1}):
        with pytest.raises(InputError, match='a picture has one of c, d, e; ask for one of them'):
            wanted_labels(run, bad, [])
    whole = dataclasses.replace(run, cfg=config(3, **{'loss.exclusive': True}))
    np.testing.assert_array_equal(wanted_labels(whole, {'b': 1}, []), [0, 1, 0])


def generator(labels: int, width: int = 4) -> dict[str, np.ndarray]:
    """A StarGAN generator's weights, labels and mask together being so many channels."""
    shapes, c = {'main.0.weight': (width, 3 + labels, 7, 7)}, width
    norms = {'main.1': c}
    for i in range(2):
        shapes[f'main.{3 + 3 * i}.weight'], c = (2 * c, c, 4, 4), 2 * c
        norms[f'main.{4 + 3 * i}'] = c
    for j in range(2):
        shapes[f'main.9.main.{3 * j}.weight'] = (c, c, 3, 3)
        norms[f'main.9.main.{3 * j + 1}'] = c
    for i in range(2):
        shapes[f'main.{10 + 3 * i}.weight'], c = (c, c // 2, 4, 4), c // 2
        norms[f'main.{11 + 3 * i}'] = c
    shapes['main.16.weight'] = (3, c, 7, 7)
    for name, channels in norms.items():
        shapes |= {f'{name}.weight': (channels,), f'{name}.bias': (channels,)}
    return {name: np.float32(0.2 * RNG.normal(size=shape)) for name, shape in shapes.items()}


def discriminator(labels: int, width: int = 4) -> dict[str, np.ndarray]:
    shapes = {'main.0.weight': (width, 3, 4, 4), 'main.0.bias': (width,)}
    shapes |= {'main.2.weight': (2 * width, width, 4, 4), 'main.2.bias': (2 * width,)}
    shapes |= {'conv1.weight': (1, 2 * width, 3, 3), 'conv2.weight': (labels, 2 * width, 8, 8)}
    return {name: np.float32(0.2 * RNG.normal(size=shape)) for name, shape in shapes.items()}


@pytest.fixture
def files(tmp_path):
    """Words of `dfjax import` for nets of so many labels."""

    def write(g: int | None = None, d: int | None = None) -> dict[str, str]:
        made = {}
        for net, count, weights in (('g', g, generator), ('d', d, discriminator)):
            if count:
                made[net] = str(tf.write_zip(tmp_path / f'{net}{count}.ckpt', weights(count)))
        return made

    return write


def words(files: dict[str, str]) -> list[str]:
    return ['import', 'stargan', *(f'{net}={path}' for net, path in files.items())]


def test_a_joint_run_is_imported_and_translates(files, tmp_path, capsys):
    write_image(tmp_path / 'in.png', RNG.integers(0, 256, (32, 32, 3), np.uint8))
    ask = ['translate', str(tmp_path / 'in.png'), '-o', str(tmp_path / 'out.png'), '--run', str(tmp_path / 'run')]
    assert main([*words(files(6, 4)), '-o', str(tmp_path / 'run')]) == 2
    said = capsys.readouterr().err
    assert 'trained on 2 data sets, with 4 labels together; how many each has is not in the shapes' in said
    assert 'say it, as --groups 3,1' in said and said.count('\n') == 1 and not (tmp_path / 'run').exists()
    again = [*words(files(6, 4)), '-o', str(tmp_path / 'run'), '--force', '--groups', '2,2', '--exclusive', '1']
    assert main(again) == 0
    cfg = load_run(tmp_path / 'run').cfg
    assert (cfg.groups, cfg.loss.exclusive, cfg.model.g.labels, cfg.model.d.labels) == ([2, 2], [1], 6, 4)
    assert not capsys.readouterr().err
    assert main([*ask, '--to', 'label_0=1']) == 0
    assert read_image(tmp_path / 'out.png').shape == (32, 32, 3)
    run = load_run(tmp_path / 'run')
    np.testing.assert_array_equal(wanted_labels(run, {'label_3': 1}, []), [0, 0, 0, 1, 0, 1])


def test_groups_follow_from_the_shapes_where_they_can(files, tmp_path):
    single = import_run('stargan', files(4, 2), tmp_path / 'a')
    assert single['groups'] == [1, 1] and load_run(tmp_path / 'a').cfg.groups == [1, 1]
    assert import_run('stargan', files(5, 5), tmp_path / 'b')['groups'] == []
    alone = import_run('stargan', files(g=6), tmp_path / 'c', groups=[3, 1])
    assert (alone['model']['g']['labels'], alone['model']['d']['labels']) == (6, 4)
    alone = import_run('stargan', files(d=4), tmp_path / 'd', groups=[3, 1])
    assert (alone['model']['g']['labels'], alone['model']['d']['labels']) == (6, 4)


@pytest.mark.parametrize(
    'g, d, options, line',
    [
        (3, 4, [], 'g takes 3 labels, and d tells 4; give nets of one training'),
        (4, 3, [], 'g takes 4 labels, and d tells 3; give nets of one training'),
        (7, 2, [], 'g takes 7 labels, and d tells 2; give nets of one training'),
        (6, 4, ['--groups', '3,2'], '--groups 3,2 does not add up to the 4 labels there'),
        (6, 4, ['--groups', '4,0'], '--groups 4,0 does not add up'),
        (6, 4, ['--groups', '1,1,2'], 'and d tells 4 and --groups has 3; give nets of one training'),
        (6, 4, ['--groups', 'two'], '--groups two: give numbers joined by commas, as 5,8'),
        (6, 4, ['--groups', '1,3', '--exclusive', '0'], '--exclusive: group 0 has one label'),
        (4, 4, ['--exclusive', '1'], '--exclusive: give a list of groups by number, 0 to 0'),
    ],
)
def test_groups_that_are_not_those_of_the_nets_are_one_line(g, d, options, line, files, tmp_path, capsys):
    assert main([*words(files(g, d)), *options, '-o', str(tmp_path / 'run')]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count('\n') == 1 and not (tmp_path / 'run').exists()


def test_figures_of_an_imported_run_are_refused_in_a_line(files, tmp_path, capsys):
    import_run('stargan', files(4, 4), tmp_path / 'run')
    for data in ([], ['--data', 'render:people:1:16']):
        assert main(['evaluate', '--run', str(tmp_path / 'run'), *data]) == 2
        said = capsys.readouterr().err
        assert 'run: an imported run names no labels' in said and said.count('\n') == 1
