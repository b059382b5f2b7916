"""The page as it is sent: style and script within, and a policy that lets these two run and nothing else."""

import base64
import hashlib
import html
from importlib import resources
from typing import NamedTuple


class Page(NamedTuple):
    """HTML, and its Content-Security-Policy."""

    body: bytes
    policy: str


def load(title: str) -> Page:
    """The page of a profile; it reads `openapi.json` beside itself."""
    folder = resources.files(__package__)
    shell, style, script = ((folder / name).read_text(encoding="utf-8")
                            for name in ("page.html", "page.css", "page.js"))
    body = shell.replace("{{title}}", html.escape(title)).replace("{{style}}", style).replace("{{script}}", script)
    policy = (f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; connect-src 'self'; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    return Page(body.encode(), policy)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
