"""What tests read in a lowered program's text (StableHLO)."""

import re
from collections.abc import Callable

import jax
import jax.export

PLATFORMS = ('cpu', 'cuda', 'tpu')  # in the order of an exported program's index of them


def exported(function: Callable, *arguments) -> str:
    """One program for all of PLATFORMS, as `dfjax export` writes it on any of them."""
    return jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments).mlir_module()


def operations(text: str, platform: str) -> list[str]:
    """The lines of an exported program that run on a platform: its functions from 'main' on, as they are called, and of
    every choice by platform the branch that is taken."""
    functions = {}
    for part in re.split(r'\n(?=  func\.func )', text)[1:]:
        functions[re.search(r'@([\w.-]+)\(', part)[1]] = part.split('\n')
    found, calls = [], [('main', {'%arg0': PLATFORMS.index(platform)} if '_platform_index' in text else {})]
    while calls:
        name, known = calls.pop()
        found += _taken(functions[name], known, calls)[0]
    return found


def _taken(lines: list[str], known: dict[str, int], calls: list) -> tuple[list[str], int | None]:
    """The lines without branches that are not taken, and the number returned, by the numbers that are `known`; adds to
    `calls` which functions are called, and what is known of their arguments."""
    known, found, result, at = dict(known), [], None, 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if number := re.search(r'(%\w+) = stablehlo\.constant dense<(\d+)> : tensor<i32>', line):
            known[number[1]] = int(number[2])
        for inside, outside in re.findall(r'(%iterArg\w*) = (%\w+)', line):  # a loop hands the number on
            known |= {inside: known[outside]} if outside in known else {}
        if call := re.search(r'(?<!custom_)call @([\w.-]+)\(([^)]*)\)', line):
            given = enumerate(call[2].split(', '))
            calls.append((call[1], {f'%arg{n}': known[name] for n, name in given if name in known}))
        if ends := re.search(r'stablehlo\.return (%\w+) ', line):
            result = known.get(ends[1])
        choice = re.search(r'(%\w+)(?::\d+)? = "stablehlo\.case"\((%\w+)\) \(\{', line)
        if not choice or choice[2] not in known:
            found.append(line)
            continue
        regions, depth = [[]], 1
        while depth:
            line, at = lines[at].strip(), at + 1
            depth += line.endswith('({') - line.startswith('})')
            if depth == 1 and line.startswith('}, {'):
                regions.append([])
            else:
                regions[-1].append(line)
        taken, value = _taken(regions[known[choice[2]]], known, calls)
        found += taken
        if value is not None:
            known[choice[1]] = value
    return found, result


def named(lines: list[str], operation: str) -> list[str]:
    """Those lines that are an operation: 'convolution', 'dot_general'."""
    return [line for line in lines if re.search(rf'stablehlo\.{operation}\b', line)]
