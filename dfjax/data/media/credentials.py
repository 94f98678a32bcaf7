"""Content credentials (C2PA): every output says that it is AI-generated and with what, and can be asked.

Works offline. The signing key is made on first use and is the user's own: it proves that a file is unchanged since it
was signed, not who signed it, so viewers show the signer as unknown. https://spec.c2pa.org
"""

import datetime
import functools
import json
import mimetypes
import shutil
from pathlib import Path

from dfjax import __version__
from dfjax.data.media.choices import consent
from dfjax.data.media.output import atomic_path
from dfjax.data.media.signing_key import identity, signer_file
from dfjax.errors import ReadError, WriteError

GENERATOR = f'dfjax {__version__}'
SOURCE_TYPES = 'http://cv.iptc.org/newscodes/digitalsourcetype/'
MARK = 'dfjax.mark.1'  # the soft binding's algorithm: `mark.py`
GENERATED, COMPOSITE = 'trainedAlgorithmicMedia', 'compositeWithTrainedAlgorithmicMedia'
SIGNED_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.jpg', '.jpeg', '.png', '.gif', '.webp', '.tif', '.tiff', '.wav')
# Nothing is fetched: no trust list, no revocation list, no manifest from elsewhere.
SETTINGS = {
    'verify': dict.fromkeys(('verify_trust', 'verify_timestamp_trust', 'ocsp_fetch', 'remote_manifest_fetch'), False),
    # A video is hashed piece by piece and copied through a file, so that memory does not grow with it.
    'core': {'merkle_tree_chunk_size_in_kb': 1024, 'backing_store_memory_threshold_in_mb': 16},
    'builder': {'thumbnail': {'enabled': False}},
}


def sign(
    path,
    description: str = '',
    *,
    composite: bool = False,
    details: dict | None = None,
    generator: str = GENERATOR,
    title: str | None = None,
    mark: int | None = None,
) -> None:
    """Embeds AI-generated content credentials in a finished file, in place; the file is replaced whole or not at all.

    Credentials that the file already has are replaced.

    Args:
        description: in words what was done.
        composite: a recorded picture or video was altered (a swapped face) rather than made from nothing.
        details: further facts (system, run); what was said of consent is added.
        generator: the program and its version.
        title: the file's name where it will be kept, if not the present one.
        mark: number of the invisible mark in its pictures, by which they are known where credentials were stripped.

    Raises:
        FileError: missing or damaged, of a type that cannot hold credentials, or it cannot be written.
    """
    import c2pa

    path = _checked(Path(path))
    facts = {'consent': consent()} if consent() else {}
    name, _, version = generator.partition(' ')
    action = {
        'action': 'c2pa.created',
        'digitalSourceType': SOURCE_TYPES + (COMPOSITE if composite else GENERATED),
        'softwareAgent': {'name': name, 'version': version},
        'when': datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ'),
        'description': description or 'made by a trained model',
        'parameters': {f'dfjax.{key}': str(value) for key, value in (facts | (details or {})).items()},
    }
    actions, assertions = [action], []
    if mark is not None:
        actions.append({'action': 'c2pa.watermarked.bound'})
        binding = {'alg': MARK, 'blocks': [{'scope': {}, 'value': f'{mark:012x}'}]}
        assertions.append({'label': 'c2pa.soft-binding', 'data': binding})
    manifest = {
        'claim_generator_info': [{'name': name, 'version': version}],
        'title': title or path.name,
        'assertions': [{'label': 'c2pa.actions.v2', 'data': {'actions': actions}}, *assertions],
    }
    with atomic_path(path, force=True) as temporary:
        try:
            with open(path, 'rb') as source, open(temporary, 'w+b') as target:
                c2pa.Builder(_json(manifest), context=_context()).sign(_signer(), _mime(path), source, target)
        except c2pa.C2paError as error:
            if shutil.disk_usage(path.parent).free < 1 << 16:  # the library's own words are not dependable
                raise WriteError(path, 'the disk is full; content credentials could not be added') from error
            raise WriteError(path, f'content credentials cannot be added ({_line(error)})') from error


