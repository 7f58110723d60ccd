"""What the site takes from outside `docs/`: node help pages, pictures of workflows, pages of the repository's root.

Links between these files are written as they stand in the repository, so that they work there. Here they are turned.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
_PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
_LINK = re.compile(r"(\]\()([^)#\s:]+)(?=[)#])")


def outside() -> dict[str, str]:
    """Path in the repository to place on the site, of every file that is not in `docs/`."""
    help_pages = sorted(ROOT.glob("web/docs/*"))
    pictures = sorted(ROOT.glob("workflows/*.jpg"))
    return {
        **_PAGES,
        **{str(path.relative_to(ROOT)): f"nodes/{path.name}" for path in help_pages},
        **{str(path.relative_to(ROOT)): f"workflows/{path.name}" for path in pictures},
    }


def on_config(config: Any) -> Any:
    """Put the node help pages into the navigation, by the titles they begin with."""
    pages = sorted(path for path in outside().values() if path.startswith("nodes/") and path.endswith(".md"))
    for section in config.nav:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and entry.get("Nodes"):
                entry["Nodes"] = pages
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what stands outside `docs/`."""
    for source, place in outside().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that lead through the repository."""
    places = outside()
    here = next((path for path, place in places.items() if place == page.file.src_uri), f"docs/{page.file.src_uri}")

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[2]))
        place = places.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if not place:
            return match[0]
        return match[1] + posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(turned, markdown)
