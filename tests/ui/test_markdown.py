"""Untrusted Markdown: what stays active, and what does not."""

from __future__ import annotations

import re

import pytest

from model.checking.gate import PLACE
from onboarding.ui.kit.markdown import MAX_CELLS, MAX_COLOURED, Insert, Link, code_block, safe_url, to_html
from onboarding.ui.kit.markup import fill

GOOD = "https://github.com/Qubinode/qubinode_navigator"
LINKS = {1: Link(GOOD, 'A <title> with "quotes"'), 2: Link("", "No address")}


def hrefs(html: str) -> list[str]:
    return re.findall(r'href="([^"]*)"', html)


def test_a_known_citation_links_to_its_source_with_the_title_escaped() -> None:
    html = to_html("Use it [1].", LINKS)
    assert hrefs(html) == [GOOD]
    assert 'title="A &lt;title&gt; with &quot;quotes&quot;"' in html
    assert 'rel="noopener noreferrer"' in html


def test_a_source_without_an_address_is_a_number_without_a_link() -> None:
    assert to_html("[2]", LINKS) == '<p dir="auto"><span class="cite" title="No address">2</span></p>\n'


def test_a_citation_is_never_parted_from_its_sentence_by_the_end_of_a_line() -> None:
    assert to_html("It is so [2].", LINKS).startswith('<p dir="auto">It is so&nbsp;<span class="cite"')


def test_an_unknown_citation_stays_text() -> None:
    assert to_html("[7]", LINKS) == '<p dir="auto">[7]</p>\n'


def test_a_citation_in_code_stays_text() -> None:
    assert hrefs(to_html("`[1]`\n\n```\n[1]\n```", LINKS)) == []


def test_a_link_lives_only_when_it_leads_to_a_source() -> None:
    html = to_html(f"[docs]({GOOD}) [other](https://evil.example/x) [1](https://evil.example)", LINKS)
    assert hrefs(html) == [GOOD]
    assert "other" in html
    assert "evil.example" not in html


def test_further_addresses_can_be_allowed() -> None:
    assert hrefs(to_html("[page](https://example.org/page)", urls=["https://example.org/page"])) == [
        "https://example.org/page"
    ]


def test_a_citation_cannot_be_redefined() -> None:
    assert hrefs(to_html("[1]: https://evil.example\n\nSee [1] and [words][1].", LINKS)) == [GOOD] * 3


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/x.png)",
        "![x][1]",
        "<https://evil.example>",
        "https://evil.example",
        "[x](javascript:alert(1))",
        "[x](data:text/html,hi)",
        "[x](java&#115;cript:alert(1))",
        "<form action=https://evil.example><button data-act='ask' data-text='x'>ok</button></form>",
        "<details open ontoggle=alert(1)>",
        "<div\nonclick=alert(1)>\n\ntext",
        '<a href="https://evil.example">x</a>',
        "`<img src=x onerror=alert(1)>`",
        "```html\n<img src=x onerror=alert(1)>\n```",
        "| <svg onload=alert(1)> |\n|---|\n| <b> |",
        "> <iframe src=//evil.example>",
    ],
)
def test_nothing_active_comes_out(text: str) -> None:
    html = to_html(text)
    tags = set(re.findall(r"<([a-z0-9]+)", html))
    assert tags <= {
        "p",
        "div",
        "pre",
        "code",
        "span",
        "button",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "blockquote",
    }
    assert not re.findall(r"<[^>]*\s(?:on\w+|src|href|action|data-text)\s*=", html)


def test_only_the_copy_button_is_a_button() -> None:
    assert re.findall(r"<button[^>]*>", to_html("```\nx\n```")) == [
        '<button type="button" class="copy-code" data-act="copy-code">'
    ]


def test_code_is_escaped_whether_coloured_or_not() -> None:
    for language in ("", "python", "no-such-language"):
        assert "&lt;b&gt;" in code_block("x = '<b>'", language)
        assert "<b>" not in code_block("x = '<b>'", language)


def test_each_block_takes_its_own_direction() -> None:
    html = to_html("English\n\nفارسی\n\n- עברית")
    assert html.count('dir="auto"') >= 3


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        (GOOD, True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("//example.org", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
        ("file:///etc/passwd", False),
    ],
)
def test_only_web_addresses_with_a_host_are_safe(url: str, safe: bool) -> None:
    assert (safe_url(url) == url) is (safe or url == "")


@pytest.mark.parametrize(
    "text", [r"\x1*b*[2J", r"**\x1**b[2J", r"&#92;e[2J", r"\e&#91;2J", r"\e\[2J", r"| a |\n|-|\n| \x1`b` |"]
)
def test_markdown_puts_no_terminal_escape_together(text: str) -> None:
    html = to_html(text.replace(r"\n", "\n"))
    assert "␛" in html
    assert not re.search(r"\\(?:x1b|e\[)", re.sub(r"<[^>]+>", "", html))


