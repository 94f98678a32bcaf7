"""All nets of a run as one file: the numbers of the run's own functions, for any number of pictures."""

import numpy as np
import pytest
from untrained import smooth_picture, untrained

from dfjax.apps.cli import main
from dfjax.inference.export import load_exported
from dfjax.inference.nets import open_net
from dfjax.inference.run import load_run
from dfjax.ops.motion import relative_motion

pytestmark = pytest.mark.whole


def pictures(count, size, seed):
    return np.float32([smooth_picture(size, size, seed + n) for n in range(count)]) / 127.5 - 1


@pytest.mark.parametrize('system', ['fomm', 'wav2lip'])
def test_one_file_does_what_the_run_does(system, tmp_path, capsys):
    run = load_run(untrained(tmp_path / 'w', system))
    net = {'fomm': 'animate', 'wav2lip': 'lipsync'}[system]
    size = run.cfg.data.size
    assert main(['export', '--run', str(tmp_path / 'w'), '--net', net, '-o', str(tmp_path / 'f')]) == 0
    one, other, third = (pictures(2, size, 10 * n) for n in range(3))
    if net == 'animate':
        points = [run.system.keypoints(run.cfg, run.params, x) for x in (one, other, third)]
        moved = relative_motion(*points)
        wanted = run.system.animate(run.cfg, run.params, one, points[0], moved)
        given = {'source': one, 'driving': other, 'initial': third}
    else:
        mel = np.random.default_rng(0).uniform(-4, 4, (2, 80, 16, 1)).astype(np.float32)
        wanted = run.system.lipsync(run.cfg, run.params, mel, one, other)
        given = {'mel': mel, 'picture': one, 'reference': other}
    exported = load_exported(tmp_path / 'f')
    assert list(exported.inputs) == sorted(given)
    np.testing.assert_allclose(exported(**given)['y'], wanted, atol=2e-4)
    np.testing.assert_allclose(exported(**{k: v[:1] for k, v in given.items()})['y'], wanted[:1], atol=2e-4)
    capsys.readouterr()
    assert main(['apply', '--run', str(tmp_path / 'w')]) == 0
    assert net in capsys.readouterr().out
    with pytest.raises(Exception, match='several nets'):
        open_net(run, None)
