"""Diffusion: schedules and weights against closed forms, samplers on a mixture of gaussians whose score is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from dfjax.errors import InputError
from dfjax.inference import solvers as samplers
from dfjax.losses import diffusion

MEANS, SPREADS, SHARES = np.array([-0.6, 0.5]), np.array([0.1, 0.2]), np.array([0.3, 0.7])
MEAN = (SHARES * MEANS).sum()
VARIANCE = (SHARES * (SPREADS**2 + MEANS**2)).sum() - MEAN**2


def closed_form(table):
    """E[x0 | x at t] where every value of x0 is drawn from the mixture."""

    @jax.jit
    def denoise(x, t):
        share = jnp.asarray(table, jnp.float32)[t]
        a, variance = jnp.sqrt(share), share * SPREADS**2 + 1 - share
        off = x[..., None] - a * MEANS
        belongs = jax.nn.softmax(-0.5 * off**2 / variance - 0.5 * jnp.log(variance) + jnp.log(SHARES), -1)
        return (belongs * (MEANS + a * SPREADS**2 / variance * off)).sum(-1)

    return denoise


@pytest.fixture(scope='module')
def noise():
    return jax.random.normal(jax.random.key(0), (20, 32, 32, 1))


def test_schedules_are_those_of_the_papers():
    linear = diffusion.alpha_bar('linear', 1000)
    t = np.arange(1, 1001)
    # The logarithm of a product is a sum: to second order in beta, an integral of the line that beta is.
    beta = 1e-4 + (0.02 - 1e-4) * (t - 1) / 999
    np.testing.assert_allclose(np.log(linear), np.cumsum(np.log1p(-beta)), rtol=1e-12)
    cosine = diffusion.alpha_bar('cosine', 1000)
    f = np.cos((np.r_[0, t] / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine[:998], (f[1:] / f[0])[:998], rtol=1e-9)
    for table in (linear, cosine):
        assert (np.diff(table) < 0).all() and table[0] > 0.999 and 0 < table[-1] < 1e-4


def test_a_short_linear_schedule_ends_with_as_much_noise():
    assert diffusion.alpha_bar('linear', 250)[-1] < 1e-4
    assert diffusion.alpha_bar('linear', 20)[-1] > 0


@pytest.mark.parametrize('prediction', diffusion.PREDICTIONS)
def test_the_picture_comes_back_from_the_target(prediction):
    table = diffusion.alpha_bar('cosine', 100)
    x0, noise = jax.random.normal(jax.random.key(0), (2, 5, 4, 4, 3))
    a, s = diffusion.amplitudes(table, jnp.array([0, 20, 50, 80, 95]))
    out = diffusion.target(prediction, x0, noise, a, s)
    back = diffusion.clean(prediction, out, a * x0 + s * noise, a, s)
    np.testing.assert_allclose(back, x0, atol=1e-3)


@pytest.mark.parametrize('prediction', diffusion.PREDICTIONS)
def test_min_snr_weighs_errors_of_the_picture_alike_under_all_predictions(prediction):
    """An error e of the picture is an error of the prediction; its weighted square is min(SNR, 5) e^2."""
    table = diffusion.alpha_bar('cosine', 100)
    t, e = 40, 0.1
    a, s = np.sqrt(table[t]), np.sqrt(1 - table[t])
    shift = e * {'x': 1, 'v': 1 / s, 'epsilon': a / s}[prediction]  # |d prediction / d x0| at fixed x
    weighted = diffusion.weight(prediction, table, 5.0)[t] * shift**2
    np.testing.assert_allclose(weighted, min(table[t] / (1 - table[t]), 5.0) * e**2, rtol=1e-9)
    assert (diffusion.weight(prediction, table, 0.0) == 1).all()


@pytest.mark.parametrize(
    ('solver', 'total', 'steps', 'bias'),
    [('ddpm', 400, 400, 0.03), ('ddim', 1000, 200, 0.02), ('dpm++', 1000, 50, 0.01), ('dpm++', 1000, 20, 0.02)],
)
def test_samples_have_the_moments_of_the_mixture(noise, solver, total, steps, bias):
    """Within the Monte Carlo error and, for few steps, a bias of so much of the variance."""
    table = diffusion.alpha_bar('cosine', total)
    keys = jax.random.split(jax.random.key(1), len(noise))
    x = np.asarray(samplers.sample(closed_form(table), noise, table, samplers.times(total, steps), solver, keys))
    error = 5 / np.sqrt(x.size)
    assert abs(x.mean() - MEAN) < error * VARIANCE**0.5 + bias * VARIANCE
    assert abs(x.var() - VARIANCE) < (error + bias) * VARIANCE
    left = stats.norm(MEANS, SPREADS).cdf(0.0) @ SHARES  # the share of the mixture below 0
    assert abs((x < 0).mean() - left) < error + bias


def test_the_second_order_is_nearer_than_the_first(noise):
    """All solvers without noise of their own go to the same end; 200 steps show where that is."""
    table = diffusion.alpha_bar('cosine', 1000)
    denoise = closed_form(table)
    end = samplers.sample(denoise, noise, table, samplers.times(1000, 200), 'dpm++')
    off = {s: float(((samplers.sample(denoise, noise, table, samplers.times(1000, 50), s) - end) ** 2).mean())
           for s in ('ddim', 'dpm++')}  # fmt: skip
    assert off['dpm++'] < 0.2 * off['ddim']


@pytest.mark.parametrize('solver', samplers.SOLVERS)
def test_steps_in_one_program_are_the_same(solver, noise, monkeypatch):
    table, steps, told = diffusion.alpha_bar('cosine', 100), samplers.times(100, 8), []
    arguments = (
        closed_form(table),
        noise[:2],
        table,
        steps,
        solver,
        jax.random.split(jax.random.key(3)),
        lambda *n: told.append(n),
    )
    apart = samplers.sample(*arguments)
    assert told == [(n + 1, 8) for n in range(8)]
    monkeypatch.setattr('dfjax.ops.backend.loops_are_fast', lambda: True)
    np.testing.assert_allclose(samplers.sample(*arguments), apart, atol=1e-5)
    assert told[8:] == [(8, 8)]


def test_inpainting_keeps_what_is_known(noise):
    table = diffusion.alpha_bar('cosine', 1000)
    known = jnp.full(noise.shape, 0.5)
    mask = jnp.zeros((1, 32, 32, 1)).at[:, :16].set(1.0)
    denoise = samplers.inpainting(closed_form(table), known, mask)
    made = np.asarray(samplers.sample(denoise, noise, table, samplers.times(1000, 20), 'dpm++'))
    np.testing.assert_allclose(made[:, 16:], 0.5, atol=1e-6)
    assert abs(made[:, :16].mean() - MEAN) < 0.02


def test_sdedit_keeps_as_much_as_its_strength_leaves(noise):
    """A weak change stays with its component of the mixture, a strong one forgets it."""
    table = diffusion.alpha_bar('cosine', 1000)
    start = jnp.full(noise.shape, MEANS[0])
    stays = {}
    for strength in (0.1, 1.0):
        steps = samplers.times(1000, 20, strength)
        x = samplers.noised(start, jax.random.normal(jax.random.key(2), start.shape), table, steps[0])
        x = samplers.sample(closed_form(table), x, table, steps, 'dpm++')
        stays[strength] = float((x < 0).mean())
    assert stays[0.1] > 0.99
    assert stays[1.0] == pytest.approx(stats.norm(MEANS, SPREADS).cdf(0.0) @ SHARES, abs=0.02)


def test_the_bound_of_the_true_denoiser_is_near_the_entropy():
    """Uniform 8-bit values: the entropy is 8 bits, no bound is below it, and that of the best denoiser little above."""
    table = diffusion.alpha_bar('cosine', 1000)
    levels = jnp.linspace(-1, 1, 256)
    keys = jax.random.split(jax.random.key(0), 4)
    values = jax.random.randint(keys[0], (500, 4, 4, 3), 0, 256)
    x0 = levels[values]
    t = jax.random.choice(keys[1], 1000, (500,), p=jnp.asarray(diffusion.bound_times(table)))
    noise, first = jax.random.normal(keys[2], (2, *x0.shape))
    a, s = diffusion.amplitudes(table, t)
    x = a * x0 + s * noise
    belongs = jax.nn.softmax(-0.5 * ((x[..., None] - a[..., None] * levels) / s[..., None]) ** 2, -1)
    bits = diffusion.bits_at(table, t, x0, (belongs * levels).sum(-1)) + diffusion.bits_of_ends(table, x0, first)
    error = float(bits.std()) / 500**0.5
    assert error < 0.3 and 8 - 4 * error < float(bits.mean()) < 8.3 + 4 * error


def test_the_refined_guess_is_nearer_than_what_it_is_the_mean_of():
    """Of two independent errors weighed by their precision, the variance is the inverse of the sum of precisions."""
    x0, noise, off = jax.random.normal(jax.random.key(0), (3, 200, 8, 8, 3))
    for sigma in (0.01, 0.04, 0.2):
        a, s = 1 / np.sqrt(1 + sigma**2), sigma / np.sqrt(1 + sigma**2)
        got = diffusion.refined(x0 + diffusion.BLUR * off, a * x0 + s * noise, a, s)
        wanted = 1 / (1 / diffusion.BLUR**2 + 1 / sigma**2)
        np.testing.assert_allclose(((got - x0) ** 2).mean(), wanted, rtol=0.05)


def test_the_part_at_the_ends_is_the_integral_of_its_definition():
    """Of one value, over the noise at time 0 and with the prior's KL."""
    table = diffusion.alpha_bar('cosine', 1000)
    value, spread = 100, np.sqrt((1 - table[0]) / table[0])
    levels = np.linspace(-1, 1, 256)

    def nats(e):
        off = (levels[value] + spread * e - levels) / spread
        return stats.norm.pdf(e) * (np.logaddexp.reduce(-0.5 * off**2) + 0.5 * off[value] ** 2)

    told, _ = integrate.quad(nats, -8, 8, limit=200)
    prior = 0.5 * (table[-1] * levels[value] ** 2 + (1 - table[-1]) - 1 - np.log(1 - table[-1]))
    x0 = jnp.full((50, 32, 32, 3), levels[value], jnp.float32)
    bits = jax.jit(lambda x0, noise: diffusion.bits_of_ends(table, x0, noise))
    assert bits.lower(x0, x0).compile().memory_analysis().temp_size_in_bytes < 8 * x0.nbytes  # and not 256
    got = bits(x0, jax.random.normal(jax.random.key(0), x0.shape))
    np.testing.assert_allclose(got.mean(), (told + prior) / np.log(2), rtol=0.01)


def test_times_go_down_to_0_and_begin_where_they_are_told():
    assert samplers.times(1000, 1000) == list(range(999, -1, -1))
    short = samplers.times(1000, 20)
    assert (len(short), short[0], short[-1]) == (20, 999, 0)
    part = samplers.times(1000, 20, 0.5)
    assert (len(part), part[0], part[-1]) == (20, 499, 0)
    assert samplers.times(1000, 20, 0.004) == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ('call', 'line'),
    [
        (lambda: samplers.times(1000, 0), 'give 1 or more'),
        (lambda: samplers.times(1000, 20, 1.5), 'strength 1.5'),
        (lambda: samplers.sample(None, None, np.ones(3) / 2, [1], 'euler'), 'dpm\\+\\+, ddim, ddpm'),
    ],
)
def test_a_wrong_number_or_solver_is_one_line(call, line):
    with pytest.raises(InputError, match=line):
        call()


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match='cosine, linear'):
        diffusion.alpha_bar('square', 10)