@pytest.mark.parametrize("text", [r"`\x1b[2J` *is* \d", "```\nprintf '\\e[2J'\n```", r"\x1b[2J", r"\e[1m *b* \\ &amp;"])
def test_an_escape_that_was_let_through_is_shown_as_it_stands(text: str) -> None:
    assert "␛" not in to_html(text)


MARK, FOLD = Insert(fill("<span>!</span>")), Insert(fill("<details><summary>?</summary></details>"), block=True)


@pytest.mark.parametrize(
    ("text", "inserts", "html"),
    [
        (f"One.{PLACE} Two.", [MARK], '<p dir="auto">One.<span>!</span> Two.</p>'),
        (f"One. {PLACE} Two.", [FOLD], '<p dir="auto">One. </p><details><summary>?</summary></details><p dir="auto"> Two.</p>'),
        (f"{PLACE} Two.", [FOLD], '<details><summary>?</summary></details><p dir="auto"> Two.</p>'),
        (f"- {PLACE}\n- b", [FOLD], "<ul><li><details><summary>?</summary></details></li><li>b</li></ul>"),
        (f"**a {PLACE} b** c", [FOLD], '<p dir="auto"><strong>a  b</strong></p><details><summary>?</summary></details><p dir="auto"> c</p>'),
        (f"## {PLACE}\n\nb", [FOLD], '<h2></h2><details><summary>?</summary></details><p dir="auto">b</p>'),
        (f"a\n{PLACE}", [FOLD], '<p dir="auto">a</p><details><summary>?</summary></details>'),
        (f"```\na {PLACE}\n```", [FOLD], "<pre>a</pre><details><summary>?</summary></details>"),
        ("One.", [FOLD], '<p dir="auto">One.</p><details><summary>?</summary></details>'),
        (f"One{PLACE}{PLACE}.", [MARK], '<p dir="auto">One<span>!</span>.</p>'),
        (f"| a |\n|---|\n| b{PLACE} |", [MARK], "<td>b<span>!</span></td>"),
    ],
)  # fmt: skip
def test_an_insert_stands_at_its_place_and_a_block_never_in_a_line(text: str, inserts: list[Insert], html: str) -> None:
    seen = str(to_html(text, inserts=inserts))
    seen = re.sub(r'<div class="code".*?<code>(.*?)</code></pre></div>', r"<pre>\1</pre>", seen.replace("\n", ""))
    seen = re.sub(r"<(h2|li|td)[^>]*>", r"<\1>", seen)
    assert re.sub(r"<pre>a\s*</pre>", "<pre>a</pre>", seen).endswith(html) or html in seen


def test_two_blocks_in_one_paragraph_keep_their_order() -> None:
    blocks = [Insert(fill("<details>{}</details>", n), block=True) for n in (1, 2)]
    assert re.findall(r"<details>(\d)", to_html(f"a. {PLACE} b. {PLACE} c.", inserts=blocks)) == ["1", "2"]


@pytest.mark.parametrize("language", ["systemd", "terraform", "perl6", "no-such", "BASH "])
def test_only_a_dozen_languages_are_coloured(language: str) -> None:
    coloured = 'class="k"' in to_html(f"```{language}\nif true; then\n  exit 1; fi\n```")
    assert coloured is (language.strip().lower() == "bash")


def test_what_colouring_costs_is_bounded_by_block_and_by_text() -> None:
    block = "```bash\n" + "if true; then exit 1; fi\n" * 30 + "```\n\n"
    drawn = to_html(block * 40)
    assert 0 < drawn.count('<span class="k">') <= MAX_COLOURED / len("if true")
    assert drawn.count("exit") == 40 * 30  # nothing is left out
    assert 'class="k"' not in to_html("```bash\n" + "if true; then exit 1; fi\n" * 50 + "```")


def test_a_paragraph_over_the_limit_is_shown_as_typed() -> None:
    assert to_html("**a** " * 700) == f'<p dir="auto">{("**a** " * 700).rstrip()}</p>\n'
    assert "<strong>" in to_html("**a** " * 600)


def test_tables_share_a_number_of_cells_and_what_is_beyond_stays_text() -> None:
    wide = "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|\n" * 2000
    assert 0 < len(re.findall("<t[dh] ", to_html(wide))) <= MAX_CELLS
    many = "".join(f"|a|b|\n|-|-|\n|c{n}|d|\n\n" for n in range(1500))
    assert to_html(many).count("<td") <= MAX_CELLS
    assert "c1499" in to_html(many)
    assert to_html("|a|b|\n|-|-|\n|c|d|\n").count("<td") == 2
