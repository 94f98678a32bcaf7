// Cards of jobs: progress and previews while they work, the result beside the input when they are done.

import { address, ask, get, h, post, time, $ } from '/dom.js';
import { refresh, state } from '/app.js';

const WORDS = { queued: 'waiting', running: 'at work', stopping: 'saving and stopping', done: 'done', stopped: 'stopped', failed: 'failed' };
const cards = new Map();

export function showJobs(place, jobs, nothing) {
  if (!jobs) { place.replaceChildren(); return; }
  const elements = jobs.map((job) => {
    if (!cards.has(job.id)) cards.set(job.id, new Card(job.id));
    const card = cards.get(job.id);
    card.update(job);
    return card.element;
  });
  if (!elements.length) elements.push(h('div', { className: 'empty' }, nothing));
  const same = elements.length === place.children.length && elements.every((element, n) => element === place.children[n]);
  if (!same && !(elements.length === 1 && elements[0].className === 'empty' && place.textContent === nothing)) place.replaceChildren(...elements);
}

class Card {
  constructor(id) {
    this.id = id;
    this.title = h('h3', {});
    this.tag = h('span', { className: 'tag' });
    this.bar = h('progress', { max: 1 });
    this.text = h('p', { className: 'hint', role: 'status' });
    this.live = h('div', {});
    this.result = h('div', {});
    this.buttons = h('div', { className: 'row' });
    this.fault = h('p', { className: 'bad', role: 'alert', hidden: true });
    this.line = h('pre', {});
    this.element = h('article', { className: 'card', id: `job-${id}` }, h('div', { className: 'between' }, this.title, this.tag), this.bar, this.text, this.live, this.result, this.fault, this.buttons,
      h('details', {}, h('summary', {}, 'The same as a command'), this.line));
  }

  update(job) {
    const working = ['running', 'stopping'].includes(job.state);
    this.title.textContent = job.title;
    this.tag.textContent = WORDS[job.state];
    this.tag.className = `tag ${{ done: 'good', failed: 'bad', running: 'working' }[job.state] || ''}`;
    this.line.textContent = job.line;
    this.bar.hidden = !working;
    this.bar.setAttribute('aria-label', `progress of ${job.title}`);
    if (working) this.progress(job);
    else this.text.textContent = this.told(job);
    this.text.className = job.state === 'failed' ? 'bad' : 'hint';
    if (working && job.run) this.watch(job); else if (!working) { this.live.replaceChildren(); this.watching = null; }
    const key = [job.state, job.ended, job.made, job.stuck, job.can].join();
    if (key !== this.key) { this.key = key; this.act(job); this.show(job); }
  }

  progress(job) {
    const { what, share, left, lines, spent, command, commands } = job.progress;
    if (share === null) this.bar.removeAttribute('value'); else this.bar.value = share;
    const doing = what ? words(what) : lines.at(-1) || 'Starting';
    const parts = [commands > 1 ? `${command} of ${commands}` : '', doing, share === null ? '' : `${Math.floor(100 * share)} %`, left === null ? `${time(spent)} so far` : `about ${time(left)} left`];
    this.text.textContent = parts.filter(Boolean).join(' · ');
  }

  told(job) {
    if (job.state === 'queued') return job.ahead ? `${job.ahead} before it.` : 'It begins in a moment.';
    if (job.state === 'failed') return job.why;
    const took = job.started && job.ended ? time(job.ended - job.started) : '';
    if (job.state === 'stopped') return job.started ? `Stopped after ${took}. What was found and trained is kept.` : 'Taken out of the queue.';
    const report = job.report || {};
    const facts = [report.frames > 1 && `${report.frames} frames`, report.passed_through && `${report.passed_through} without the face`, report.steps && `${report.steps} steps trained`, took && `in ${took}`];
    return facts.filter(Boolean).join(', ');
  }

