"""Settings of the documentation site; ``scripts/docs`` builds it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_extensions"))

os.environ["TUNEWRIGHT_HOME"] = tempfile.mkdtemp(prefix="tunewright-docs-")  # experiments of the tutorials
os.environ["COLUMNS"] = "100"

from tunewright_site import EXECUTED, TUTORIALS  # noqa: E402 - after the environment is set

from tunewright import __version__  # noqa: E402

project = "Tunewright"
author = "Tunewright developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "tunewright_site",
]
exclude_patterns = ["sg_execution_times.rst"]  # the tutorials' own page has the same
templates_path = ["_templates"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures; links of the pages are checked by MyST

# Markdown
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 4
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# API
autosummary_generate = True
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "tutorials",
    "filename_pattern": rf"/({'|'.join(EXECUTED)})\.py$",
    "ignore_pattern": rf"^(?!({'|'.join(TUTORIALS)})\.py$)",
    "image_scrapers": ("tunewright_site.scrape_figure",),
    "capture_repr": (),
    "reset_argv": "tunewright_site.begin_tutorial",
    "within_subsection_order": "tunewright_site.TutorialOrder",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 0,
    "plot_gallery": True,
    "default_thumb_file": str(HERE / "_static" / "thumbnail.png"),
    "show_memory": False,
    "abort_on_example_error": True,
}

# Pages
html_theme = "furo"
html_title = f"Tunewright {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
html_context = {
    "versions": sorted(path.name for path in (ROOT / "build" / "docs" / "versions").glob("v*"))
}  # built by scripts/docs --tags
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "versions.html",
        "sidebar/scroll-end.html",
    ]
}
html_favicon = "_static/icon.svg"

# Manual pages: sphinx-build -b man
man_pages = [
    ("reference/commands", "tunewright", "distributed hyperparameter optimisation", [author], 1),
]
