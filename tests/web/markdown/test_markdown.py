"""A model's Markdown becomes HTML that is safe, and the same whether it came at once or word by word."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rookery.web.markdown import Blocks, is_heavy, render, rendered, warm
from rookery.web.markdown.blocks import READ_AT_ONCE
from rookery.web.markdown.engine import LONGEST


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    warm()


class Seen(HTMLParser):
    """What a browser finds in some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


ALLOWED = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "pre", "code", "span"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
SCHEMES = ("http://", "https://", "mailto:", "tel:")


def check_safe(html: str) -> None:
    """Nothing runs, nothing is loaded, nothing is styled, and links lead elsewhere by name."""
    seen = Seen(html)
    assert set(seen.tags) <= ALLOWED
    for tag, name, value in seen.attributes:
        assert (tag, name) in {
            *(("a", name) for name in ("href", "title", "class", "rel", "target")),
            *(("code", "class"), ("pre", "class"), ("pre", "data-lang"), ("span", "class"), ("ol", "start")),
            *(("td", "class"), ("th", "class")),
        }
        if name == "href":
            assert value.lower().startswith(SCHEMES), value
        if (tag, name) == ("a", "rel"):
            assert "noopener" in value


def apply(blocks: list[str], patch: list[list[Any]]) -> None:
    """What a page does with a patch."""
    for each in patch:
        number: int = each[0]
        change = each[1:]
        if len(change) == 2:
            assert blocks[number].endswith("</code></pre>"), "only open code is added to"
            end = "</code></pre>"
            blocks[number] = blocks[number].removesuffix(end) + escape(change[1], quote=False) + end
        elif change[0] == "":
            del blocks[number:]
        else:
            assert number <= len(blocks), "no block is left out"
            blocks[number : number + 1] = [change[0]]


# --- what it looks like -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# A *b*", "<h1>A <em>b</em></h1>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("~~gone~~ **here**", "<p><s>gone</s> <strong>here</strong></p>\n"),
        ("3. x", '<ol start="3">\n<li>x</li>\n</ol>\n'),
        ("- [ ] a\n- [x] b", "<ul>\n<li>☐ a</li>\n<li>☑ b</li>\n</ul>\n"),
        ("a <b>c</b> &amp; d", "<p>a &lt;b&gt;c&lt;/b&gt; &amp; d</p>\n"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
        ("```\n<b> & \n```", '<pre class="code"><code>&lt;b&gt; &amp; \n</code></pre>\n'),
        ("    indented", '<pre class="code"><code>indented\n</code></pre>\n'),
        (
            "```json\ntrue\n```",
            '<pre class="code" data-lang="json"><code><span class="kc">true</span>\n</code></pre>\n',
        ),
        ("```no such language\nx\n```", '<pre class="code" data-lang="no"><code>x\n</code></pre>\n'),
        ('```"><b>\nx\n```', '<pre class="code"><code>x\n</code></pre>\n'),
        ("", ""),
    ],
)
def test_it_is_the_markdown_people_know(text: str, html: str):
    """CommonMark with tables, strike-through and line breaks; code has the language it was given."""
    assert render(text).replace("</pre>", "</pre>\n").replace("\n\n", "\n") == html


def test_a_table_is_aligned_by_classes():
    """Our pages allow no style that is written in place."""
    html = render("| a | b |\n|--:|:-:|\n| 1 | 2 |\n")

    assert '<th class="align-right">a</th>' in html
    assert '<td class="align-center">2</td>' in html


def link(url: str, text: str, kind: str = "") -> str:
    named = f'class="{kind}" ' if kind else ""
    return f'<a {named}href="{url}" target="_blank" rel="noopener noreferrer nofollow">{text}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[x](https://e.org/a)", link("https://e.org/a", "x")),
        ("[x](mailto:a@e.org)", link("mailto:a@e.org", "x")),
        ("<https://e.org>", link("https://e.org", "https://e.org")),
        ("see https://e.org/a_b_c.", "see " + link("https://e.org/a_b_c", "https://e.org/a_b_c") + "."),
        ("(https://e.org/a_(b))", "(" + link("https://e.org/a_(b)", "https://e.org/a_(b)") + ")"),
        ("`https://e.org`", "<code>https://e.org</code>"),
        ("![a cat](https://e.org/c.png)", link("https://e.org/c.png", "a cat", "image")),
        ("![](https://e.org/c.png)", link("https://e.org/c.png", "https://e.org/c.png", "image")),
        ("[x](/api/logout)", "[x](/api/logout)"),
        ("[x](#setup)", "[x](#setup)"),
        ("[x](//e.org)", "[x](//e.org)"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("![x](data:image/png;base64,AA)", "![x](data:image/png;base64,AA)"),
    ],
)
def test_links_lead_elsewhere_and_images_are_links(text: str, html: str):
    """What is not named in full is no link; and nothing is loaded only because a text names it."""
    assert render(text) == f"<p>{html}</p>\n"


