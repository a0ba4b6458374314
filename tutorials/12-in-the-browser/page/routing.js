// Part 1: a routing table, built by clicks.
'use strict';

const routing = {variants: [], choice: {}, reply: null, own: null, chosen: null};
/** What the fields are called on the page, for errors that name them as config.json does. */
const fieldNames = {
  'hidden_size / num_attention_heads': 'head width', num_key_value_heads: 'key/value heads', num_attention_heads: 'query heads', num_hidden_layers: 'layers',
  skip_ratio: 'skipped share', source_layer: 'source layer'};
const inFieldNames = line => Object.entries(fieldNames).reduce((text, [key, name]) => text.replaceAll(key, name), line);
const variantOf = name => routing.variants.find(v => v.name === name);

/** The key and value heads that a model may have: what its variant takes, among the divisors of its query heads. */
function kvHeadChoices({variant, heads}) {
  const {kv_heads: rule} = variantOf(variant);
  if (rule !== 'any') return [rule === 'one' ? 1 : heads];
  return Array.from({length: heads}, (_, i) => heads - i).filter(n => heads % n === 0);
}
/** The number chosen, or the next below it that the model may have. */
function kvHeads(choice) {
  const choices = kvHeadChoices(choice);
  return choices.find(n => n <= choice.kv_heads) || choices[0];
}

function routingConfig() {
  const c = routing.choice;
  const attention = {variant: c.variant};
  const v = variantOf(c.variant);
  if (v.skip_ratio) attention.skip_ratio = c.skip_ratio;
  if (v.source_layer) attention.source_layer = c.source_layer;
  if (v.injection) attention.injection = c.injection;
  if (c.variant === 'table') attention.table = routing.own;
  if (v.latent) Object.assign(attention, {kv_latent_size: 4 * c.head_width, rotary_size: 2 * Math.max(1, Math.floor(c.head_width / 4))});
  return {
    architecture: 'llama', vocab_size: 256, hidden_size: c.heads * c.head_width, intermediate_size: Math.ceil(c.heads * c.head_width * 8 / 3),
    num_hidden_layers: c.layers, num_attention_heads: c.heads, num_key_value_heads: kvHeads(c),
    max_position_embeddings: 256, norm_epsilon: 1e-5, rope_theta: 10000, tie_word_embeddings: true, attention
  };
}

function askRouting() {
  const request = {config: routingConfig(), bytes: routing.choice.bytes};
  const reply = showing('routing-error', () => ask(library, 'routing', request), inFieldNames);
  if (!reply) return false;
  routing.reply = reply;
  if (reply.table) routing.own = reply.table;  // without the heads that nobody reads
  drawRouting();
  return true;
}

function cellOf(name, layer) {
  const cell = make('button', {className: 'cell'}, name ? name[0] + '.' + name.slice(1).join('+') : 'none');
  if (!name) cell.classList.add('none');
  else cell.style.background = colourOf(name[0]);
  if (name && name[0] !== layer) cell.classList.add('foreign');
  return cell;
}

function drawRouting() {
  const r = routing.reply;
  for (const what of ['keys', 'values']) {
    const heads = r[what][0].length, grid = make('div', {className: 'grid'});
    grid.style.gridTemplateColumns = `3.6rem repeat(${heads}, 1fr)`;
    r[what].forEach((row, l) => {
      grid.append(make('span', {className: 'name'}, 'layer ' + l));
      row.forEach((name, h) => {
        const cell = cellOf(name, l), chosen = routing.chosen;
        cell.title = `query head ${h} of layer ${l}`;
        cell.dataset.at = `${what}-${l}-${h}`;
        if (chosen && chosen.what === what && chosen.layer === l && chosen.head === h) cell.classList.add('chosen');
        cell.onclick = () => { routing.chosen = {what, layer: l, head: h}; drawRouting(); };
        grid.append(cell);
      });
    });
    get('routing-' + what).replaceChildren(grid);
  }
  drawPicker();
  const latent = r.latent;
  const most = Math.max(r.mha_bytes_per_token, r.bytes_per_token);
  const share = (100 * r.bytes_per_token / r.mha_bytes_per_token).toFixed(1);
  const summary = get('routing-summary');
  summary.replaceChildren(make('p', {}, 'Cache per token:'),
    bar('MHA', r.mha_bytes_per_token, most, css('--mha'), grouped(r.mha_bytes_per_token) + ' bytes'),
    bar('this', r.bytes_per_token, most, css('--skip'), grouped(r.bytes_per_token) + ' bytes'),
    make('p', {}, `${share} % of MHA's; ${grouped(r.parameters)} parameters.` +
      (r.mixes_values ? ' Values are mixed with layer 0\'s: nothing is saved by that.' : '') +
      (r.averages_depth ? ' A block reads a learned weighted sum of all earlier outputs: nothing is saved by that.' : '') +
      (latent ? ` A latent is cached instead of heads: ${latent.parts} × ${latent.part_width} numbers.` : '')));
  summary.dataset.bytes = r.bytes_per_token;
  get('routing-layers').replaceChildren(table([['layer', 'key heads', 'value heads', 'cached numbers per token', 'read by later layers'],
    ...r.layers.map((l, i) => [i, l.keys, l.values, l.key_columns + l.value_columns,
      [...r.key_readers[i].map((n, g) => n[1] ? `key ${i}.${g} ×${n[1]}` : ''), ...r.value_readers[i].map((n, g) => n[1] ? `value ${i}.${g} ×${n[1]}` : '')]
        .filter(x => x).join(', ') || '–'])]));
  get('routing-file').textContent = r.table ? JSON.stringify(r.table, null, 1) : 'Click a cell first: this is for a table of your own.';
  get('routing-tensors').replaceChildren(table([['tensor', 'shape'], ...r.tensors.map(t => [t.name, t.shape.join(' × ')])]));
}

