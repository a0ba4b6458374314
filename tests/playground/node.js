// WebAssembly's answers in Node equal the native programs' to 1e-5: those of the page's own program, of skipv1-generate, of tutorials 02
// and 05.
// node node.js PAGE TUTORIALS PROGRAMS ROOT WORK
'use strict';
const {execFileSync} = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const {native, wasm, compare} = require('./replies.js');

const [page, tutorials, programs, root, work] = process.argv.slice(2);
const model = path.join(root, 'data/king-james');
const bytes = text => Array.from(Buffer.from(text));
const config = (attention, more = {}) => ({
  architecture: 'llama', vocab_size: 50, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 4,
  max_position_embeddings: 32, norm_epsilon: 1e-5, rope_theta: 10000, tie_word_embeddings: true, attention, ...more});
/** MHA's table with a change, as the variant "table" has it. */
const own = change => {
  const rows = () => [0, 1, 2, 3].map(l => [0, 1, 2, 3].map(h => `${l}.${h}`)), table = {values: rows(), keys: rows()};
  change(table);
  for (const key of Object.keys(table)) table[key] = table[key].map(row => row.join(' '));
  return {do: 'routing', bytes: 2, config: config({variant: 'table', table})};
};
function routingRequests(variants) {
  const groups = {mqa: 1, gqa: 2}, more = {skipv1: [{skip_ratio: 0.25}, {source_layer: 1}, {injection: 'pooling'}, {injection: 'odd_even'}]};
  return variants.flatMap(v => [{}, ...(more[v.name] || [])].map(a => ({do: 'routing', bytes: 2,
    config: config({variant: v.name, ...(v.latent ? {kv_latent_size: 16, rotary_size: 4} : {}), ...a}, {num_key_value_heads: groups[v.name] || 4})})));
}
const prompt = {do: 'prompt', prompt: bytes('And the king said unto '), temperature: 0.7, top_p: 1, seed: 7};
const requests = [
  own(t => { t.values[3][3] = '0.3'; }), own(t => { t.values[2][1] = '-'; t.keys[3][0] = '1.0'; }), own(t => { t.values[3][0] = '0.1+2'; }),
  own(t => { t.values[2][0] = '0.0'; }),  // a head without a reader is left out
  own(t => { t.values[1][0] = '2.0'; }), own(t => { t.keys[1][1] = '-'; }), own(t => { t.keys[1][1] = '1'; }), own(t => { t.keys.pop(); }),
  own(t => { t.keys[0].pop(); }),  // these are refused
  {do: 'model'}, {do: 'next'}, {...prompt, temperature: 0}, ...Array(30).fill({do: 'next'}), prompt, ...Array(60).fill({do: 'next'}),
  {...prompt, prompt: []}, {...prompt, prompt: [300]}, {...prompt, temperature: -1}, {...prompt, prompt: bytes('x'.repeat(300))},
  {do: 'steps', count: 1}, {do: 'race', width: 6, seed: 1, steps: 1500}, {do: 'steps', count: 60}, {do: 'measure', count: 512},
  {do: 'race', width: 99, seed: 1, steps: 20}, {do: 'race', width: 5, seed: 3, steps: 20}, {do: 'steps', count: 30}, {do: 'measure', count: 512},
  {do: 'kernels'}, ...['thread', 'warp', 'block', 'race', 'nothing'].map(kernel => ({do: 'kernel', kernel})),
  {do: 'dance'}, {}, 'no JSON', '[1]'];

function check(holds, line) {
  if (!holds) throw new Error(line);
}
/** Tutorial 02's program prints what each variant caches. */
function compareWithTutorial2(variants, ask) {
  const saved = fs.readFileSync(path.join(root, 'tutorials/02-head-routing/output.txt'), 'utf8');
  for (const request of routingRequests(variants.filter(v => v.name !== 'table'))) {
    if (Object.keys(request.config.attention).some(k => /ratio|source|injection/.test(k))) continue;
    const name = request.config.attention.variant, block = saved.split('\n\n').find(b => b.startsWith(name + ':'));
    const elements = Number(/cache: (\d+) elements/.exec(block)[1]);
    check(ask(request).elements_per_token === elements, `${name}: ${ask(request).elements_per_token} elements, tutorial 02 prints ${elements}`);
  }
}
function compareWithGenerate(ask) {
  const text = 'And the king said unto ';
  const file = path.join(work, 'generated.json');
  execFileSync(path.join(programs, 'skipv1-generate'), [model, '--prompt', text, '--count', '60', '--temperature', '0.7', '--top-p', '1', '--seed', '7', '--json', file],
    {stdio: 'ignore'});
  const expected = JSON.parse(fs.readFileSync(file)).text;
  ask(prompt);
  let said = text;
  for (let i = 0; i < 60; ++i) said += String.fromCharCode(ask({do: 'next'}).byte);
  check(said === expected, `the page says "${said}", skipv1-generate "${expected}"`);
}
/** Tutorial 05's program trains in float: a short training, before roundings grow. */
function compareWithTutorial5(ask) {
  const file = path.join(work, 'learned.json');
  execFileSync(path.join(tutorials, '05-mesa-learned'), ['--widths', '6', '--focus', '6', '--seeds', '1', '--steps', '20', '--json', file], {stdio: 'ignore'});
  const models = JSON.parse(fs.readFileSync(file)).models;
  ask({do: 'race', width: 6, seed: 1, steps: 20});
  ask({do: 'steps', count: 20});
  const measured = ask({do: 'measure', count: 2048}).models;
  let worst = 0;
  ['MHA', 'SkipV1'].forEach((name, i) => {
    const other = models.find(m => m.name === name);
    for (const [a, b] of [[measured[i].error, other.error.mean[0]], [measured[i].y[1], other.y.mean[1]], [measured[i].x[1], other.x.mean[1]]])
      worst = Math.max(worst, Math.abs(a - b));
  });
  return worst;
}

async function main() {
  const ask = await wasm(page), program = path.join(tutorials, '12-in-the-browser');
  const variants = ask({do: 'variants'}), all = [{do: 'variants'}, ...routingRequests(variants.filter(v => v.name !== 'table')), ...requests];
  check(variants.length >= 17, `only ${variants.length} variants`);
  const expected = native(program, model, all, work);
  check(expected.length === all.length, `${expected.length} answers to ${all.length} requests`);
  const fresh = await wasm(page);  // in the same state as the program at its start
  let worst = 0, refused = 0;
  all.forEach((request, i) => {
    const reply = fresh(request);
    worst = Math.max(worst, compare(reply, expected[i], `request ${i} ${JSON.stringify(request).slice(0, 80)}`));
    refused += reply.error !== undefined;
  });
  check(refused === 17, `${refused} of the requests were refused`);
  compareWithTutorial2(variants, ask);
  compareWithGenerate(ask);
  const learned = compareWithTutorial5(ask);
  check(learned <= 1e-5, `tutorial 05's program differs by ${learned}`);
  console.log(`${all.length} answers equal the native program's within ${worst.toExponential(1)}, tutorial 05's within ${learned.toExponential(1)}`);
}
main().catch(error => {
  console.error(error.message);
  process.exit(1);
});