# --- safety -------------------------------------------------------------------------------------------------

XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext></p><style><img src onerror=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<style>@import 'https://evil.example'</style>",
    "<link rel=stylesheet href=https://evil.example>",
    "<base href=https://evil.example>",
    "<form action=https://evil.example><input name=x></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<details open ontoggle=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!--<img src='--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](java&#x09;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\\javascript:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](vbscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](file:///etc/passwd)",
    "[x](blob:https://e.org/1)",
    "[x](http:\njavascript:alert(1))",
    '[x](https://e.org/"onmouseover=alert(1))',
    "[x](https://e.org 'a\" onmouseover=alert(1) b=\"')",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[x][y]\n\n[y]: <javascript:alert(1)> 'title\" onclick=alert(1)'",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    '![x" onerror=alert(1)](https://e.org/x.png)',
    '![x](https://e.org/x.png"onerror=alert(1))',
    '```"><script>alert(1)</script>\ncode\n```',
    "```html\n<script>alert(1)</script>\n```",
    '```python"onclick=alert(1)\nx\n```',
    "~~~x<img/src=x/onerror=alert(1)>\n~~~",
    "| <img src=x onerror=alert(1)> |\n|--|\n| <script>alert(1)</script> |",
    '|a|\n|:-" onclick=alert(1):|',
    "https://e.org/<script>alert(1)</script>",
    'https://e.org/"onmouseover="alert(1)',
    "https://e.org/'onmouseover='alert(1)",
    "https://javascript:alert(1)@e.org/%0ajavascript:alert(1)",
    "\0<script>alert(1)</script>",
    "<scr\0ipt>alert(1)</scr\0ipt>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\u2028<script>alert(1)</script>",
    "<a\x0bhref=javascript:alert(1)>",
    "# <script>alert(1)</script>",
    "> <script>alert(1)</script>",
    "- <script>alert(1)</script>",
    "[<img src=x onerror=alert(1)>](https://e.org)",
    "**<b onclick=alert(1)>x</b>**",
    "[a](https://e.org)<b>[c](javascript:alert(1))",
    "$$\\href{javascript:alert(1)}{x}$$",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
]


@pytest.mark.parametrize("text", XSS)
def test_nothing_a_model_writes_runs_in_the_page(text: str):
    """Alone, inside of everything else, and cut anywhere: no script, no handler, no link that runs."""
    nested = [text, f"> {text}", f"- a\n  {text}", f"| {text} |\n|--|\n| {text} |", f"*{text}* [{text}]({text})"]
    for each in nested:
        check_safe(render(each))
        growing = Blocks()
        for letter in each:
            for _, *change in growing.add(letter):
                check_safe(change[0] or "")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from([*XSS, "\n", "[", "](", ")", "<", "`", "*"])).map("".join))
def test_no_text_at_all_is_unsafe(text: str):
    """Whatever it is, also in parts."""
    check_safe(render(text))


# --- growing ------------------------------------------------------------------------------------------------

PIECES = [
    *("# h\n", "para ", "text\n", "\n", "\n\n", "- item\n", "1. one\n", "  - sub\n", "   more\n", "2", "2."),
    *("```py\n", "x = 1\n", "```\n", "``", "`", "````\n", "~~~\n", "    code\n", "\tcode\n", " ```\n", "``` \n"),
    *("| a | b |\n", "--|--\n", "|--|--|", "x", "> quote\n", "---\n", "===\n", "--", "\r\n", "\r", "\0"),
    *(
        "[a]: http://x.y\n",
        "[a]: ",
        "[a]",
        "![i](http://x)",
        "*em*",
        "**b",
        "<b>",
        "&amp;",
        "\\",
        "http://e.com/a_b)",
    ),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.lists(st.integers(1, 12), min_size=1))
