// Part 4: a kernel's steps on the emulator, replayed one by one.
'use strict';

const kernel = {reply: null, at: 0, playing: false, lines: []};

function runKernel() {
  kernel.playing = false;
  kernel.reply = ask(emulator, 'kernel', {kernel: get('kernel-choice').value});
  kernel.at = 0;
  const r = kernel.reply, slider = get('kernel-slider');
  slider.max = r.steps.length;
  slider.dataset.steps = r.steps.length;
  const threads = make('div', {className: 'threads'});
  for (let b = 0; b < r.blocks; ++b)
    for (let t = 0; t < r.threads; ++t) threads.append(make('span', {className: 'thread', title: `thread ${t} of block ${b}`}, String(t)));
  get('kernel-threads').replaceChildren(threads);
  const memory = make('div', {className: 'memory'}), across = 32;
  memory.style.gridTemplateColumns = `repeat(${across}, 1fr)`;
  for (let i = 0; i < r.rows * r.d; ++i) memory.append(make('i', {title: `row ${Math.floor(i / r.d)}, element ${i % r.d}: ${r.x[i].toFixed(4)}`}));
  get('kernel-memory').replaceChildren(memory);
  get('kernel-memory').previousElementSibling.textContent = `x in memory: ${r.rows} rows of ${r.d} numbers, four sectors of 32 bytes in each line`;
  const part = (name, t) => `${t.accesses} ${name} of a warp touch ${t.sectors} sectors of 32 bytes and use ${t.bytes} bytes, ${(100 * t.bytes / (32 * t.sectors)).toFixed(0)} % of them`;
  get('kernel-traffic').textContent = r.loads ? part('loads', r.loads) + '; ' + part('stores', r.stores) + '.' : '';
  get('kernel-fault').hidden = !r.fault;
  get('kernel-fault').textContent = r.fault || '';
  drawKernel();
}

function describe(step) {
  const who = `block ${step.block}, thread ${step.thread}: `, more = step.what ? step.what : '';
  const range = step.at && (step.count > 1 ? `${step.at[0]}[${step.at[1]} … ${step.at[1] + step.count - 1}]` : `${step.at[0]}[${step.at[1]}]`);
  switch (step.kind) {
    case 'load': return who + 'loads ' + range;
    case 'store': return who + 'stores ' + range;
    case 'waits': return who + `waits at ${more} for the other threads of its ${more === 'sync_threads' ? 'block' : 'warp'}`;
    case 'arrives': return who + `is the last at ${more}: all go on`;
    case 'exchanges': return who + `${more}: gives ${step.gives.toPrecision(6)}, takes ${step.takes.toPrecision(6)} of lane ${step.from}`;
    case 'value': return who + `${more} = ${step.takes.toPrecision(6)}`;
    default: return who + 'returns';
  }
}

function drawKernel() {
  const r = kernel.reply, steps = r.steps, now = steps[kernel.at - 1];
  get('kernel-slider').value = kernel.at;
  get('kernel-event').textContent = now ? `${kernel.at} of ${steps.length}. ${describe(now)}${now.file && now.file !== 'kernels.cuh' ? ` (${now.file}:${now.line})` : ''}` : `${steps.length} steps of ${r.blocks * r.threads} threads. Step through them.`;
  const cells = get('kernel-threads').firstChild.children, states = Array.from(cells, () => '');
  const memory = get('kernel-memory').firstChild.children, read = new Uint8Array(memory.length);
  for (let i = 0; i < kernel.at; ++i) {
    const s = steps[i], t = s.block * r.threads + s.thread;
    if (s.kind === 'load' && s.at[0] === 'x') read.fill(1, s.at[1], s.at[1] + s.count);
    if (s.kind === 'arrives') {  // the threads that waited with it go on
      const first = s.what === 'sync_threads' ? s.block * r.threads : t - s.thread % 32, count = s.what === 'sync_threads' ? r.threads : 32;
      for (let k = first; k < first + count; ++k) states[k] = 'ran';
    } else {
      states[t] = s.kind === 'waits' ? 'waits' : s.kind === 'returns' ? 'returned' : 'ran';
    }
  }
  states.forEach((state, t) => { cells[t].className = 'thread ' + state; });
  for (let i = 0; i < memory.length; ++i) memory[i].className = read[i] ? 'read' : '';
  if (now) {
    cells[now.block * r.threads + now.thread].classList.add('now');
    if (now.at && now.at[0] === 'x') for (let i = now.at[1]; i < now.at[1] + now.count; ++i) memory[i].className = 'now';
  }
  kernel.lines.forEach(line => line.classList.remove('now'));
  const shown = now || steps[0], line = shown && shown.file === 'kernels.cuh' && kernel.lines[shown.line - 1];
  if (line) {
    if (now) line.classList.add('now');
    const box = get('kernel-source');
    box.scrollTop = line.offsetTop - box.offsetTop - box.clientHeight / 2;
  }
}

function goTo(at) {
  kernel.at = Math.max(0, Math.min(kernel.reply.steps.length, at));
  drawKernel();
}
function play() {
  if (!kernel.playing) return;
  goTo(kernel.at + 1);
  if (kernel.at < kernel.reply.steps.length) setTimeout(() => requestAnimationFrame(play), 60);
  else stopPlaying();
}
function stopPlaying() {
  kernel.playing = false;
  get('kernel-play').textContent = 'Play';
}

function startKernel() {
  get('kernel-choice').append(...ask(emulator, 'kernels').map(k => make('option', {value: k.name}, k.title)));
  get('kernel-choice').value = 'warp';
  get('kernel-choice').onchange = () => { stopPlaying(); runKernel(); };
  get('kernel-step').onclick = () => { stopPlaying(); goTo(kernel.at + 1); };
  get('kernel-back').onclick = () => { stopPlaying(); goTo(kernel.at - 1); };
  get('kernel-thread').onclick = () => {  // on to where another thread runs
    stopPlaying();
    const steps = kernel.reply.steps, now = steps[Math.max(0, kernel.at - 1)];
    let at = kernel.at + 1;
    while (at < steps.length && steps[at - 1].thread === now.thread && steps[at - 1].block === now.block) ++at;
    goTo(at);
  };
  get('kernel-play').onclick = () => {
    if (kernel.playing) return stopPlaying();
    kernel.playing = true;
    get('kernel-play').textContent = 'Stop';
    if (kernel.at === kernel.reply.steps.length) kernel.at = 0;
    play();
  };
  get('kernel-slider').oninput = event => { stopPlaying(); goTo(Number(event.target.value)); };
  const source = get('kernel-source');
  kernel.lines = kernelSource.replace(/&#96;/g, '`').split('\n').map(line => make('span', {}, line));
  source.append(...kernel.lines);
  runKernel();
}
