// The page in a headless Chromium, from its file: clicked through; what it shows equals the native program's numbers to 1e-5.
// node browser.js PAGE TUTORIALS ROOT WORK CHROMIUM
'use strict';
const path = require('node:path');
const {pathToFileURL} = require('node:url');
const {Chromium} = require('./chromium.js');
const {native, compare} = require('./replies.js');

const [page, tutorials, root, work, program] = process.argv.slice(2);
const url = pathToFileURL(path.join(page, 'index.html')).href;
const answers = requests => native(path.join(tutorials, '12-in-the-browser'), path.join(root, 'data/king-james'), requests, work);
function check(holds, line) {
  if (!holds) throw new Error(line);
}
const number = text => Number(text.replace(/[^0-9]/g, ''));

async function opened(browser, width, scheme) {
  await browser.open(url, width, 900, scheme);
  await browser.until('document.readyState === "complete" && !!document.body && (document.body.dataset.ready || document.body.dataset.failed) !== undefined', 90);
  const failed = await browser.value('document.body.dataset.failed');
  check(failed === undefined, `the page does not start: ${failed}`);
}
const change = (id, value) => `(get('${id}').value = ${JSON.stringify(value)}, get('${id}').dispatchEvent(new Event('change', {bubbles: true})))`;
const click = selector => `document.querySelector(${JSON.stringify(selector)}).click()`;

/** A variant chosen, a table of one's own, one that is refused. */
async function clickTable(browser) {
  for (const variant of ['yoco', 'mla', 'skipkv1', 'mha']) {
    await browser.value(change('choice-variant', variant));
    const [reply] = answers([{do: 'routing', config: await browser.value('routingConfig()'), bytes: 2}]);
    const shown = await browser.value('[...document.querySelectorAll("#routing-summary .number")].map(n => n.textContent)');
    check(number(shown[1]) === reply.bytes_per_token && number(shown[0]) === reply.mha_bytes_per_token,
      `${variant}: the page shows ${shown}, natively ${reply.bytes_per_token} of ${reply.mha_bytes_per_token}`);
    const rows = await browser.value('document.querySelectorAll("#routing-tensors tbody tr").length');
    check(rows === reply.tensors.length, `${variant}: ${rows} tensors, natively ${reply.tensors.length}`);
  }
  await browser.value(click('[data-at=values-3-3]'));
  await browser.value(click('[data-pick="0-3"]'));
  check(await browser.value('get("choice-variant").value') === 'table', 'a clicked table is not one\'s own');
  const request = {do: 'routing', config: await browser.value('routingConfig()'), bytes: 2};
  const before = await browser.value('get("routing-summary").dataset.bytes');
  check(Number(before) === answers([request])[0].bytes_per_token && Number(before) === 4096 - 128, `a clicked table: ${before} bytes`);
  await browser.value(click('[data-at=values-1-0]'));
  await browser.value(click('[data-pick="0-0"]'));  // heads 1 to 3 of layer 1 become 0 to 2
  const row = await browser.value('JSON.stringify(routing.reply.values[1])');
  check(row === '[[0,0],[1,0],[1,1],[1,2]]', `layer 1 reads ${row}`);
  await browser.value(change('choice-variant', 'yoco'));
  const good = await browser.value('get("routing-summary").dataset.bytes');
  await browser.value(change('choice-layers', '3'));
  const line = await browser.value('get("routing-error").hidden ? "" : get("routing-error").textContent');
  const config = {...await browser.value('routingConfig()'), num_hidden_layers: 3};
  check(line !== '' && line === answers([{do: 'routing', config, bytes: 2}])[0].error, `an odd number of layers for YOCO: "${line}"`);
  check(await browser.value('get("routing-summary").dataset.bytes') === good && await browser.value('get("choice-layers").value') === '4', 'a refused table was taken');
}

