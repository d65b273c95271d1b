"""MkDocs hook: pages made from files outside docs/, and links between all of them.

README.md, ARCHITECTURE.md and others are also read outside the site, so they stay where they are and link to
each other by their paths in the repository. Here they become pages, and the links lead to these pages.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "recipes/builtin/README.md": "builtin-model.md",
}
"""Files of the repository that become pages, by their place on the site."""

_LINK = re.compile(r"\[([^\]\n]*(?:\n[^\]\n]*)?)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that do not lie in docs/."""
    if str(ROOT) not in sys.path:  # MkDocs loads hooks from their files, not from a package
        sys.path.append(str(ROOT))
    from scripts.cli_reference import cli_reference

    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/cli.md", content=cli_reference()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links between files of the repository into links between pages."""
    uri = page.file.src_uri
    source = next((source for source, made in PAGES.items() if made == uri), f"docs/{uri}")
    return site_links(markdown, source, uri)


def site_links(markdown: str, source: str, uri: str) -> str:
    """Rewrite the links of the page `uri`, whose text is the repository's file `source`.

    A link to a file that is no page, such as LICENSE, becomes its text.
    """

    def rewrite(link: re.Match[str]) -> str:
        text, target, anchor = link.group(1), link.group(2), link.group(3) or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in PAGES:
            goal = PAGES[path]
        elif path.startswith("docs/"):
            goal = path.removeprefix("docs/")
        else:
            return text
        return f"[{text}]({posixpath.relpath(goal, posixpath.dirname(uri) or '.')}{anchor})"

    return _LINK.sub(rewrite, markdown)
