// Part 2: a text continued, where each head looks, and how the caches grow.
'use strict';

const text = {about: null, bytes: [], last: null, chosen: [1, 3], running: false, asked: null};

/** Bytes as text, from which `bytesOf` makes the same bytes again: UTF-8, and one lone surrogate, U+DC00 + byte, for each byte that is
 * no part of a character. A text field makes line feeds of carriage returns, so these count among them. */
function textOf(bytes) {
  const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}), parts = [];
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i], count = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    try {
      if (first === 13) throw new TypeError();
      parts.push(decoder.decode(new Uint8Array(bytes.slice(i, i + count))));
      i += count;
    } catch {
      parts.push(String.fromCharCode(0xdc00 + first));
      ++i;
    }
  }
  return parts.join('');
}
function bytesOf(words) {
  const encoder = new TextEncoder();
  return Array.from(words).flatMap(letter => {
    const code = letter.codePointAt(0);
    return code >= 0xdc00 && code <= 0xdcff ? [code - 0xdc00] : Array.from(encoder.encode(letter));
  });
}
/** The prompt as the model reads it. */
function promptBytes() { return bytesOf(get('text-prompt').value); }
/** What stands in the fields. */
function textRequest() {
  return {prompt: promptBytes(), temperature: limited(get('text-temperature')), top_p: 1, seed: limited(get('text-seed'))};
}

function readPrompt() {
  const room = text.about.config.max_position_embeddings, request = textRequest();
  const reply = showing('text-error', () => {
    if (request.prompt.length >= room) throw new Error(`The model reads at most ${room} bytes, and these are ${request.prompt.length}.`);
    return ask(library, 'prompt', request);
  });
  if (!reply) return false;
  text.bytes = request.prompt;
  text.last = reply;
  text.asked = JSON.stringify(request);
  drawText();
  return true;
}

/** Whether what was read is still what stands in the fields. */
function isCurrent() {
  const request = textRequest(), asked = text.asked && JSON.parse(text.asked);
  return asked && asked.temperature === request.temperature && asked.seed === request.seed && JSON.stringify(text.bytes) === JSON.stringify(request.prompt);
}

function nextByte() {
  if (!isCurrent() && !readPrompt()) return false;
  const reply = showing('text-error', () => ask(library, 'next'));
  if (!reply) return false;
  text.bytes.push(reply.byte);
  text.last = reply;
  get('text-prompt').value = textOf(text.bytes);
  drawText();
  return true;
}

function run() {
  if (!text.running) return;
  if (!nextByte()) return stopText();  // the text is full
  requestAnimationFrame(run);
}
function stopText() {
  text.running = false;
  get('text-go').textContent = 'Continue';
}

function drawText() {
  const {attention, length} = text.last, [layer, head] = text.chosen, p = attention[layer][head].map(x => x / 1e6);
  const values = text.about.values, owner = values[layer][head];
  const shown = get('text-shown'), most = Math.max(...p), parts = [];
  for (let i = 0; i < text.bytes.length; ++i) {
    const byte = text.bytes[i], letter = make('span', {}, byte === 10 ? '↵\n' : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·');
    if (p[i] !== undefined) {
      letter.style.background = colourOf(owner[0]) + Math.round(255 * 0.75 * p[i] / most).toString(16).padStart(2, '0');
      letter.title = `${(100 * p[i]).toFixed(2)} %`;
    }
    parts.push(letter);
  }
  shown.replaceChildren(...parts);
  shown.dataset.length = length;
  drawHeads();
  const c = text.last, room = text.about.config.max_position_embeddings * text.about.mha_bytes_per_token;
  const caches = get('text-caches');
  caches.replaceChildren(make('p', {}, `Caches after ${length} bytes of text, in f32 (the whole track: ${text.about.config.max_position_embeddings} bytes of text with MHA):`),
    bar('MHA', c.mha_cache_bytes, room, css('--mha'), grouped(c.mha_cache_bytes) + ' bytes'),
    bar('SkipV1', c.cache_bytes, room, css('--skip'), grouped(c.cache_bytes) + ' bytes'));
  caches.dataset.skip = c.cache_bytes;
  caches.dataset.mha = c.mha_cache_bytes;
  get('text-likeliest').textContent = 'Likeliest next: ' + c.likeliest.slice(0, 6).map(([byte, q]) =>
    `${byte === 10 ? '↵' : byte === 32 ? '␣' : byte > 32 && byte < 127 ? String.fromCharCode(byte) : '0x' + byte.toString(16)} ${(100 * q).toFixed(1)} %`).join(', ') + '.';
}

function drawHeads() {
  const box = get('text-heads'), values = text.about.values;
  if (!box.children.length) {
    box.style.gridTemplateColumns = `3.6rem repeat(${values[0].length}, 1fr)`;
    values.forEach((row, l) => {
      box.append(make('span', {className: 'name'}, 'layer ' + l));
      row.forEach((name, h) => {
        const button = make('button', {className: 'head', title: `query head ${h} of layer ${l}`}, make('canvas', {width: 256, height: 1}),
                            make('span', {}, `values of ${name[0]}.${name[1]}`));
        button.dataset.at = `${l}-${h}`;
        button.onclick = () => { text.chosen = [l, h]; drawText(); };
        box.append(button);
      });
    });
  }
  for (const button of box.querySelectorAll('.head')) {
    const [l, h] = button.dataset.at.split('-').map(Number), p = text.last.attention[l][h];
    button.classList.toggle('chosen', l === text.chosen[0] && h === text.chosen[1]);
    const canvas = button.firstChild, picture = canvas.getContext('2d');
    canvas.width = Math.max(p.length, 1);
    picture.clearRect(0, 0, canvas.width, 1);
    picture.fillStyle = colourOf(values[l][h][0]);
    p.forEach((x, s) => {
      picture.globalAlpha = Math.min(1, Math.sqrt(x / 1e6) * 1.2);
      picture.fillRect(s, 0, 1, 1);
    });
  }
}

function startText() {
  text.about = ask(library, 'model');
  get('text-go').onclick = () => {
    if (text.running) return stopText();
    if (!isCurrent() && !readPrompt()) return;
    text.running = true;
    get('text-go').textContent = 'Stop';
    run();
  };
  get('text-step').onclick = () => { stopText(); nextByte(); };
  get('text-prompt').oninput = () => { stopText(); if (promptBytes().length) readPrompt(); };
  readPrompt();
}
