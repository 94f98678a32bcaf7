.PHONY: check test slow fuzz bounds audit
check:  ## format, lint, types of what users call, and the tests of parts: under 4 minutes on two cores
	ruff format --check .
	ruff check .
	mypy
	pytest -m 'not slow and not whole'
test:  ## the gate: all but the slow ones, under 30 minutes
	pytest
slow:
	pytest -m slow
bounds:  ## the quick tests with the oldest libraries that setup.py allows, and with the newest
	python tests/bounds.py oldest newest
audit:  ## known vulnerabilities of what is installed (pip install pip-audit; it asks pypi.org)
	pip freeze --local --exclude-editable | pip-audit --strict --no-deps --disable-pip -r /dev/stdin
fuzz:  ## wrong bytes for every reader, for an hour; what is found is kept in found/
	python -m tests.fuzz.run --seconds 3600 --seed $$(date +%s) --keep found
