"""The options of `dfjax convert` and `dfjax swap` for every setting of the merger, `inference.settings`."""

import argparse
from dataclasses import replace

from dfjax.errors import InputError
from dfjax.inference.settings import BY_FIELD, OWN, TIMES, Settings, key_of, read_settings, seconds


def add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for every setting, and --settings for a file of them, over which options go."""
    group = parser.add_argument_group('how the face is laid in, and what is written')
    group.add_argument(
        '--settings', metavar='FILE', help='a TOML file of these settings, also by [[range]] and [[person]]'
    )
    for f in OWN:
        word, says, of, within = key_of(f).replace('_', '-'), *(f.metadata[key] for key in ('says', 'of', 'within'))
        how = {'dest': f'set_{f.name}', 'default': None, 'help': says}
        if isinstance(f.default, bool):
            flag = f'--no-{word}' if f.default else f'--{word}'
            group.add_argument(flag, action='store_const', const=not f.default, **how)
            continue
        if f.name in TIMES:
            group.add_argument(f'--{word}', metavar='TIME', **how)
            continue
        if of:
            how |= {
                'metavar': 'HOW',
                'help': f'{says}: {", ".join(of)}' + (f' (default {f.default})' if f.default else ''),
            }
        elif within:
            how |= {'metavar': 'N', 'type': int if f.name == 'crf' else float}
            how['help'] = f'{says}; {within[0]} to {within[1]}' + (
                '' if f.default is None else f', default {f.default:g}'
            )
        group.add_argument(f'--{word}', **({'metavar': 'W'} | how))
    group.add_argument('--seamless', dest='set_mode', action='store_const', const='seamless', help='--mode seamless')


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that a command line says.

    Raises:
        InputError: as `read_settings` and `Settings.check`; a time that is none.
    """
    made = read_settings(args.settings) if args.settings else Settings()
    given = {f.name: getattr(args, f'set_{f.name}') for f in OWN if getattr(args, f'set_{f.name}') is not None}
    for name in TIMES:
        if name in given:
            try:
                given[name] = seconds(given[name])
            except ValueError:
                said = key_of(BY_FIELD[name])
                raise InputError(f'--{said} {given[name]}: give seconds, or a time as 01:23.5') from None
    return replace(made, **given).check()
