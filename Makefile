.PHONY: check test slow
check:  ## format, lint, fast tests
	ruff format --check .
	ruff check .
	pytest
test:
	pytest
slow:
	pytest -m slow
