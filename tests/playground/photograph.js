// The figure of tutorial 12: a table of one's own, a text continued, both models trained, a kernel at step 400.
// node photograph.js PAGE FILE CHROMIUM
'use strict';
const path = require('node:path');
const {pathToFileURL} = require('node:url');
const {Chromium} = require('./chromium.js');

const [page, file, program] = process.argv.slice(2);

async function main() {
  const browser = new Chromium(program);
  try {
    await browser.open(pathToFileURL(path.join(page, 'index.html')).href, 900, 900, 'light');
    await browser.until('document.readyState === "complete" && !!document.body && document.body.dataset.ready !== undefined', 90);
    for (const selector of ['[data-at=values-3-2]', '[data-pick="1-1"]', '[data-at=values-3-2]']) await browser.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
    await browser.value(`(get('text-prompt').value = 'And the king said unto them, ', get('text-prompt').dispatchEvent(new Event('input')))`);
    for (let i = 0; i < 80; ++i) await browser.value('get("text-step").click()');
    await browser.value('get("race-go").click()');
    await browser.until('race.step >= 1500 && !race.running', 1200);
    await browser.value('goTo(400)');
    await browser.photograph(file);
  } finally {
    await browser.close();
  }
}
main().catch(error => {
  console.error(error.message);
  process.exit(1);
});