  // The newest preview, the curve of the loss, and any frame of the video, while it trains.
  async watch(job) {
    if (!this.watching) {
      this.watching = { sheet: h('img', { className: 'sheet', alt: 'preview: faces, and what the net makes of them', hidden: true }), legend: h('p', { className: 'hint', hidden: true }, 'a is who is replaced, b whose face is put in; the third column is the swap.'), curve: h('div', {}), seen: 0, at: 0 };
      const parts = [h('div', { className: 'scroll' }, this.watching.sheet), this.watching.legend, this.watching.curve];
      if (job.verb === 'swap' && job.minutes) parts.push(frames(job.run, job.inputs.into));
      this.live.replaceChildren(...parts);
    }
    const watching = this.watching;
    if (Date.now() - watching.at < 3000) return;
    watching.at = Date.now();
    const run = state.runs.find((one) => one.name === job.run);
    if (!run) return;
    if (run.preview && run.preview !== watching.seen) {
      watching.seen = run.preview;
      watching.sheet.src = `/api/previews/${address(job.run)}?t=${run.preview}`;
      watching.sheet.hidden = false;
      watching.legend.hidden = job.verb !== 'swap';
    }
    const curves = await get(`/api/curves/${address(job.run)}`).catch(() => ({ step: [] }));
    if (curves.step.length > 1) watching.curve.replaceChildren(curve(curves));
  }

  act(job) {
    const button = (text, action, { said = {}, className = '' } = {}) => h('button', { type: 'button', className, onclick: async (event) => {
      event.target.disabled = true;
      this.fault.hidden = true;
      try { await post(`/api/jobs/${this.id}/${action}`, said); await refresh(); } catch (error) { this.fault.textContent = error.message; this.fault.hidden = false; event.target.disabled = false; }
    } }, text);
    const can = (name) => job.can?.includes(name);
    const buttons = [];
    if (job.state === 'running' && can('now')) buttons.push(button('Use it now', 'now', { className: 'primary' }));
    if (job.state === 'running') buttons.push(button('Stop', 'stop'));
    if (job.state === 'queued') buttons.push(button('Cancel', 'stop'));
    if (job.state === 'stopping' && job.stuck) buttons.push(button('End it by force', 'stop', { className: 'danger' }));
    if (job.made && !['running', 'stopping', 'queued'].includes(job.state)) buttons.push(h('a', { className: 'button', href: `/api/jobs/${this.id}/file?download`, download: job.out }, 'Download'));
    if (job.state === 'done' && can('train')) buttons.push(button('Train 10 minutes more', 'again', { said: { minutes: 10 } }));
    else if (job.state === 'stopped' && can('now')) {
      buttons.push(button('Go on', 'again', { said: { minutes: job.minutes } }), button('Use it now', 'now'));
    } else if (['stopped', 'failed'].includes(job.state)) buttons.push(button(job.state === 'stopped' && can('train') ? 'Go on' : 'Try again', 'again'));
    if (['done', 'stopped', 'failed'].includes(job.state)) buttons.push(button('Take off the list', 'remove'));
    this.buttons.replaceChildren(...buttons);
  }

  show(job) {
    this.result.replaceChildren();
    if (job.state === 'done') this.result.append(...job.notes.map((note) => h('p', { className: 'hint' }, note)));
    if (job.state !== 'done' || !job.made) return;
    const made = `/api/jobs/${this.id}/file?t=${job.ended}`;
    const kind = /\.(mp4)$/.test(job.out) ? 'video' : /\.(png|gif|webp|jpg)$/.test(job.out) ? 'image' : null;
    const input = job.inputs.into || job.inputs.input || job.inputs.face || job.inputs.image;
    if (!kind) return;
    const before = input && input.kind === kind && ['swap', 'convert', 'edit', 'translate', 'stylize', 'lipsync'].includes(job.verb) ? `/api/uploads/${input.id}/file` : null;
    this.result.append(before ? compare(made, before, kind) : single(made, kind));
    if (job.verb === 'swap' && job.run) this.result.append(h('details', {}, h('summary', {}, 'Another frame, as it is swapped now'), frames(job.run, job.inputs.into)));
  }
}

function words(what) {
  if (what.startsWith('faces of')) return 'Finding faces';
  if (what.startsWith('cutting')) return 'Cutting faces out';
  if (what.startsWith('writing') || what.startsWith('painting')) return 'Writing the result';
  return /^[a-z0-9]+$/.test(what) ? 'Training' : what[0].toUpperCase() + what.slice(1);
}

function single(source, kind) {
  return kind === 'video' ? h('video', { className: 'single', src: source, controls: true, loop: true, playsInline: true, preload: 'metadata' }) : h('img', { className: 'single', src: source, alt: 'the result' });
}