/** Buttons for all heads that the chosen cell may read. */
function drawPicker() {
  const box = get('routing-picker'), chosen = routing.chosen;
  box.hidden = !chosen;
  if (!chosen) return;
  const heads = routing.reply.keys[0].length, grid = make('div', {className: 'grid'});
  grid.style.gridTemplateColumns = `3.6rem repeat(${heads}, 1fr)`;
  for (let l = 0; l <= chosen.layer; ++l) {
    grid.append(make('span', {className: 'name'}, 'layer ' + l));
    for (let g = 0; g < heads; ++g) {
      const cell = cellOf([l, g], l);
      cell.dataset.pick = `${l}-${g}`;
      cell.onclick = () => pick([l, g]);
      grid.append(cell);
    }
  }
  const close = make('button', {}, 'Close');
  close.onclick = () => { routing.chosen = null; drawRouting(); };
  const none = make('button', {}, 'Read no value');
  none.onclick = () => pick(null);
  const kind = chosen.what === 'keys' ? 'key' : 'value';
  box.replaceChildren(make('p', {}, `Query head ${chosen.head} of layer ${chosen.layer} should read the ${kind} of`), grid,
                      make('div', {className: 'controls'}, ...(kind === 'value' ? [none] : []), close));
}

/** Makes rows of heads one's own table, as skipv1-train --variant FILE.json reads it. Each query head has a row's place. */
function ownTable(rows) {
  const text = row => row.map(n => n ? n[0] + '.' + n.slice(1).join('+') : '-').join(' ');
  routing.own = {values: rows.values.map(text), keys: rows.keys.map(text)};
  routing.choice.variant = 'table';
}

/** The chosen cell reads `name`: the table becomes one's own. */
function pick(name) {
  const before = {own: routing.own, choice: {...routing.choice}};
  const rows = {keys: routing.reply.keys.map(row => row.slice()), values: routing.reply.values.map(row => row.slice())};
  rows[routing.chosen.what][routing.chosen.layer][routing.chosen.head] = name;
  ownTable(rows);
  if (!askRouting()) Object.assign(routing, before);
  showChoices();
}

/** A field was changed: what depends on it follows; a model that C++ refuses leaves everything as it was. */
function choose(key, value) {
  const before = {own: routing.own, choice: routing.choice}, c = routing.choice = {...routing.choice};
  const all = c.kv_heads === c.heads, resized = ['layers', 'heads'].includes(key) && c.variant === 'table' && value !== c[key];
  c[key] = value;
  routing.chosen = null;
  if (key === 'heads' && all) c.kv_heads = c.heads;
  if (resized) c.variant = 'mha';
  if (c.variant === 'table' && key === 'variant') ownTable(routing.reply);  // the table that is shown
  const odd = variantOf(c.variant).even_layers && c.layers % 2 === 1;
  if (odd) ++c.layers;
  c.source_layer = Math.min(c.source_layer, c.layers - 1);
  const taken = askRouting();
  if (!taken) Object.assign(routing, before);
  showChoices();
  sayLimit(routing.inputs.variant, taken && resized ? 'a table is of one size: from here again' : '');
  if (taken && odd) sayLimit(routing.inputs.layers, 'even for this variant');
}

/** The fields show what is chosen; those that the variant does not read are hidden, those that it decides are disabled. */
function showChoices() {
  const c = routing.choice, v = variantOf(c.variant), inputs = routing.inputs;
  inputs.layers.min = inputs.layers.step = v.even_layers ? 2 : 1;
  inputs.source_layer.max = c.layers - 1;
  const kv = kvHeadChoices(c);
  inputs.kv_heads.replaceChildren(...kv.map(n => make('option', {value: n}, String(n))));
  inputs.kv_heads.disabled = kv.length === 1;
  for (const [key, input] of Object.entries(inputs)) setField(input, key === 'kv_heads' ? kvHeads(c) : c[key]);
  for (const key of ['skip_ratio', 'source_layer', 'injection']) inputs[key].closest('label').hidden = !v[key];
}

function startRouting() {
  routing.variants = ask(library, 'variants');
  routing.choice = {variant: 'skipv1', layers: 4, heads: 4, kv_heads: 4, head_width: 64, skip_ratio: 0.5, source_layer: 0, injection: 'second_half', bytes: 2};
  routing.inputs = {};
  const add = (key, label, input) => {
    routing.inputs[key] = input;
    input.id = 'choice-' + key.replace('_', '-');
    input.onchange = () => choose(key, input.type === 'number' ? limited(input) : key === 'variant' || key === 'injection' ? input.value : Number(input.value));
    get('routing-controls').append(make('label', {}, label + ' ', input));
  };
  const number = (min, max, step = 1) => make('input', {type: 'number', min, max, step});
  const options = list => make('select', {}, ...list.map(([v, text]) => make('option', {value: v}, text)));
  add('variant', 'variant', options(routing.variants.map(v => [v.name, v.title])));
  add('layers', 'layers', number(1, 24));
  add('heads', 'query heads', number(1, 16));
  add('kv_heads', 'key/value heads', options([]));
  add('head_width', 'head width', number(2, 256, 2));
  add('bytes', 'cached in', options([[2, 'bf16'], [4, 'f32']]));
  add('skip_ratio', 'skipped share', number(0, 1, 0.125));
  add('source_layer', 'source layer', number(0, 23));
  add('injection', 'injection', options(['second_half', 'pooling', 'dynamic', 'odd_even', 'resformer'].map(x => [x, x])));
  showChoices();
  askRouting();
}
