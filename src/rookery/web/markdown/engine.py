"""Markdown to HTML, block by block: markdown-it reads, pygments colours code, nh3 lets through what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from rookery.web.markdown.code import code_block, preload

LONGEST = 200_000
"""Characters of one text that are read as Markdown; what is beyond is shown as it is written."""

LONGEST_INLINE = 8_000
"""Characters of one paragraph that are; a longer one is shown as it is written."""

Codes = MutableMapping[tuple[str, str], str]
"""Code that was coloured before, for one text that is rendered again and again while it grows."""

Env = MutableMapping[str, Any]

_REFERENCES = "references"
_CODES = "rookery-codes"
_COLOUR_UP_TO = "rookery-colour-up-to"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the text: the line at which it begins, its HTML, and for a fence the token."""

    line: int
    html: str
    fence: Token | None


def render_blocks(text: str) -> list[str]:
    """The whole text, block by block."""
    source = normalized(text)
    cut = cut_of(source)
    blocks = [block.html for block in parse(source[:cut], {})]
    if cut < len(source):
        blocks.append(as_written(source[cut:]))
    return blocks


def normalized(text: str) -> str:
    """The text as the parser reads it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def cut_of(source: str) -> int:
    """Up to where a text is read as Markdown: a line's end, where there is one."""
    if len(source) <= LONGEST:
        return len(source)
    return source.rfind("\n", 0, LONGEST) + 1 or LONGEST


def as_written(text: str) -> str:
    """Text that is shown as it is."""
    return _clean(code_block(text, "", coloured=False))


def open_code(code: str, language: str) -> str:
    """A block of code that still grows."""
    return _clean(code_block(code, language, coloured=False))


def parse(
    source: str,
    references: dict[str, Any],
    *,
    codes: Codes | None = None,
    colour_up_to: int | None = None,
) -> list[Block]:
    """The blocks of a text, in which the link definitions of `references` hold too; its own are added to them.

    `colour_up_to`: code longer than that stays without colours. `codes` is what was coloured before.
    """
    env: Env = {_REFERENCES: references, _CODES: codes, _COLOUR_UP_TO: colour_up_to}
    found: list[Block] = []
    for tokens in _groups(_markdown.parse(source, env)):
        first = tokens[0]
        line = 0 if first.map is None else first.map[0]
        html = _clean(_renderer.render(tokens, _markdown.options, env))
        found.append(Block(line, html, first if first.type == "fence" else None))
    return found


def lines_of(source: str, references: dict[str, Any]) -> list[int]:
    """The lines at which the blocks of a text begin; its link definitions are added to `references`."""
    tokens: list[Token] = []
    env: Env = {_REFERENCES: references}
    _markdown.block.parse(source, _markdown, env, tokens)
    return [0 if group[0].map is None else group[0].map[0] for group in _groups(tokens)]


