// Light and dark, the menu of narrow screens, and the search. Works from file://: the index is a script, read when first needed.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const saved = () => { try { return localStorage.getItem("theme"); } catch { return null; } };  // some browsers refuse it to files
  const show = () => { root.dataset.theme = saved() || (dark.matches ? "dark" : "light"); };
  show();
  dark.addEventListener("change", show);

  // Words are found at their beginnings; every one must occur. Titles count most, then words that stand side by side.
  const find = (query) => {
    const words = query.toLowerCase().split(/[^\p{L}\p{N}.]+/u).filter(Boolean).map((word) => word.replace(/\./g, "\\."));
    if (!words.length) return [];
    const start = "(^|[^\\p{L}\\p{N}])";
    const patterns = words.map((word) => new RegExp(start + word, "iu"));
    const phrase = new RegExp(start + words.join("[^\\p{L}\\p{N}]+"), "iu"), whole = new RegExp(phrase.source + "$", "iu");
    const found = [];
    for (const [title, of, place, text] of window.searchIndex) {
      if (!patterns.every((p) => p.test(title) || p.test(of) || p.test(text))) continue;
      let score = patterns.filter((p) => p.test(title)).length * 10 - title.length / 200;
      score += (phrase.test(title) ? 10 : 0) + (whole.test(title) ? 20 : 0) + (phrase.test(of) ? 2 : 0) + (phrase.test(text) ? 5 : 0);
      found.push({ score, title, of, place, excerpt: excerpt(text, [phrase, ...patterns]) });
    }
    return found.sort((a, b) => b.score - a.score).slice(0, 30);
  };
  const excerpt = (text, patterns) => {
    const first = patterns.map((p) => text.search(p)).find((i) => i >= 0) ?? 0, at = Math.max(0, first - 30);
    return (at ? "… " : "") + text.slice(at, at + 140) + (text.length > at + 140 ? " …" : "");
  };

  addEventListener("DOMContentLoaded", () => {
    const input = document.getElementById("search"), list = document.getElementById("found"), menu = document.getElementById("menu");
    document.getElementById("theme").onclick = () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      try { localStorage.setItem("theme", next); } catch { /* lasts for this page only */ }
    };
    menu.onclick = () => menu.setAttribute("aria-expanded", document.body.classList.toggle("menu-open"));
    document.querySelector("#contents [aria-current]")?.scrollIntoView({ block: "center" });
    scrollTo(0, scrollY && !location.hash ? 0 : scrollY);

    let chosen = -1;
    const choose = (i) => {
      const links = list.querySelectorAll("a");
      chosen = Math.max(-1, Math.min(i, links.length - 1));
      links.forEach((link, n) => link.classList.toggle("chosen", n === chosen));
      links[chosen]?.scrollIntoView({ block: "nearest" });
    };
    const update = () => {
      const query = input.value.trim();
      list.hidden = !query;
      list.textContent = "";
      chosen = -1;
      if (!query || !window.searchIndex) return;
      const found = find(query);
      for (const { title, of, place, excerpt } of found) {
        const link = document.createElement("a"), small = document.createElement("small");
        link.href = root.dataset.root + place;
        link.textContent = title.replace(/[`$]/g, "");
        small.textContent = [of, excerpt].filter(Boolean).join(": ").replace(/`/g, "");
        link.append(small);
        list.appendChild(document.createElement("li")).append(link);
      }
      if (!found.length) list.textContent = "Nothing found.";
    };
    const load = () => {
      if (document.getElementById("index")) return;
      const script = document.createElement("script");
      script.id = "index";
      script.src = root.dataset.root + "search.js";
      script.onload = update;
      document.head.append(script);
    };
    input.onfocus = load;
    input.oninput = () => { load(); update(); };
    input.onkeydown = (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { choose(chosen + (event.key === "ArrowDown" ? 1 : -1)); event.preventDefault(); }
      if (event.key === "Enter") (list.querySelectorAll("a")[Math.max(chosen, 0)])?.click();
      if (event.key === "Escape") { input.value = ""; update(); input.blur(); }
    };
    list.addEventListener("click", (event) => { if (event.target.closest("a")) list.hidden = true; });
    addEventListener("click", (event) => { if (!event.target.closest(".search")) list.hidden = true; });
    addEventListener("keydown", (event) => { if (event.key === "/" && document.activeElement !== input) { input.focus(); event.preventDefault(); } });
  });
})();
