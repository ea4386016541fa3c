"""The site: the series as its notebooks were committed; nothing is executed. `make site`."""

import json
import re
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from unet_lib import bootstrap  # noqa: E402

bootstrap.quieten()
with bootstrap.stderr_aside():  # the docstrings are read from the imported rooms
    import tensorflow  # noqa: F401

ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = ABOUT["urls"]["Repository"]

project = "U-Net Lowered"
author = copyright = ABOUT["authors"][0]["name"]
release = ABOUT["version"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# All pages lie where they do in the repository: a link between two of them holds in both.
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "README.md", "CONTRIBUTING.md",
                    "CHANGELOG.md", "data/README.md", "unet_lib/weights/README.md"]  # fmt: skip
exclude_patterns = ["build", ".venv", "runs", "**.ipynb_checkpoints",
                    "notebooks/*[!a-z0-9_]*.ipynb"]  # a copy that lies beside them
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"
nb_number_source_lines = False

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the text says it with shape and range
autodoc_default_options = {"members": True}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_use_index = html_domain_indices = False
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
templates_path = ["_templates"]
html_additional_pages = {"index": "start.html"}
html_theme_options = {
    "repository_url": REPOSITORY,
    "path_to_docs": "",
    "use_repository_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "repository_branch": f"v{release}",
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the search stands in the sidebar
}

COLOR = re.compile(r"(text-decoration-)?color: #\w+;? ?")
# The sidebar. It is not in docs/index.md, which JupyterLab shows too.
SIDEBAR = {
    "The lesson": ["../notebooks/0*"],
    "For practitioners": ["../notebooks/1*"],
    "Look up": ["glossary", "numbers", "results", "speed", "sweeps", "runtimes", "original",
                "The data <../data/README>", "The shipped model <../unet_lib/weights/README>",
                "API <api>"],
    "The project": ["Install and run <../README>", "Change something <../CONTRIBUTING>",
                    "What changed <../CHANGELOG>"],
}  # fmt: skip
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Make a notebook a page, and give the first page the sidebar.

    A notebook's figures get their alt text, the bootstrap cell is folded, the badge (an image from
    elsewhere) becomes a link, and the colours of Keras' summary go: they are too pale to read.
    """
    if name == root_doc:
        for title, pages in SIDEBAR.items():
            listed = "\n".join([f":caption: {title}", ":hidden:", ":glob:", "", *pages])
            source[0] += f"\n```{{toctree}}\n{listed}\n```\n"
    if not name.startswith("notebooks/"):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        about = cell["metadata"]
        if "alt" in about:
            about["mystnb"] = {"image": {"alt": about["alt"]}}
        if about.get("jupyter", {}).get("source_hidden"):
            about["tags"] = [*about.get("tags", []), "hide-input"]
        if cell["cell_type"] == "markdown":
            cell["source"] = BADGE.sub(r"[Open in Colab](\1)", "".join(cell["source"]))
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "text/html" in data:
                data["text/html"] = COLOR.sub("", "".join(data["text/html"]))
    source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> None:
    """Hook into the build."""
    app.connect("source-read", read)