def read_credentials(path) -> dict | None:
    """What a file's content credentials say, None where it has none (which proves nothing: they can be stripped).

    Keys: `ai_generated` bool, None where they are too damaged to tell; `source_type` the last part of the IPTC digital
    source type; `generator`; `description`; `when` (ISO 8601, as claimed); `details` dict; `mark` the number of its
    invisible mark, 12 hexadecimal digits; `signer`; `intact` bool, False for a file changed since it was signed;
    `problems` list of C2PA failure codes. What is not said is None.
    Raises ReadError as sign does.
    """
    import c2pa

    path = _checked(Path(path))
    try:
        with open(path, 'rb') as file, c2pa.Reader(_mime(path), file, context=_context()) as reader:
            manifest = reader.get_active_manifest() or {}
            state, results = reader.get_validation_state(), reader.get_validation_results() or {}
    except c2pa.C2paError.ManifestNotFound:
        return None
    except (c2pa.C2paError.Io, c2pa.C2paError.NotSupported) as error:
        raise ReadError(path, f'cannot be read for content credentials ({_line(error)})') from error
    except c2pa.C2paError as error:  # there are credentials, but too damaged to be parsed
        return _facts({}, [_line(error)])
    failures = [item['code'] for item in results.get('activeManifest', {}).get('failure', [])]
    return _facts(manifest, failures or ([] if state in ('Valid', 'Trusted') else [str(state)]))


def _facts(manifest: dict, problems: list[str]) -> dict:
    actions = [
        action
        for assertion in manifest.get('assertions', [])
        if assertion['label'].startswith('c2pa.actions')
        for action in assertion['data'].get('actions', [])
    ]
    bindings = [a['data'] for a in manifest.get('assertions', []) if a['label'].startswith('c2pa.soft-binding')]
    marks = [b['blocks'][0]['value'] for b in bindings if b.get('alg') == MARK]
    told = next((a for a in actions if a.get('digitalSourceType')), actions[0] if actions else {})
    kind = told.get('digitalSourceType', '').rpartition('/')[2] or None
    made = next(iter(manifest.get('claim_generator_info') or []), {})
    return {
        'ai_generated': kind in (GENERATED, COMPOSITE) if manifest else None,
        'source_type': kind,
        'generator': f'{made.get("name", "")} {made.get("version", "")}'.strip() or None,
        'description': told.get('description'),
        'when': told.get('when'),
        'details': {k.removeprefix('dfjax.'): v for k, v in (told.get('parameters') or {}).items()},
        'mark': next(iter(marks), None),
        'signer': (manifest.get('signature_info') or {}).get('issuer'),
        'intact': not problems,
        'problems': problems,
    }


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise ReadError(path, 'is a folder, not a file' if path.is_dir() else 'no such file')
    if not path.stat().st_size:
        raise ReadError(path, 'the file is empty')
    if path.suffix.lower() not in SIGNED_SUFFIXES:
        raise ReadError(path, f'content credentials are kept in {", ".join(SIGNED_SUFFIXES)} files only')
    return path


def _mime(path: Path) -> str:
    suffix = path.suffix.lower()
    return {'.m4v': 'video/mp4', '.webp': 'image/webp', '.wav': 'audio/wav'}.get(suffix) or mimetypes.types_map[suffix]


def _json(manifest: dict) -> str:
    """Names of files may hold bytes that are no UTF-8: these become question marks."""
    return json.dumps(manifest, ensure_ascii=False).encode(errors='replace').decode()


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())


@functools.cache
def _context():
    import c2pa

    return c2pa.Context.from_dict(SETTINGS)


def _signer():
    import c2pa

    chain, key = identity(signer_file())
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, key, None))