async function continueText(browser) {
  const typed = 'And it came to pass ';
  await browser.value(`(get('text-temperature').value = '0', get('text-prompt').value = ${JSON.stringify(typed)}, get('text-prompt').dispatchEvent(new Event('input')))`);
  for (let i = 0; i < 12; ++i) await browser.value(click('#text-step'));
  const replies = answers([{do: 'prompt', prompt: Array.from(Buffer.from(typed)), temperature: 0, top_p: 1, seed: 1}, ...Array(12).fill({do: 'next'})]);
  const said = typed + replies.slice(1).map(r => String.fromCharCode(r.byte)).join(''), shown = await browser.value('get("text-prompt").value');
  check(shown === said, `the page says "${shown}", natively "${said}"`);
  compare(await browser.value('text.last'), replies[12], 'the last byte');
  const caches = (await browser.value('[...document.querySelectorAll("#text-caches .number")].map(n => n.textContent)')).map(number);
  check(caches[0] === replies[12].mha_cache_bytes && caches[1] === replies[12].cache_bytes, `caches of ${caches} bytes`);
  check(await browser.value('document.querySelectorAll("#text-heads .head").length') === 16, 'not a strip for each head');
  await browser.value(click('#text-go'));
  await browser.until(`text.bytes.length > ${said.length + 5}`, 60);
  await browser.value(click('#text-go'));
}

async function trainModels(browser) {
  await browser.value(click('#race-go'));
  await browser.until('race.step >= 100', 180);
  await browser.value('race.running && get("race-go").click()');
  const {step, losses, measured} = await browser.value('({step: race.step, losses: race.lastLosses, measured: race.measured[0]})');
  const [, , first, , rest] = answers([{do: 'model'}, {do: 'race', width: 6, seed: 1, steps: 1500}, {do: 'steps', count: 100},
    {do: 'steps', count: 0}, {do: 'steps', count: step - 100}]);
  const all = [0, 1].map(m => [...first.losses[m], ...rest.losses[m]]);
  compare(losses, all.map(l => l[step - 1]), `losses of step ${step}`);
  const [, , expected] = answers([{do: 'race', width: 6, seed: 1, steps: 1500}, {do: 'steps', count: 100}, {do: 'measure', count: 512}]);
  compare(measured, expected, 'measured after step 100');
  const texts = await browser.value('get("race-measure").textContent');
  check(texts.includes((expected.models[0].error - expected.models[1].error).toFixed(4)), `no gap of natively ${expected.models[0].error - expected.models[1].error} in: ${texts}`);
}

async function stepKernels(browser) {
  for (const name of ['thread', 'warp', 'block', 'race']) {
    await browser.value(change('kernel-choice', name));
    const [reply] = answers([{do: 'kernel', kernel: name}]);
    compare(await browser.value('kernel.reply'), reply, `kernel ${name}`);
    for (let i = 0; i < 3; ++i) await browser.value(click('#kernel-step'));
    check(await browser.value('kernel.at') === 3 && /^3 of /.test(await browser.value('get("kernel-event").textContent')), `${name}: three steps`);
    await browser.value(click('#kernel-thread'));
    const fault = await browser.value('get("kernel-fault").hidden ? null : get("kernel-fault").textContent');
    check((fault === null) === (name !== 'race') && (fault === null || fault === reply.fault), `${name}: fault ${fault}, natively ${reply.fault}`);
  }
}

async function main() {
  const browser = new Chromium(program);
  try {
    await opened(browser, 1000, 'light');
    const metrics = (await browser.send('Performance.getMetrics')).metrics, work = metrics.find(m => m.name === 'TaskDuration').value;
    const ready = await browser.value('document.body.dataset.ready');
    check(work < 2, `the page keeps its thread busy for ${work} s before it is ready`);  // processor time: others may be at work
    await clickTable(browser);
    await continueText(browser);
    await trainModels(browser);
    await stepKernels(browser);
    for (const [width, scheme] of [[390, 'dark'], [390, 'light'], [1400, 'dark']]) {
      await opened(browser, width, scheme);
      const across = await browser.value('document.documentElement.scrollWidth');
      check(across <= width, `the page is ${across} pixels wide in a window of ${width}`);
      await browser.photograph(path.join(process.argv[5], `${width}-${scheme}.png`));
    }
    check(browser.errors.length === 0, browser.errors.join('\n'));
    console.log(`clicked through; ready after ${work.toFixed(2)} s of work, ${(ready / 1000).toFixed(2)} s on the clock`);
  } finally {
    await browser.close();
  }
}
main().catch(error => {
  console.error(error.message);
  process.exit(1);
});
