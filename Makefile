# Every target works in a fresh clone: it sets up .venv in this folder and writes nothing outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests share fixtures, so one process runs them all. pytest-xdist would begin files with few tests last, and some
# of them take longest: they keep their order.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
CODE := setup.py src tests $(wildcard examples research spaces_demo docs)

export HF_HOME ?= $(CURDIR)/$(VENV)/huggingface
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Threads that wait for each other sleep instead of spinning, which on a busy machine takes ten times as long.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help demo space browser docs test pages slow quality style clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     paint a mask exactly, and one of brush strokes with natural outlines: outputs/demo.png, demo_strokes.png"
	@echo "make space    serve the painting demo (Gradio) at http://127.0.0.1:7860"
	@echo "make browser  serve the page that paints in the browser itself at http://127.0.0.1:8000"
	@echo "make docs     build the documentation site: outputs/docs/index.html"
	@echo "make test     run the tests, without those marked slow or pages"
	@echo "make pages    run the tests of the painting pages, in Chromium and Node.js"
	@echo "make slow     run the slow tests, which takes about an hour"
	@echo "make quality  check the code with ruff, and its types with pyright"
	@echo "make style    let ruff fix what it can"
	@echo "make clean    remove $(VENV) and the caches"

demo: $(VENV)/.installed-demo
	@mkdir -p outputs
	$(BIN)/spade-hf generate examples/assets/lake_mask.png --style examples/assets/noon_style.jpg --output outputs/demo.png --overwrite
	$(BIN)/spade-hf generate examples/assets/strokes/meadow.png --outline-strength 0.8 --style examples/assets/noon_style.jpg --output outputs/demo_strokes.png --overwrite
	@echo "Next: source $(BIN)/activate && spade-hf --help"

space: $(VENV)/.installed-space
	@$(BIN)/spade-hf demo

browser: $(VENV)/.installed-browser
	@echo "Exporting the model and building the page, which takes a minute or more"
	$(BIN)/python spaces_demo/browser/build.py --output_dir outputs/site
	@echo "Open http://127.0.0.1:8000"
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory outputs/site 8000

docs: $(VENV)/.installed-docs
	$(BIN)/python docs/stage.py outputs/docs_source
	$(BIN)/zensical build --strict --clean

test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(PYTEST) --numprocesses auto -m "not slow and not pages"

pages: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(PYTEST) --numprocesses 2 -m "pages and not slow" tests/demo tests/spaces_demo

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

quality: $(VENV)/.installed-quality $(VENV)/.installed-test
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/pyright

style: $(VENV)/.installed-quality
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build src/*.egg-info

# One stamp file per extra; the target `demo` needs only the package, not the extra for the Gradio app.
$(VENV)/.installed-demo: REQUIREMENT := -e .
$(VENV)/.installed-space: REQUIREMENT := -e ".[demo]"
$(VENV)/.installed-browser: REQUIREMENT := -e ".[demo,export]"
$(VENV)/.installed-test: REQUIREMENT := -e ".[test]"
$(VENV)/.installed-docs: REQUIREMENT := -e ".[docs]"
$(VENV)/.installed-quality: REQUIREMENT := -e ".[quality]"

$(VENV)/.installed-%: pyproject.toml setup.py constraints.txt src/spade_hf/version.py | $(BIN)/python
	@echo "Installing what is missing into $(VENV), once; PyTorch takes a minute or more"
	$(BIN)/python -m pip install --quiet --no-cache-dir --constraint constraints.txt $(REQUIREMENT)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; (3, 10) <= sys.version_info < (3, 15) or sys.exit("spade_hf needs Python 3.10 to 3.14, \
	and $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
