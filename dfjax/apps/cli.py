"""`dfjax VERB ...`: finds the verb's module, reads its arguments, runs it and prints its report.

A verb is a module here with `add_arguments(parser)` and `run(args) -> dict`. It may have `add_options(parser, words)`,
where options depend on what else the command says, and `spoken(report, args) -> dict`, where people are told otherwise
than scripts. Only the chosen one is imported, and it imports JAX only when it runs, so that help is instant.
"""

import argparse
import contextlib
import importlib
import json
import keyword
import os
import re
import sys
from collections.abc import Iterator, Sequence

from dfjax import __version__, interrupts
from dfjax.apps.consent import settle
from dfjax.data.media.limits import FRAME, PICTURE
from dfjax.errors import InputError

GROUPS = {
    'swap, animate, speak': {
        'demo': 'make two rendered people and swap their faces: the whole pipeline, with a score',
        'swap': 'put the face of one person into a video of another: extract, train, convert',
        'convert': 'apply a trained swap to a video',
        'animate': 'make a picture move like the face of a video, without any training',
        'lipsync': 'make a video or a picture of a face say what a sound says, without any training',
        'studio': 'open a page on this machine that does all of this by clicks',
    },
    'faces and data sets': {
        'people': 'say who is in a video: a numbered sheet, for --person NUMBER',
        'extract': 'find, align and save the faces of videos and pictures as a face set',
        'sort': 'order the pictures of a face set: blur, yaw, pitch, brightness, identity, similarity',
        'check': 'say which pictures of a face set are unusable, and why',
        'mask': 'say where faces are seen, less what is in front of them, by a trained mask net',
        'pack': 'turn a face set into a tfds dataset',
        'data': 'rewrite a prepared tfds dataset so that it is read without TensorFlow',
    },
    'train': {
        'train': 'train a system by one of its named runs, or by a config of your own; goes on where it was',
        'config': 'list systems and their named runs, or every key of one: default, range, meaning',
        'runs': 'list the runs of a folder: how far they are, how fast, how long yet; --plot draws their losses',
        'preview': 'open or copy the newest preview of a run',
        'watch': 'show a run on a page while it trains: preview, losses, time left, a button to stop',
        'batch': 'run a list of jobs, each of which is gone on with if it was stopped',
    },
    'pictures from trained runs': {
        'translate': 'turn pictures and videos into others by a trained pix2pix, CycleGAN or StarGAN',
        'edit': 'change attributes of pictures and videos by vectors of a trained VAE',
        'morph': 'make a transition between pictures through the codes of a trained VAE',
        'stylize': 'repaint pictures in the style of another, or videos by a trained run',
        'sample': 'make pictures by a trained VAE, GAN or diffusion model',
    },
    'measure and check': {
        'evaluate': 'measure a swapped video against its input, or what a run has learnt',
        'verify': 'read the content credentials and the invisible mark of a picture or video',
        'doctor': 'say what this machine has: device, versions, memory, codecs, folders; and what is missing',
        'bench': 'measure speed, against PyTorch where there is an equivalent',
    },
    'nets from and for elsewhere': {
        'import': 'turn the checkpoints of an original project into a run, or its face set into one of ours',
        'apply': 'run one net of a run on raw arrays',
        'export': 'write one net of a run as a file that runs without this program',
    },
}
END = """
`dfjax VERB --help` explains one, with an example. Words are completed by the Tab key after
    eval "$(register-python-argcomplete dfjax)"
Every verb takes -q, to be told nothing but the report, and -v, to be told where in the program an error comes from."""
PAGES = ('studio', 'watch')  # verbs whose address is all that they say
VERBS = {verb: text for group in GROUPS.values() for verb, text in group.items()}