// Two pictures or videos over each other, with a slider between them; videos play together.
export function compare(after, before, kind) {
  const media = (source, className) => (kind === 'video' ? h('video', { src: source, className, loop: true, playsInline: true, preload: 'auto', muted: className === 'before' }) : h('img', { src: source, className, alt: className }));
  const [a, b] = [media(after, 'after'), media(before, 'before')];
  const split = h('input', { type: 'range', min: 0, max: 100, value: 50, 'aria-label': 'how much of the input is shown over the result', oninput: () => box.style.setProperty('--at', `${split.value}%`) });
  const box = h('div', { className: 'compare' }, a, b, h('span', { className: 'mark l' }, 'Before'), h('span', { className: 'mark r' }, 'After'), split);
  if (kind !== 'video') return box;
  const seek = h('input', { type: 'range', min: 0, max: 1, step: 0.001, value: 0, 'aria-label': 'time', oninput: () => { a.currentTime = seek.value * (a.duration || 0); b.currentTime = a.currentTime; } });
  const play = h('button', { type: 'button', onclick: () => { if (a.paused) { b.currentTime = a.currentTime; a.play(); b.play(); } else { a.pause(); b.pause(); } } }, 'Play');
  a.addEventListener('play', () => { play.textContent = 'Pause'; });
  a.addEventListener('pause', () => { play.textContent = 'Play'; });
  a.addEventListener('timeupdate', () => {
    seek.value = a.currentTime / (a.duration || 1);
    if (Math.abs(a.currentTime - b.currentTime) > 0.08) b.currentTime = a.currentTime;
  });
  const fail = () => box.replaceWith(h('p', { className: 'bad' }, 'This browser cannot play it: download it instead.'));
  a.addEventListener('error', fail);
  b.addEventListener('error', () => { b.remove(); box.querySelector('.mark.l').remove(); split.remove(); box.style.setProperty('--at', '0%'); });
  return h('div', {}, box, h('div', { className: 'row playing' }, play, seek));
}

// Any frame of a video as a run swaps it now; `laid` says how the face is laid in.
export function frames(run, input, laid = () => ({})) {
  const shot = h('div', {});
  const text = h('p', { className: 'hint', role: 'status' });
  const at = h('input', { type: 'range', min: 0, max: 1000, value: 300, 'aria-label': 'which frame' });
  const button = h('button', { type: 'button' }, 'See this frame swapped');
  let busy = false;
  async function look() {
    if (busy) return;
    busy = true;
    button.disabled = true;
    text.textContent = 'One moment …';
    const began = performance.now();
    try {
      const about = await get(`/api/uploads/${input.id}`);
      const made = await post('/api/frame', { ...laid(), run, upload: input.id, seconds: (at.value / 1000) * (about.look.seconds || 0) * 0.98 });
      shot.replaceChildren(compare(`/api/shots/${input.id}?t=${Date.now()}`, `/api/shots/${input.id}?before&t=${Date.now()}`, 'image'));
      text.textContent = `${made.seconds.toFixed(2)} s, step ${made.step}${made.faces ? '' : ': no face to replace in it'} (shown in ${((performance.now() - began) / 1000).toFixed(1)} s)`;
    } catch (error) { text.textContent = error.message; }
    busy = false;
    button.disabled = false;
  }
  button.addEventListener('click', look);
  at.addEventListener('change', look);
  return h('div', { className: 'frames' }, h('div', { className: 'row' }, button, at), text, shot);
}

// A loss over the steps.
export function curve(curves) {
  const names = Object.keys(curves).filter((name) => name !== 'step' && name !== 'steps_per_second');
  const name = names.includes('total') ? 'total' : names[0];
  if (!name) return h('p', { className: 'hint' }, 'No figures yet.');
  const points = curves.step.map((step, n) => [step, curves[name][n]]).filter(([, value]) => value !== null);
  const [low, high] = [Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1]))];
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const x = (step) => (600 * (step - first)) / (last - first || 1);
  const y = (value) => 115 - (110 * (value - low)) / (high - low || 1);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 600 120');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'curve');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `${name} from ${points[0][1].toPrecision(3)} at step ${first} to ${points.at(-1)[1].toPrecision(3)} at step ${last}`);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', points.map(([step, value], n) => `${n ? 'L' : 'M'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join(''));
  svg.append(path);
  const rate = curves.steps_per_second?.at(-1);
  return h('figure', {}, svg, h('figcaption', { className: 'hint' }, `${name} ${points.at(-1)[1].toPrecision(3)} (from ${points[0][1].toPrecision(3)}), step ${last}${rate ? `, ${rate.toPrecision(2)} a second` : ''}`));
}

export async function sure(text) {
  $('sure-text').textContent = text;
  return ask('sure');
}