def warm() -> None:
    """Have everything imported."""
    preload()
    render_blocks("# a\n\n| a |\n|--|\n| b |\n\n- *b*\n\n```python\nc = 1\n```\n")


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each block at the top."""
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []
    assert not group, "what the parser opens it closes"


# --- links and images ---------------------------------------------------------------------------------------

_SCHEMES = {"http", "https", "mailto", "tel"}
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s\x00-\x1f\x7f]+", re.IGNORECASE)
_BARE = re.compile(r"(?<![\w/])https?://[^\s<>\"'`\\\x00-\x1f\x7f]+", re.IGNORECASE)
_TRAILING = ".,;:!?*_~"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def _may_link(url: str) -> bool:
    """A link names where it leads in full: one within this page would be our own word."""
    return _LINK.fullmatch(url) is not None


def _link_bare(state: StateCore) -> None:
    """Addresses that stand in the text become links."""
    for token in state.tokens:
        if token.type != "inline" or "://" not in token.content:
            continue
        made: list[Token] = []
        inside = 0
        for child in token.children or []:
            inside += child.nesting if child.type in ("link_open", "link_close") else 0
            if child.type == "text" and not inside and "://" in child.content:
                made += _split(child)
            else:
                made.append(child)
        token.children = made


def _split(token: Token) -> Iterator[Token]:
    text, at = token.content, 0
    for found in _BARE.finditer(text):
        url = _trimmed(found[0])
        href = _markdown.normalizeLink(url)
        if not _may_link(href):
            continue
        yield from _text(text[at : found.start()])
        yield Token("link_open", "a", 1, attrs={"href": href})
        yield from _text(url)
        yield Token("link_close", "a", -1)
        at = found.start() + len(url)
    yield from _text(text[at:])


def _trimmed(url: str) -> str:
    """Without what ends the sentence around it."""
    while url:
        last = url[-1]
        opening = _PAIRS.get(last)
        if last in _TRAILING or (opening is not None and url.count(opening) < url.count(last)):
            url = url[:-1]
        else:
            break
    return url


def _text(text: str) -> Iterator[Token]:
    if text:
        yield Token("text", "", 0, content=text)


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    """A link to the image: nothing is loaded from elsewhere only because a text names it."""
    token = tokens[index]
    source = str(token.attrs.get("src", ""))
    words = self.renderInlineAsText(token.children, options, env) or source
    return f'<a class="image" href="{escape(source)}">{escape(words)}</a>'


# --- what is a little different from CommonMark ---------------------------------------------------------------


def _parse_inline(state: StateCore) -> None:
    """Parse what stands in each block, where it is not too long to be parsed."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = []
            if len(token.content) > LONGEST_INLINE:
                token.children.extend(_text(token.content))
            else:
                state.md.inline.parse(token.content, state.md, state.env, token.children)


_BOXES = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}


def _tick_boxes(state: StateCore) -> None:
    """`[ ]` and `[x]` at the beginning of a list's item become boxes."""
    tokens = state.tokens
    for index in range(2, len(tokens)):
        if tokens[index].type != "inline" or tokens[index - 2].type != "list_item_open":
            continue
        children = tokens[index].children
        if children and children[0].type == "text":
            box = _BOXES.get(children[0].content[:4])
            if box is not None:
                children[0].content = box + children[0].content[4:]


def _align_by_class(state: StateCore) -> None:
    """The alignment of a table's cells becomes a class: our pages allow no style that is written in place."""
    for token in state.tokens:
        if token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", ""))
            if style:
                token.attrSet("class", f"align-{style.rpartition(':')[2]}")


def _code(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
    del self, options
    token = tokens[index]
    language = token.info.strip().partition(" ")[0] if token.type == "fence" else ""
    codes: Codes | None = env[_CODES]
    known = None if codes is None else codes.get((language, token.content))
    if known is not None:
        return known
    up_to: int | None = env[_COLOUR_UP_TO]
    html = code_block(token.content, language, coloured=up_to is None or len(token.content) <= up_to)
    if codes is not None:
        codes[language, token.content] = html
    return html


# --- what is let through --------------------------------------------------------------------------------------

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code", "span"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
_cleaner = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags={"script", "style"},
    attributes={
        "a": {"href", "title", "class"},
        "code": {"class"},
        "ol": {"start"},
        "pre": {"class", "data-lang"},
        "span": {"class"},
        "td": {"class"},
        "th": {"class"},
    },
    url_schemes=_SCHEMES,
    link_rel="noopener noreferrer nofollow",
    set_tag_attribute_values={"a": {"target": "_blank"}},
    strip_comments=True,
)


def _clean(html: str) -> str:
    return _cleaner.clean(html)


def _make() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 40})
    made.enable(["table", "strikethrough"])
    # The parser's own question, asked of each link and image; it has no other place to be answered.
    setattr(made, "validateLink", _may_link)  # noqa: B010
    made.core.ruler.at("inline", _parse_inline)
    made.core.ruler.push("link_bare", _link_bare)
    made.core.ruler.push("tick_boxes", _tick_boxes)
    made.core.ruler.push("align_by_class", _align_by_class)
    for name, rule in (("image", _image), ("fence", _code), ("code_block", _code)):
        made.add_render_rule(name, cast("Callable[..., Any]", rule))
    return made


_markdown = _make()
_renderer = cast("RendererHTML", _markdown.renderer)  # what the parser makes unless it is told otherwise
