// The page in a headless Chromium or Firefox, from its file: clicked through; what it shows equals the native program's numbers to 1e-5.
// node browser.js PAGE TUTORIALS ROOT WORK PROGRAM
'use strict';
const path = require('node:path');
const {pathToFileURL} = require('node:url');
const {Chromium} = require('./chromium.js');
const {Firefox} = require('./firefox.js');
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
  await browser.value(change('choice-layers', '3'));
  check(await browser.value('get("choice-variant").value') === 'mha' && await browser.value(limitOf('choice-variant')) !== '', 'a table of another size');
}

const limitOf = id => `(get('${id}').closest('label').querySelector('.limit') || {textContent: ''}).textContent`;
/** Fields keep their limits, follow each other, and are named where C++ refuses what they say together. */
async function tryLimits(browser) {
  const field = id => browser.value(`get('${id}').value`);
  for (const [id, typed, taken, words] of [['choice-layers', '99', '24', '1 to 24'], ['choice-layers', '6', '6', ''], ['choice-heads', '-3', '1', '1 to 16'],
    ['choice-heads', '', '1', '1 to 16'], ['choice-heads', '8', '8', ''], ['choice-head-width', '33', '32', 'even, 2 to 256'], ['race-width', '40', '16', '2 to 16'],
    ['race-width', '6', '6', ''], ['race-seed', '-1', '0', '0 to 4294967295'], ['race-seed', '1', '1', '']]) {
    await browser.value(change(id, typed));
    check(await field(id) === taken && await browser.value(limitOf(id)) === words, `${id}, ${typed} typed: ${await field(id)}, "${await browser.value(limitOf(id))}"`);
  }
  const disabled = () => browser.value('get("choice-kv-heads").disabled');
  for (const [variant, kv, fixed] of [['mha', '8', true], ['mqa', '1', true], ['mla', '8', true], ['gqa', '8', false]]) {
    await browser.value(change('choice-variant', variant));
    check(await field('choice-kv-heads') === kv && await disabled() === fixed, `${variant}: ${await field('choice-kv-heads')} key/value heads`);
    check(await browser.value('get("choice-injection").closest("label").hidden'), `${variant} shows an injection`);
  }
  await browser.value(change('choice-layers', '5'));
  await browser.value(change('choice-variant', 'yoco'));  // which takes an even number
  check(await field('choice-layers') === '6' && await browser.value(limitOf('choice-layers')) !== '', `YOCO has ${await field('choice-layers')} layers`);
  await browser.value(change('choice-layers', '3'));
  check(await field('choice-layers') === '2', `YOCO takes ${await field('choice-layers')} layers`);
  await browser.value(change('choice-variant', 'skipv1'));
  await browser.value(change('choice-skip-ratio', '0.25'));
  const good = await browser.value('get("routing-summary").dataset.bytes');
  const config = {...await browser.value('routingConfig()')};
  config.attention = {...config.attention, injection: 'pooling'};
  await browser.value(change('choice-injection', 'pooling'));
  const line = await browser.value('get("routing-error").hidden ? "" : get("routing-error").textContent'), [{error}] = answers([{do: 'routing', config, bytes: 2}]);
  check(line === error.replace('skip_ratio', 'skipped share') && line !== error, `a refused injection: "${line}", natively "${error}"`);
  check(await browser.value('get("routing-summary").dataset.bytes') === good && await field('choice-injection') === 'second_half', 'a refused table was taken');
  for (const [id, value] of [['choice-variant', 'mha'], ['choice-layers', '24'], ['choice-heads', '16'], ['choice-head-width', '256']]) await browser.value(change(id, value));
  const [{parameters}] = answers([{do: 'routing', config: await browser.value('routingConfig()'), bytes: 2}]);
  const shown = await browser.value('get("routing-summary").textContent');
  check(parameters > 2 ** 32 && shown.includes(String(parameters).replace(/\B(?=(\d{3})+$)/g, ',')), `not ${parameters} parameters: ${shown}`);
}

