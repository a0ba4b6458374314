// What the page's parts share: elements, colours, charts, and the calls of C++.
'use strict';

const get = id => document.getElementById(id);
/** An element with attributes (or properties) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const layerColours = ['#0f6bbf', '#b45309', '#2e7d4f', '#8a3ffc', '#a8324a', '#5c6b00', '#007a7a', '#6b4f3a'];
const colourOf = layer => layerColours[layer % layerColours.length];
const grouped = number => String(number).replace(/\B(?=(\d{3})+$)/g, ',');

let library, emulator;
/** Asks a WebAssembly module; what C++ throws is thrown on. */
function ask(module, name, request = {}) {
  module.ccall('ask', null, ['string'], [JSON.stringify({do: name, ...request})]);
  const reply = JSON.parse(module.ccall('reply', 'string', [], []));
  if (reply && reply.error !== undefined) throw new Error(reply.error);
  return reply;
}
/** Calls `work`, and shows its error, in words of the page, in the element `id`. */
function showing(id, work, inWords = line => line) {
  const line = get(id);
  try {
    line.hidden = true;
    return work();
  } catch (error) {
    line.textContent = inWords(error.message);
    line.hidden = false;
  }
}
/** Says beside a field what its limits did; '' takes the words away. */
function sayLimit(input, words) {
  const label = input.closest('label');
  if (!label.querySelector('.limit')) label.append(make('small', {className: 'limit', role: 'status'}));
  label.querySelector('.limit').textContent = words;
}
/** Sets a field to a number that is within its limits. */
function setField(input, value) {
  input.value = value;
  input.dataset.taken = value;
}
/** The number in a field, kept within its limits: what is beyond becomes the nearest within, what is no number the one before, and a
 * line beside the field says so. */
function limited(input) {
  const low = Number(input.min), high = Number(input.max || 4294967295), step = Number(input.step) || 1;
  const typed = input.value.trim() === '' ? NaN : Number(input.value), before = Number(input.dataset.taken ?? input.defaultValue);
  let value = Number.isFinite(typed) ? Math.max(low, Math.min(high, typed)) : before;
  if (step >= 1) value = low + step * Math.floor((value - low) / step);
  if (value !== typed) sayLimit(input, `${step === 2 ? 'even, ' : ''}${low} to ${high}`);
  else if (value !== before) sayLimit(input, '');
  setField(input, value);
  return value;
}
/** A row of a bar chart: a name, a bar of the share `value / most`, and its number. */
function bar(name, value, most, colour, text) {
  const fill = make('div', {className: 'fill'});
  fill.style.width = 100 * Math.min(1, most ? value / most : 0) + '%';
  fill.style.background = colour;
  return make('div', {className: 'bar'}, make('span', {}, name), make('div', {className: 'track'}, fill),
              make('span', {className: 'number'}, text));
}
/** A table from rows of texts; the first are the heads of its columns. */
function table(rows) {
  const [head, ...body] = rows;
  return make('table', {}, make('thead', {}, make('tr', {}, ...head.map(x => make('th', {}, x)))),
              make('tbody', {}, ...body.map(row => make('tr', {}, ...row.map(x => make('td', {}, String(x)))))));
}
function svg(tag, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
/** Lines over a common x: series {name, colour, x, y, dashed}; the y axis from `low` to `high`, the x axis from 0 to `most`. */
function chart(series, {most, low, high, xLabel, yLabel, width, height = 300}) {
  const left = 42, right = 92, top = 24, bottom = 40;
  const X = x => left + (width - left - right) * x / most;
  const Y = y => top + (height - top - bottom) * (high - Math.max(low, Math.min(high, y))) / (high - low);
  const picture = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': yLabel});
  for (let y = low; y < high + 0.01; y += 0.2)
    picture.append(svg('line', {x1: left, x2: width - right, y1: Y(y), y2: Y(y), class: 'axis'}),
                   svg('text', {x: left - 6, y: Y(y) + 4, 'text-anchor': 'end', class: 'soft'}, y.toFixed(1)));
  const steps = width > 500 ? 5 : 3;
  for (let i = 0; i <= steps; ++i) {
    const x = Math.round(most * i / steps);
    picture.append(svg('text', {x: X(x), y: height - bottom + 18, 'text-anchor': 'middle', class: 'soft'}, x));
  }
  picture.append(svg('text', {x: (left + width - right) / 2, y: height - 4, 'text-anchor': 'middle', class: 'soft'}, xLabel),
                 svg('text', {x: left, y: 14, class: 'soft'}, yLabel));
  let labels = [];
  for (const s of series) {
    if (!s.x.length) continue;
    const points = s.x.map((x, i) => `${X(x).toFixed(1)},${Y(s.y[i]).toFixed(1)}`).join(' ');
    picture.append(svg('polyline', {points, fill: 'none', stroke: s.colour, 'stroke-width': s.dashed ? 1 : 2, 'stroke-dasharray': s.dashed ? '5 4' : 'none'}));
    labels.push({y: Y(s.y[s.y.length - 1]) + 4, name: s.name, colour: s.colour});
  }
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; ++i) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + 14);
  for (const l of labels) {
    const text = svg('text', {x: width - right + 6, y: l.y}, l.name);
    text.style.fill = l.colour;
    picture.append(text);
  }
  return picture;
}
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

async function start() {
  try {
    [library, emulator] = await Promise.all([skipv1_library(), skipv1_emulator()]);
    startRouting();
    startText();
    startRace();
    startKernel();
    document.addEventListener('theme', () => { drawRouting(); drawText(); drawRace(); });  // their bars and lines have colours of the theme
    const ready = performance.now();
    document.body.dataset.ready = ready;
    get('status').textContent = `Ready after ${(ready / 1000).toFixed(2)} s.`;
  } catch (error) {
    get('status').textContent = 'This browser cannot run the page: ' + error.message;
    document.body.dataset.failed = error.message;
  }
}
