// Part 3: MHA and SkipV1 learn side by side.
'use strict';

const race = {about: null, x: [], losses: [[], []], measured: [], running: false, measuredAt: -1};

function startAgain() {
  stopRace();
  const request = {width: limited(get('race-width')), seed: limited(get('race-seed')), steps: 1500};
  const about = showing('race-error', () => ask(library, 'race', request));
  if (!about) return;
  Object.assign(race, {about, x: [], losses: [[], []], measured: [], measuredAt: -1, step: 0, sums: [0, 0], count: 0});
  drawRace();
}
function stopRace() {
  race.running = false;
  get('race-go').textContent = 'Train';
}
/** Steps for about a frame's time; a measurement every 100 steps. */
function trainOn() {
  if (!race.running) return;
  const until = performance.now() + 25;
  do {
    const before = race.step;
    stepRace(1);
    if (race.step === before) { stopRace(); break; }
    if (race.step % 100 === 0) measureRace();
  } while (performance.now() < until);
  drawRace();
  if (race.running) requestAnimationFrame(trainOn);
}
/** Trains `count` steps; the chart has the mean of every ten. */
function stepRace(count) {
  const {step, losses} = ask(library, 'steps', {count});
  race.step = step;
  if (losses[0].length) race.lastLosses = losses.map(l => l[l.length - 1]);
  for (let i = 0; i < losses[0].length; ++i) {
    for (const m of [0, 1]) race.sums[m] += losses[m][i];
    if (++race.count < 10) continue;
    race.x.push(step - losses[0].length + i + 1);
    for (const m of [0, 1]) race.losses[m].push(race.sums[m] / race.count);
    race.sums = [0, 0];
    race.count = 0;
  }
}
function measureRace() {
  race.measured.push(ask(library, 'measure', {count: 512}));
  race.measuredAt = race.step;
}

function drawRace() {
  const steps = race.about.steps, level = y => ({x: [0, steps], y: [y, y]});
  const width = Math.max(300, Math.min(700, get('race-chart').clientWidth));
  get('race-chart').replaceChildren(chart([
    {name: 'MHA', colour: css('--mha'), x: race.x, y: race.losses[0]},
    {name: 'SkipV1', colour: css('--skip'), x: race.x, y: race.losses[1]},
    {name: 'MHA, theory', colour: css('--soft'), dashed: true, ...level(race.about.mha_bound)},
    {name: 'one step', colour: css('--soft'), dashed: true, ...level(race.about.one_step)}],
    {most: steps, low: 0.4, high: 1.2, xLabel: 'steps', yLabel: 'error, mean over ten steps', width}));
  const state = get('race-state');
  state.textContent = `Step ${race.step} of ${steps}.` + (race.lastLosses && race.step ? ` Error of this step: MHA ${race.lastLosses[0].toFixed(4)}, SkipV1 ${race.lastLosses[1].toFixed(4)}.` : '');
  if (race.lastLosses && race.step) state.dataset.losses = JSON.stringify(race.lastLosses);
  const box = get('race-measure');
  if (!race.measured.length) return box.replaceChildren(make('p', {}, 'Measured after every 100 steps, on 512 prompts that neither has seen.'));
  const [mha, skip] = race.measured[race.measured.length - 1].models, share = x => Math.max(0, x);
  const gaps = chart([{name: 'gap', colour: css('--mark'), x: [0, ...race.measured.map(m => m.step)], y: [0, ...race.measured.map(m => m.models[0].error - m.models[1].error)]}],
    {most: steps, low: -0.2, high: 0.4, xLabel: 'steps', yLabel: 'error of MHA − error of SkipV1', width, height: 190});
  const rows = (what, title) => [make('p', {}, title),
    bar('MHA', share(mha[what][1]), 1, css('--mha'), 'R² ' + mha[what][1].toFixed(3)), bar('SkipV1', share(skip[what][1]), 1, css('--skip'), 'R² ' + skip[what][1].toFixed(3))];
  box.replaceChildren(
    make('p', {}, `After ${race.measuredAt} steps, on 512 prompts that neither has seen: error MHA ${mha.error.toFixed(4)}, SkipV1 ${skip.error.toFixed(4)}; the gap is ${(mha.error - skip.error).toFixed(4)}.`), gaps,
    ...rows('y', 'How much of y the value heads of the second layer see (SkipV1 reads it raw from the first):'),
    ...rows('x', 'And how much of x, which must share the token\'s width with y:'));
  box.dataset.gap = mha.error - skip.error;
}

function startRace() {
  get('race-go').onclick = () => {
    if (race.running) return stopRace();
    race.running = true;
    get('race-go').textContent = 'Stop';
    trainOn();
  };
  get('race-again').onclick = get('race-width').onchange = get('race-seed').onchange = startAgain;
  startAgain();
}