/** Bytes that are no character are what they were when read again: drawn ones, and all in any order. */
async function readBytesAgain(browser) {
  const bytes = [0xe2, 0x82, 65, 13, 10, 0xff, 0xc3, 0xa9, 0xf0, 0x9f, 0x99, 0x82, 0xef, 0xbb, 0xbf, 0xed, 0xa0, 0x80, 0xc0, 0x80, ...Array(256).keys()];
  const again = await browser.value(`(get('text-prompt').value = textOf(${JSON.stringify(bytes)}), promptBytes())`);
  check(JSON.stringify(again) === JSON.stringify(bytes), `bytes read again: ${again}`);
  check(await browser.value('textOf([0xe2, 0x82, 0xac, 32, 0xc3, 0xa9])') === '€ é', 'UTF-8 is no text');
  const asked = await browser.value(`(() => {
    get('text-prompt').value = 'And ';
    readPrompt();
    const real = ask, asked = [];
    window.ask = (module, name, request) => (asked.push(name), {...real(module, name, request), ...(asked.length === 1 ? {byte: 0xe2} : {})});
    nextByte(), nextByte();
    window.ask = real;
    return {asked, bytes: text.bytes};
  })()`);
  check(asked.asked.join() === 'next,next' && asked.bytes[4] === 0xe2 && asked.bytes.length === 6, `after a byte above 127: ${JSON.stringify(asked)}`);
}

/** The site's choice of light or dark holds here, the page's own switch is kept, and pictures follow. */
async function switchTheme(browser) {
  const look = () => browser.value('({theme: document.documentElement.dataset.theme, back: getComputedStyle(document.body).backgroundColor, saved: localStorage.getItem("theme"), line: document.querySelector("#race-chart polyline").getAttribute("stroke"), mha: css("--soft")})');
  await opened(browser, 1000, 'light');
  const light = await look();
  await browser.value('localStorage.setItem("theme", "dark")');
  await opened(browser, 1000, 'light');
  const dark = await look();
  check(light.theme === 'light' && dark.theme === 'dark' && light.back !== dark.back && dark.line === dark.mha && dark.mha !== light.mha, `the site's theme: ${JSON.stringify([light, dark])}`);
  await browser.value(click('#theme'));
  const back = await look();
  check(back.theme === 'light' && back.saved === 'light' && back.back === light.back && back.line === light.line, `the page's switch: ${JSON.stringify(back)}`);
  await browser.value('localStorage.removeItem("theme")');
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
    const shuffle = await browser.value('kernel.reply.steps.findIndex(s => s.kind === "exchanges")');
    if (shuffle >= 0) {
      await browser.value(`goTo(${shuffle + 1})`);
      const shown = await browser.value('document.querySelector("#kernel-source .now").textContent');
      check(shown.includes('shuffle_xor'), `${name}: a shuffle shows the line "${shown}"`);
    }
    check((shuffle >= 0) === (name !== 'thread'), `${name}: step ${shuffle} is a shuffle`);
    check((fault === null) === (name !== 'race') && (fault === null || fault === reply.fault), `${name}: fault ${fault}, natively ${reply.fault}`);
  }
}

async function main() {
  const firefox = /firefox/.test(path.basename(program)), browser = firefox ? new Firefox(program) : new Chromium(program);
  try {
    await opened(browser, 1000, 'light');
    const ready = await browser.value('document.body.dataset.ready');
    const work = firefox ? ready / 1000 : await browser.processorTime();  // others may be at work
    check(work < (firefox ? 10 : 2), `the page keeps its thread busy for ${work} s before it is ready`);
    await clickTable(browser);
    await tryLimits(browser);
    await continueText(browser);
    await readBytesAgain(browser);
    await trainModels(browser);
    await stepKernels(browser);
    await switchTheme(browser);
    for (const [width, scheme] of [[390, 'dark'], [390, 'light'], [1400, 'dark']]) {
      await opened(browser, width, scheme);
      const across = await browser.value('document.documentElement.scrollWidth');
      check(across <= width, `the page is ${across} pixels wide in a window of ${width}`);
      await browser.photograph(path.join(process.argv[5], `${width}-${scheme}.png`));
    }
    check(browser.errors.length === 0, browser.errors.join('\n'));
    console.log(`clicked through; ready after ${firefox ? '' : `${work.toFixed(2)} s of work, `}${(ready / 1000).toFixed(2)} s on the clock`);
  } finally {
    await browser.close();
  }
}
main().catch(error => {
  console.error(error.message);
  process.exit(1);
});
