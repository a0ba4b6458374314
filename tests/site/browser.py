"""The built site in a browser, at the widths of a desktop and of a phone, light and dark: no page is wider than the screen, every
picture is there, no script fails, the search finds, the switch switches. Without Playwright and Chromium this part is left out, and
says so. python3 browser.py SITE"""

import shutil
import sys
from pathlib import Path

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None
chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not sync_playwright or not chromium:
    print("no browser: needs Chromium, and Playwright from PyPI; that part is left out")
    sys.exit(0)

site = Path(sys.argv[1]).resolve()
names = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
names = [name for name in names if not name.startswith(("source/", "playground/"))] + ["source/skipv1/routing/routing.hpp.html"]
complaints = []


def look(page, width):
    for name in names:
        page.goto((site / name).as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            complaints.append(f"{name}: {wide} pixels wide on a screen of {width}")
        page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        for missing in page.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)"):
            complaints.append(f"{name}: {missing} does not show")


def use(page):
    page.goto((site / "docs/spec/models.html").as_uri())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    if page.evaluate("getComputedStyle(document.body).backgroundColor") == before:
        complaints.append("the switch changes no colour")
    for words, wanted in (("rms_norm_forward", "api/ops.html#rms_norm_forward"), ("split keys", "api/ops-attention.html#opsattentionsplit_keyscuh"), ("head routing", "docs/spec/models.html#head-routing"), ("Decoder run_with", "api/model.html#decoder")):
        page.fill("#search", words)
        page.wait_for_selector("#found a")
        places = page.eval_on_selector_all("#found a", "links => links.slice(0, 5).map((link) => link.href)")
        if not any(place.endswith(wanted) for place in places):
            complaints.append(f"the search for \"{words}\" does not find {wanted} but {places}")
    page.press("#search", "Enter")
    page.wait_for_url("**/api/**")


with sync_playwright() as play:
    browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for width, height, scheme in ((1280, 900, "light"), (390, 844, "dark")):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("requestfailed", lambda request: complaints.append(f"{page.url}: {request.url} is not there"))
        look(page, width)
        use(page)
        context.close()
    browser.close()
for complaint in complaints:
    print(complaint)
if complaints:
    sys.exit(f"{len(complaints)} complaints")
print(f"{len(names)} pages look right in a browser")
