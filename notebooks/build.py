"""Makes the notebooks: each from `source/NAME.py`, with the cells that several have from `source/shared.py`.

    python notebooks/build.py

A source is a script whose cells begin with a line `# %%`: `# %% [markdown]` text, each line behind "# ";
`# %% tags=parameters` the settings, which tests set otherwise; `# %% include NAME` a cell of `source/shared.py`,
where it begins with `# %% name NAME`.
"""

import re
from pathlib import Path

import nbformat
from nbformat import v4

HERE = Path(__file__).parent
KERNEL = {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'}
METADATA = {
    'accelerator': 'GPU',
    'colab': {'provenance': []},
    'kernelspec': KERNEL,
    'language_info': {'name': 'python'},
}


def cells_of(path: Path) -> list[tuple[str, str]]:
    """(what stands behind # %%, the text below it) of each cell."""
    parts = re.split(r'^# %%(.*)\n', path.read_text(), flags=re.M)
    return [(head.strip(), text.strip('\n')) for head, text in zip(parts[1::2], parts[2::2])]


def notebook(name: str) -> nbformat.NotebookNode:
    """The notebook of `source/<name>.py`, without outputs."""
    shared = {}
    for head, text in cells_of(HERE / 'source' / 'shared.py'):
        _, key, *kind = head.split()
        shared[key] = ' '.join(kind), text
    cells = []
    for head, text in cells_of(HERE / 'source' / f'{name}.py'):
        if head.startswith('include '):
            head, text = shared[head.split()[1]]
        if head == '[markdown]':
            cell = v4.new_markdown_cell(re.sub(r'^# ?', '', text, flags=re.M))
        else:
            tags = {'tags': ['parameters']} if head == 'tags=parameters' else {}
            cell = v4.new_code_cell(text, metadata=tags)
        cell['id'] = f'{name[:1]}-{len(cells):02}'
        cells.append(cell)
    return v4.new_notebook(cells=cells, metadata=METADATA)


def names() -> list[str]:
    """All notebooks, in order."""
    return sorted(path.stem for path in (HERE / 'source').glob('*.py') if path.stem != 'shared')


if __name__ == '__main__':
    for name in names():
        nbformat.write(notebook(name), HERE / f'{name}.ipynb')
