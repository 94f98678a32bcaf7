// Every run in the folder: what it is, its previews and curve, and what can be done with it.

import { begin, facts, refresh } from '/app.js';
import { address, get, h, post, time } from '/dom.js';
import { curve, frames, sure } from '/jobs.js';
import { laying } from '/laying.js';
import { choices, drop, field, pick, starter } from '/parts.js';

export function runsTab() {
  const list = h('div', {});
  const config = pick([]);
  const long = choices('How long', [['', 'As it is meant'], ['10', '10 minutes'], ['60', '1 hour']]);
  const train = starter('Train on rendered pictures', [field('What', config.element), long.element], () => ({ verb: 'train', config: config.element.value, minutes: Number(long.value()) || null }), 'Train');
  facts().then(({ systems }) => config.set(Object.entries(systems).filter(([, system]) => !system.functions.includes('swap')).flatMap(([name, { variants }]) => variants.map((variant) => [`${name}:${variant}`, `${name}: ${variant}`]))), () => {});
  const element = h('div', {}, list, h('details', {}, h('summary', {}, 'Train a new one'), train));
  const cards = new Map();
  function update(state) {
    const rows = state.runs.map((run) => {
      if (!cards.has(run.name)) cards.set(run.name, new Run());
      const card = cards.get(run.name);
      card.update(run, state.jobs);
      return card.element;
    });
    if (!rows.length) rows.push(h('div', { className: 'empty' }, 'No run in this folder yet. A swap makes one; so does dfjax train.'));
    const same = rows.length === list.children.length && rows.every((row, n) => row === list.children[n]);
    if (!same && !(list.children.length === 1 && rows[0].className === 'empty' && list.firstChild.className === 'empty')) list.replaceChildren(...rows);
  }
  return { element, update };
}

class Run {
  constructor() {
    this.title = h('h3', {});
    this.tag = h('span', { className: 'tag' });
    this.text = h('p', { className: 'hint' });
    this.fault = h('p', { className: 'bad', role: 'alert', hidden: true });
    this.more = h('div', {});
    this.details = h('details', { ontoggle: () => { if (this.details.open) this.fill(); } }, h('summary', {}, 'Previews, figures, and what to do with it'), this.more);
    this.element = h('article', { className: 'card' }, h('div', { className: 'between' }, this.title, this.tag), this.text, this.fault, this.details);
  }

  update(run, jobs) {
    const changed = this.run && (this.run.step !== run.step || this.run.preview !== run.preview);
    this.run = run;
    this.job = jobs.find((job) => job.run === run.name);
    this.title.textContent = run.name;
    this.tag.textContent = run.system;
    const at = run.imported ? 'imported' : run.steps ? `step ${run.step} of ${run.steps}` : `step ${run.step}`;
    this.text.textContent = [at, run.size && `${run.size} px`, run.batch && `batch ${run.batch}`, `${time(Date.now() / 1000 - run.changed)} ago`, run.consent ? 'people agree' : ''].filter(Boolean).join(' · ');
    if (changed && this.details.open && !this.more.contains(document.activeElement)) this.fill();
  }

  async fill() {
    const { run } = this;
    const path = address(run.name);
    const parts = [];
    if (run.previews.length) {
      const sheet = h('img', { className: 'sheet', src: `/api/previews/${path}?step=${run.previews.at(-1)}`, alt: 'a preview' });
      const text = h('output', { className: 'hint' }, `step ${run.previews.at(-1)}`);
      const at = h('input', { type: 'range', min: 0, max: run.previews.length - 1, value: run.previews.length - 1, 'aria-label': 'which preview', oninput: () => {
        sheet.src = `/api/previews/${path}?step=${run.previews[at.value]}`; text.textContent = `step ${run.previews[at.value]}`;
      } });
      parts.push(h('div', { className: 'scroll' }, sheet), run.previews.length > 1 ? at : '', text);
    }
    const curves = await get(`/api/curves/${path}`).catch(() => ({ step: [] }));
    if (curves.step.length > 1) parts.push(curve(curves));
    const button = (text, act, className = '') => h('button', { type: 'button', className, onclick: async (event) => {
      this.fault.hidden = true;
      event.target.disabled = true;
      try { await act(); } catch (error) { this.fault.textContent = error.message; this.fault.hidden = false; }
      event.target.disabled = false;
    } }, text);
    const { functions } = (await facts().catch(() => ({ systems: {} }))).systems[run.system] || { functions: [] };
    const usable = run.step > 0 || run.imported;
    if (usable && functions.includes('swap')) {
      const tried = h('div', {});
      const laid = laying();
      const show = (about) => tried.replaceChildren(
        frames(run.name, about, laid.value),
        h('details', {}, h('summary', {}, 'How the face is laid in'), laid.element),
        h('div', { className: 'row spaced' }, button('Swap all of it like this', () => begin({ ...laid.value(), verb: 'convert', run: run.name, into: about.id }))));
      const own = this.job?.inputs.into;
      const other = drop({ label: own ? 'Another video or picture' : 'A video or picture', hint: 'to see a frame of it swapped, and to swap all of it', kinds: ['video', 'image'], onchange: ([about]) => (about || own ? show(about || own) : tried.replaceChildren()) });
      if (own) show(own);
      parts.push(other.element);
      parts.push(tried);
    }
    const buttons = [];
    if (!this.job && usable && !run.imported) buttons.push(button('Train 10 minutes more', () => begin({ verb: 'train', run: run.name, minutes: 10 })));
    if (this.job && ['stopped', 'done'].includes(this.job.state) && this.job.can?.includes('train')) buttons.push(button('Train 10 minutes more', async () => { await post(`/api/jobs/${this.job.id}/again`, { minutes: 10 }); await refresh(); }));
    if (usable && functions.includes('noise_shape')) buttons.push(button('Make 16 pictures', () => begin({ verb: 'sample', run: run.name, seed: Math.floor(Math.random() * 1e6) })));
    if (usable) buttons.push(button('Export …', async () => this.exports()));
    buttons.push(button('Delete', async () => {
      if (await sure(`Delete ${run.name} with everything that it has learnt? This cannot be undone.`)) { await post('/api/runs/delete', { run: run.name }); await refresh(); }
    }, 'danger'));
    this.export = h('div', { className: 'row' });
    parts.push(h('div', { className: 'row' }, ...buttons), this.export);
    this.more.replaceChildren(...parts);
  }

  async exports() {
    this.export.replaceChildren(h('span', { className: 'hint working' }, 'Reading its nets …'));
    const { nets } = await get(`/api/details/${address(this.run.name)}`);
    const net = pick(nets.map((name) => [name, name]));
    net.element.setAttribute('aria-label', 'which net');
    this.export.replaceChildren(net.element, h('button', { type: 'button', onclick: () => begin({ verb: 'export', run: this.run.name, net: net.value() }).catch((error) => { this.fault.textContent = error.message; this.fault.hidden = false; }) }, 'Export this net'));
  }
}