def build_parser(verb: str | None = None, words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of one verb for the words of its command, or the one that lists all verbs."""
    if verb is None:
        lines = [
            f'\n{title}:\n' + ''.join(f'  {verb:<10} {VERBS[verb]}\n' for verb in GROUPS[title]) for title in GROUPS
        ]
        parser = argparse.ArgumentParser(
            prog='dfjax',
            description='Face and image synthesis in JAX.',
            epilog=''.join(lines).lstrip() + END,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument('--version', action='version', version=f'dfjax {__version__}')
        parser.add_argument('verb', metavar='VERB', help='what to do')
        return parser
    module = importlib.import_module(f'dfjax.apps.{module_name(verb)}')
    parser = argparse.ArgumentParser(
        prog=f'dfjax {verb}',
        description=VERBS[verb][0].upper() + VERBS[verb][1:] + '.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    if hasattr(module, 'add_options'):
        module.add_options(parser, words)
    parser.add_argument('--json', action='store_true', help='print the report as one line of JSON')
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument('-q', '--quiet', action='store_true', help='say nothing but the report, and what went wrong')
    loud.add_argument(
        '-v',
        '--verbose',
        action='store_true',
        help='say also what libraries say, and where in the program an error comes from, as DFJAX_DEBUG=1 does',
    )
    parser.add_argument(
        '--max-megapixels',
        metavar='N',
        help=f'read pictures and frames up to this size; default {PICTURE} for pictures, {FRAME} for videos',
    )
    parser.add_argument('--allow-cut', action='store_true', help='take videos that end too soon as far as they go')
    parser.add_argument('--sdr', action='store_true', help='write HDR videos as ordinary ones, tone-mapped')
    parser.set_defaults(verb=module.run, spoken=getattr(module, 'spoken', lambda report, args: report))
    return parser


def no_verb(word: str) -> str:
    """The line for a verb that does not exist, with the one that was probably meant."""
    import difflib

    near = difflib.get_close_matches(word, VERBS, 1, 0.5)
    meant = f'did you mean {near[0]!r}?' if near else '`dfjax --help` lists them'
    return f'there is no verb {word!r}; {meant}'


def module_name(verb: str) -> str:
    """The module of a verb: its name, or with an underscore where Python has taken that (`import`)."""
    return f'{verb}_' if keyword.iskeyword(verb) else verb


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of a command, its verb's function among them; ends the program as argparse does where they are
    wrong."""
    if not argv or argv[0] not in VERBS:
        parser = build_parser()
        parser.error(no_verb(parser.parse_args(argv[:1] or ['--help']).verb))
    words = [re.sub('^--color(?==|$)', '--colour', word) for word in argv[1:]]
    parser = build_parser(argv[0], words)
    args, args.overrides = parser.parse_known_args(words)
    if strange := [word for word in args.overrides if 'config' not in args or not word.startswith('--config.')]:
        parser.error(f'unrecognized arguments: {" ".join(strange)}')
    return args


def complete() -> None:
    """Answers a shell that asks how the words so far may go on, see `argcomplete`."""
    import argcomplete

    parser = argparse.ArgumentParser(prog='dfjax')
    words, verbs = os.environ.get('COMP_LINE', '').split(), parser.add_subparsers()
    for verb in VERBS:
        parents = [build_parser(verb)] if words[1:2] == [verb] else []
        verbs.add_parser(verb, parents=parents, add_help=False)
    argcomplete.autocomplete(parser)


def main(argv: list[str] | None = None) -> int:
    """Runs one verb. Exit status: 0 done, 1 the report says no (`ok` false), 2 bad input, 130 interrupted."""
    if '_ARGCOMPLETE' in os.environ:
        complete()
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')  # names of files may hold what no terminal can show
    args = parse(sys.argv[1:] if argv is None else argv)
    if args.max_megapixels:
        os.environ['DFJAX_MAX_MEGAPIXELS'] = args.max_megapixels  # processes that it starts have it too
    for name in ('allow_cut', 'sdr'):
        if getattr(args, name):
            os.environ[f'DFJAX_{name.upper()}'] = '1'
    if args.verbose:
        import logging

        os.environ['DFJAX_DEBUG'] = '1'
        logging.basicConfig(level=logging.INFO, format='%(asctime)s %(name)s: %(message)s')
    else:  # XLA's warnings of slow compilation and of processors that differ by a name are for its developers
        os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    interrupts.watch()  # SIGTERM's default action would leave half-written outputs behind
    try:
        if 'consent' in args:
            settle(args)
        with hushed(args.quiet and args.verb.__module__.rpartition('.')[2] not in PAGES):
            report = args.verb(args)
        print_report(report if args.json else args.spoken(report, args), args.json)
    except InputError as error:
        if os.environ.get('DFJAX_DEBUG'):
            raise
        print(f'{marked("dfjax:")} {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f'dfjax: {str(interrupt) or "interrupted"}', file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0 if report.get('ok', True) else 1


@contextlib.contextmanager
def hushed(quiet: bool) -> Iterator[None]:
    """Where `quiet`, what is said on stderr meanwhile is lost: bars and notes; errors are printed after it."""
    with contextlib.ExitStack() as stack:
        if quiet:
            stack.enter_context(contextlib.redirect_stderr(stack.enter_context(open(os.devnull, 'w'))))
        yield


def marked(text: str) -> str:
    """Red on a terminal, unless NO_COLOR is set (no-color.org)."""
    return f'\x1b[31m{text}\x1b[0m' if sys.stderr.isatty() and not os.environ.get('NO_COLOR') else text


def print_report(report: dict, as_json: bool) -> None:
    """One line of JSON, or a line a figure; a nested report stays on its line."""
    if as_json:
        print(json.dumps(report, default=str), flush=True)
        return
    width = max((len(key) for key in report), default=0)
    for key, value in report.items():
        print(f'{key:<{width}}  {format_value(value)}')
    sys.stdout.flush()


def format_value(value: object) -> str:
    """Figures with four significant digits, lists one item a line."""
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, dict):
        return ', '.join(f'{k} {format_value(v)}' for k, v in value.items()) or 'none'
    if isinstance(value, list):
        return ''.join(f'\n  {format_value(item)}' for item in value) or 'none'
    return str(value)


if __name__ == '__main__':
    sys.exit(main())
