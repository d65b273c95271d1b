# Tasks for developers. Each recipe is one command that also works by itself, inside the environment
# that the README's test command makes: `source .venv-test/bin/activate`.

# List the recipes.
default:
    @just --list

# The tests without a marker, with a tenth of the examples of each property: within a minute.
test *args:
    python -m pytest -n auto --dist worksteal --hypothesis-profile dev -m "not slow and not process and not browser and not torch" {{args}}

# All tests, as the README and CI run them.
test-all *args:
    python -m pytest -n auto --dist worksteal {{args}}

# The tests as other processors would run them: OpenBLAS, NumPy, FAISS and PyTorch kernels, threads, noise, load.
test-matrix *args:
    python -m scripts.test_matrix {{args}}

# Style, types, and which room may import which.
lint: lint-page
    ruff check . && ruff format --check . && mypy && lint-imports

# The types in the comments of the page's scripts; left out without node, whose npx fetches TypeScript once.
lint-page:
    #!/usr/bin/env bash
    tsc="npx --yes --package typescript@5.9.3 tsc"
    if $tsc --version > /dev/null; then $tsc --project tsconfig.json; else
        echo "no node, or no npm registry: the types of the page's scripts are not checked"
    fi

# Format the code and mend what ruff can mend.
fmt:
    ruff check --fix . && ruff format .

# The documentation site, in build/site.
docs:
    mkdocs build --strict

# The documentation site at http://127.0.0.1:8000, built again at each change.
docs-serve:
    mkdocs serve

# All benchmarks; the work folder needs 20 GB.
bench work *args:
    python -m benchmarks.run {{work}} {{args}}

# Write the installed versions of the development tools to constraints-dev.txt.
lock:
    python -m scripts.lock
