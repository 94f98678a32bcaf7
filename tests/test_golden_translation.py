"""StarGAN, CycleGAN and pix2pix against the originals' own numbers: nets by way of the importer, losses, gradients."""

import functools

import golden
import jax
import numpy as np
import optax
import pytest

from dfjax.inference.importing import config_of, read_net, weights_of
from dfjax.losses import adversarial
from dfjax.losses.labels import binary_cross_entropy
from dfjax.systems import load_system
from dfjax.weights.layers import expected

pytestmark = pytest.mark.whole


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision('highest'):
        yield


@functools.cache
def imported(system: str, net: str, name: str, salt: str | None = None):
    """A net's function of (variables, arguments), and its variables."""
    sizes, variables, _ = read_net(system, net, golden.weights(name, salt))
    return load_system(system).nets(config_of(system, sizes))[net].module.apply, variables


def gradient_norms(system: str, net: str, name: str, gradient) -> list[float]:
    """One L2 norm a parameter, in the order of the file."""
    sizes = weights_of(system).NETS[net].sizes(golden.weights(name))
    table = weights_of(system).NETS[net].layers(config_of(system, sizes).model)
    there = {entry[0]: path for path, entry in expected(table, gradient).items()}

    def at(path: tuple):
        return functools.reduce(lambda tree, key: tree[key], path, gradient)

    order = [n for n in golden.weights(name) if n in there]
    return [float(np.sqrt(np.sum(np.square(at(there[n]), dtype=np.float64)))) for n in order]


@pytest.mark.parametrize(
    'name, system, net, parameters',
    [
        ('stargan_generator', 'stargan', 'g', 8_430_528),
        ('stargan_discriminator', 'stargan', 'd', 44_762_048),
        ('cyclegan_generator', 'cyclegan', 'g_ab', 11_378_179),
        ('cyclegan_discriminator', 'cyclegan', 'd_b', 2_764_737),
        ('pix2pix_generator', 'pix2pix', 'g', 54_413_955),
        ('pix2pix_discriminator', 'pix2pix', 'd', 2_768_705),
    ],
)
def test_nets(name, system, net, parameters):
    apply, variables = imported(system, net, name)
    assert sum(x.size for x in jax.tree.leaves(variables['params'])) == parameters
    apply = jax.jit(apply)
    arrays = golden.arrays(name)
    for kind in [key.removeprefix('in.x') for key in arrays if key.startswith('in.x')]:
        x = arrays[f'in.x{kind}']
        labels = [arrays.get(f'in.c{kind}', arrays['in.c'])[: len(x)]] if (system, net) == ('stargan', 'g') else []
        out = apply(variables, x, *labels)
        outputs = {'out_src': out[0], 'out_cls': out[1]} if isinstance(out, tuple) else {f'y{kind}': out}
        for output, value in outputs.items():
            golden.check(name, output, value)


def test_stargan_losses():
    name = 'stargan_losses'
    data = {key.removeprefix('in.'): value for key, value in golden.arrays(name).items() if key.startswith('in.')}
    g_apply, g_variables = imported('stargan', 'g', 'stargan_generator')
    d_apply, d_variables = imported('stargan', 'd', 'stargan_discriminator')
    real, source, target = data['x_real'], data['c_org'], data['c_trg']
    fake = jax.jit(g_apply)(g_variables, real, target)

    def d_loss(variables, _):
        out_real, classes = d_apply(variables, real)
        out_fake, _ = d_apply(variables, fake)
        terms = {
            'd_loss_real': adversarial.d_real('wgangp', out_real),
            'd_loss_fake': adversarial.d_fake('wgangp', out_fake),
            'd_loss_cls': binary_cross_entropy(classes, source),
            'd_loss_gp': adversarial.wgan_gp(lambda x: d_apply(variables, x)[0], real, fake, data['alpha']),
        }
        total = sum(terms.values()) + 9 * terms['d_loss_gp']
        softmax = optax.softmax_cross_entropy_with_integer_labels(classes, data['class_index']).mean()
        return total, terms | {'d_loss': total, 'd_loss_cls_softmax': softmax}

    def g_loss(variables, discriminator):
        fake = g_apply(variables, real, target)
        out, classes = d_apply(discriminator, fake)
        terms = {
            'g_loss_fake': adversarial.g_loss('wgangp', out),
            'g_loss_cls': binary_cross_entropy(classes, target),
            'g_loss_rec': abs(real - g_apply(variables, fake, source)).mean(),
        }
        total = sum(terms.values()) + 9 * terms['g_loss_rec']
        return total, terms | {'g_loss': total}

    for side, function, variables in (('d', d_loss, d_variables), ('g', g_loss, g_variables)):
        gradient, terms = jax.jit(jax.grad(function, has_aux=True))(variables, d_variables)
        for output, value in terms.items():
            golden.check(name, output, value)
        long_name = {'d': 'stargan_discriminator', 'g': 'stargan_generator'}[side]
        golden.check(name, f'{side}_grad_l2', gradient_norms('stargan', side, long_name, gradient))


def test_cyclegan_losses():
    name = 'cyclegan_losses'
    a, b = golden.arrays(name)['in.real_A'], golden.arrays(name)['in.real_B']
    salts = {'A': None, 'B': 'dfjax-dev/B'}
    g = {k: imported('cyclegan', 'g_ab', 'cyclegan_generator', salt) for k, salt in salts.items()}
    d = {k: imported('cyclegan', 'd_a', 'cyclegan_discriminator', salt) for k, salt in salts.items()}
    generate, discriminate = g['A'][0], d['A'][0]
    l1 = lambda x, y: abs(x - y).mean()

    def g_loss(there, back, kind='lsgan'):
        fake_b, fake_a = generate(there, a), generate(back, b)
        terms = {
            f'{kind}.G_A': adversarial.g_loss(kind, discriminate(d['A'][1], fake_b)),
            f'{kind}.G_B': adversarial.g_loss(kind, discriminate(d['B'][1], fake_a)),
            'cycle_A': 10 * l1(generate(back, fake_b), a),
            'cycle_B': 10 * l1(generate(there, fake_a), b),
            'idt_A': 5 * l1(generate(there, b), b),
            'idt_B': 5 * l1(generate(back, a), a),
        }
        return sum(terms.values()), (terms, fake_a, fake_b)

    def d_loss(variables, real, fake, kind):
        return 0.5 * adversarial.d_loss(kind, discriminate(variables, real), discriminate(variables, fake))

    (total, (terms, fake_a, fake_b)), gradient = jax.jit(jax.value_and_grad(g_loss, has_aux=True))(g['A'][1], g['B'][1])
    terms['loss_G'] = total
    terms['grad_l2.G_A'] = gradient_norms('cyclegan', 'g_ab', 'cyclegan_generator', gradient)
    for kind in ('lsgan', 'vanilla'):
        terms[f'{kind}.G_A'] = adversarial.g_loss(kind, discriminate(d['A'][1], fake_b))
        terms[f'{kind}.G_B'] = adversarial.g_loss(kind, discriminate(d['B'][1], fake_a))
        terms[f'{kind}.D_A'] = d_loss(d['A'][1], b, fake_b, kind)
        terms[f'{kind}.D_B'] = d_loss(d['B'][1], a, fake_a, kind)
    gradient = jax.jit(jax.grad(lambda v: d_loss(v, b, fake_b, 'lsgan')))(d['A'][1])
    terms['grad_l2.D_A'] = gradient_norms('cyclegan', 'd_a', 'cyclegan_discriminator', gradient)
    assert set(terms) == set(golden.manifest(name)['outputs'])
    for output, value in terms.items():
        golden.check(name, output, value)
