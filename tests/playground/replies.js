// Requests to the playground, answered by the native program and by WebAssembly in Node.
'use strict';
const {execFileSync} = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** The native program's answers to requests: a list of texts or objects. */
function native(program, model, requests, work) {
  const file = path.join(work, `requests-${process.pid}.txt`);
  fs.writeFileSync(file, requests.map(r => typeof r === 'string' ? r : JSON.stringify(r)).join('\n') + '\n');
  const text = execFileSync(program, ['--model', model, '--requests', file], {encoding: 'utf8', maxBuffer: 1 << 28});
  fs.unlinkSync(file);
  return text.trimEnd().split('\n').map(line => JSON.parse(line));
}
/** A function that answers one request by WebAssembly; `page` is the folder that tutorials/playground.sh made. */
async function wasm(page) {
  const library = await require(path.join(page, 'skipv1_library.js'))(), emulator = await require(path.join(page, 'skipv1_emulator.js'))();
  return request => {
    const text = typeof request === 'string' ? request : JSON.stringify(request), module = /"do": *"kernel/.test(text) ? emulator : library;
    module.ccall('ask', null, ['string'], [text]);
    return JSON.parse(module.ccall('reply', 'string', [], []));
  };
}
/** Throws where `a` and `b` differ: numbers by more than 1e-5, relative to those above 1; all else at all. Returns the largest
 * difference. Attention comes in millionths. */
function compare(a, b, place, unit = 1) {
  if (typeof a === 'number' && typeof b === 'number') {
    const off = Math.abs(a - b) * unit / Math.max(1, Math.abs(b) * unit);
    if (!(off <= 1e-5)) throw new Error(`${place}: ${a}, natively ${b}`);
    return off;
  }
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') {
    if (a !== b) throw new Error(`${place}: ${JSON.stringify(a)}, natively ${JSON.stringify(b)}`);
    return 0;
  }
  const keys = Object.keys(a);
  if (keys.join() !== Object.keys(b).join()) throw new Error(`${place}: has ${keys}, natively ${Object.keys(b)}`);
  let worst = 0;
  for (const key of keys) worst = Math.max(worst, compare(a[key], b[key], `${place}.${key}`, key === 'attention' ? 1e-6 : unit));
  return worst;
}
module.exports = {native, wasm, compare};