@example("a\n--|--", [1])
@example("1. a\n\n2.", [1])
@example("```\na\r", [1])
@example("```\n``\n```", [1])
@example("[a]\n\n[a]: http://x.y\n", [1])
def test_a_text_that_grows_ends_as_the_whole_text(text: str, cuts: list[int]):
    """The patches give at each moment what the blocks are, and in the end exactly the full rendering."""
    blocks, shown, at, number = Blocks(), list[str](), 0, 0
    while at < len(text):
        end = at + cuts[number % len(cuts)]
        apply(shown, blocks.add(text[at:end]))
        assert shown == blocks.html
        at, number = end, number + 1
    apply(shown, blocks.become(rendered(text)))

    assert shown == rendered(text)
    assert "".join(shown) == render(text)


WITHOUT_LATER = [piece for piece in PIECES if "[a]" not in piece and "\r" not in piece]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(WITHOUT_LATER), max_size=30).map("".join), st.lists(st.integers(1, 9), min_size=1))
@example("a\nb|c\n--|--x\n", [1])
@example("```\n``\nx\n```\ny\n", [1])
@example("1. a\n\n2. b\n", [1])
def test_only_what_refers_to_later_text_is_put_right_in_the_end(text: str, cuts: list[int]):
    """Wherever it is cut: without links that are defined elsewhere nothing is left to correct but colours."""
    text += "\n"
    blocks, at, number = Blocks(), 0, 0
    while at < len(text):
        end = at + cuts[number % len(cuts)]
        blocks.add(text[at:end])
        at, number = end, number + 1

    assert [_closed(html) for html in blocks.html] == [_closed(html) for html in rendered(text)]


def _closed(html: str) -> str:
    """A block of code without its colours, which open code does not have yet."""
    if not html.startswith("<pre"):
        return html
    return Seen(html).text


def test_open_code_is_only_added_to():
    """However long it is, each line costs what the line costs."""
    blocks = Blocks()
    blocks.add("```python\n")
    patches = [blocks.add(f"x = {number}\n") for number in range(500)]

    assert patches[0] == [[0, None, "x = 0\n"]]
    assert all(len(patch) == 1 and patch[0][:2] == [0, None] for patch in patches)
    [[number, html]] = blocks.add("```\n")
    assert (number, Seen(html).text) == (0, "".join(f"x = {number}\n" for number in range(500)))


def test_blocks_that_are_done_are_not_told_again():
    """A long answer costs as much at its end as at its beginning."""
    blocks = Blocks()
    for _ in range(200):
        blocks.add("A paragraph that is done.\n\n")
    patch = blocks.add("And another")

    assert patch == [[200, "<p>And another</p>\n"]]
    assert len("".join(blocks._tail)) < 100  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "piece", ["[", "![", "> ", "- ", "*a ", "<", "`", "| ", "\\", "&", "[a](", "__a", "~~", "https://a "]
)
def test_a_text_that_is_hard_to_read_is_not_read_for_ever(piece: str):
    """Bounds on what is read as Markdown: the rest is shown as it is written, and nothing is lost."""
    text = piece * (READ_AT_ONCE * 2 // len(piece))
    blocks, shown = Blocks(), list[str]()
    for at in range(0, len(text), 1_000):
        apply(shown, blocks.add(text[at : at + 1_000]))
    apply(shown, blocks.become(rendered(text)))

    assert shown == rendered(text)


def test_a_long_text_that_comes_at_once_is_read_all_the_same():
    """As for a page that comes in the middle of a long answer."""
    text = "Some *words* of it.\n\n" * 3_000
    assert len(text) > 2 * READ_AT_ONCE
    blocks, shown = Blocks(), list[str]()
    apply(shown, blocks.add(text))

    assert shown == blocks.html == rendered(text)


def test_what_is_beyond_the_bounds_is_shown_as_it_is_written():
    """A text of any length is whole."""
    text = "word *and* word\n\n" * (LONGEST // 14)
    blocks = rendered(text)

    assert is_heavy(text)
    assert Seen("".join(blocks)).text.count("word") == text.count("word")
    assert blocks[-1].startswith('<pre class="code"><code>word *and* word')
