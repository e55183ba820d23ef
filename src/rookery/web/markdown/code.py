"""Code with its words marked by classes, for the page's own colours."""

from __future__ import annotations

import re
from html import escape

from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name  # pyright: ignore[reportUnknownVariableType]: its options

LONGEST = 150_000
"""Characters of code that are coloured; more is shown without colours."""

# One alias a line of the same language. What is not listed is not coloured: each language is a set of patterns,
# and whoever writes the code, which is a model, chooses the name.
_LANGUAGES = {
    **dict.fromkeys(("bash", "sh", "shell", "zsh"), "bash"),
    **dict.fromkeys(("console", "shell-session"), "console"),
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cpp", "c++", "cc", "hpp"), "cpp"),
    **dict.fromkeys(("csharp", "c#", "cs"), "csharp"),
    **dict.fromkeys(("css", "scss", "less"), "css"),
    **dict.fromkeys(("diff", "patch"), "diff"),
    **dict.fromkeys(("docker", "dockerfile"), "docker"),
    **dict.fromkeys(("go", "golang"), "go"),
    **dict.fromkeys(("haskell", "hs"), "haskell"),
    **dict.fromkeys(("html", "htm"), "html"),
    **dict.fromkeys(("ini", "cfg", "dosini"), "ini"),
    **dict.fromkeys(("java",), "java"),
    **dict.fromkeys(("javascript", "js", "jsx", "mjs"), "javascript"),
    **dict.fromkeys(("json", "jsonc", "json5"), "json"),
    **dict.fromkeys(("kotlin", "kt"), "kotlin"),
    **dict.fromkeys(("lua",), "lua"),
    **dict.fromkeys(("make", "makefile"), "make"),
    **dict.fromkeys(("nginx",), "nginx"),
    **dict.fromkeys(("php",), "php"),
    **dict.fromkeys(("powershell", "ps1"), "powershell"),
    **dict.fromkeys(("python", "py", "python3"), "python"),
    **dict.fromkeys(("pycon",), "pycon"),
    **dict.fromkeys(("r",), "r"),
    **dict.fromkeys(("ruby", "rb"), "ruby"),
    **dict.fromkeys(("rust", "rs"), "rust"),
    **dict.fromkeys(("scala",), "scala"),
    **dict.fromkeys(("sql", "sqlite", "postgresql", "mysql"), "sql"),
    **dict.fromkeys(("swift",), "swift"),
    **dict.fromkeys(("toml",), "toml"),
    **dict.fromkeys(("typescript", "ts", "tsx"), "typescript"),
    **dict.fromkeys(("xml", "svg"), "xml"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
}
_USUAL = ("bash", "python", "javascript", "typescript", "json", "yaml", "html", "css", "sql", "diff")
_NAME = re.compile(r"[A-Za-z0-9_+#.-]{1,30}")


def code_block(code: str, language: str, *, coloured: bool) -> str:
    """The HTML of one block of code; `data-lang` is the language as it was named, where that is a name."""
    inside = _coloured(code, language) if coloured else None
    name = f' data-lang="{escape(language)}"' if _NAME.fullmatch(language) else ""
    return f'<pre class="code"{name}><code>{escape(code) if inside is None else inside}</code></pre>'


def preload() -> None:
    """Import what the usual languages need."""
    for language in _USUAL:
        _lexer(language)


def _coloured(code: str, language: str) -> str | None:
    known = _LANGUAGES.get(language.lower())
    if known is None or len(code) > LONGEST:
        return None
    return highlight(code, _lexer(known), _formatter)


def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


_formatter = HtmlFormatter[str](nowrap=True)
