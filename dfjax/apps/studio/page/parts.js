// What forms are made of: a place to drop files with the people in them, choices, sliders, and a form that starts a job.

import { begin, most } from '/app.js';
import { get, h, post, size, time, upload } from '/dom.js';

let count = 0;

// A place for one file or several; `people`: faces found can be clicked. kinds: 'image', 'video', 'sound'.
export function drop({ label, hint = '', kinds, many = false, people = null, onchange = () => {} }) {
  const files = [];
  const accept = kinds.map((kind) => ({ image: 'image/*', video: 'video/*', sound: 'audio/*' })[kind]).join(',');
  const input = h('input', { type: 'file', accept, multiple: many, 'aria-label': `${label}: choose a file` });
  const zone = h('div', { className: 'drop' }, h('strong', {}, label), h('span', { className: 'hint' }, hint), h('span', { className: 'hint' }, 'Drop it here or click'), input);
  const list = h('div', {});
  const fault = h('p', { className: 'bad', role: 'alert', hidden: true });
  const element = h('div', { className: 'dropping' }, list, zone, fault);
  const say = (text) => { fault.textContent = text; fault.hidden = !text; };

  function changed() {
    zone.hidden = !many && files.length > 0;
    zone.classList.toggle('more', files.length > 0);
    zone.firstChild.textContent = files.length ? 'Add another' : label;
    onchange(files.map((entry) => entry.about));
  }

  function entryOf(name, bytes) {
    const facts = h('span', { className: 'hint' }, bytes ? size(bytes) : '');
    const label = h('span', {}, name);
    const bar = h('progress', { max: 1, value: 0, 'aria-label': `sending ${name}` });
    const body = h('div', {}, bar);
    const remove = h('button', { type: 'button', className: 'x', 'aria-label': `Remove ${name}`, onclick: () => {
      files.splice(files.indexOf(entry), 1); box.remove(); changed();
    } }, '×');
    const box = h('div', { className: 'file' }, h('div', { className: 'row' }, h('span', { className: 'name' }, label, ' ', facts), remove), body);
    const entry = { about: null, person: null, box, bar, body, facts, label };
    list.append(box);
    files.push(entry);
    return entry;
  }

  async function look(entry) {
    const { id, kind } = entry.about;
    entry.bar.replaceWith(h('p', { className: 'hint working' }, 'Looking at it …'));
    const about = await get(`/api/uploads/${id}`);
    if (about.look.fault) throw new Error(`${about.name}: ${about.look.fault}`);
    if (!kinds.includes(about.kind)) throw new Error(`${about.name}: give a ${kinds.map((one) => (one === 'image' ? 'picture' : one)).join(' or a ')}.`);
    entry.about = about;
    entry.label.textContent = about.name;
    const { seconds, width, height, people: found } = about.look;
    entry.facts.textContent = [width && `${width} × ${height}`, seconds && time(seconds), size(about.bytes)].filter(Boolean).map((fact) => fact.replaceAll(' ', '\u00a0')).join(' · ');
    const parts = [];
    if (kind !== 'sound') parts.push(h('img', { className: 'poster', src: `/api/uploads/${id}/poster`, alt: `a frame of ${about.name}` }));
    else parts.push(h('audio', { controls: true, src: `/api/uploads/${id}/file` }));
    if (people && found?.length > 1) {
      const group = `people-${++count}`;
      const pictures = found.map((share, number) => h('label', {},
        h('input', { type: 'radio', name: group, value: number, checked: number === 0, onchange: () => { entry.person = number; }, 'aria-label': `person ${number + 1}, in ${Math.round(100 * share)} % of the frames looked at` }),
        h('img', { src: `/api/uploads/${id}/${number}`, alt: '', width: 56, height: 56 })));
      entry.person = 0;
      parts.push(h('div', { className: 'people', role: 'radiogroup', 'aria-label': people }, ...pictures), h('p', { className: 'hint' }, people));
    } else if (people && found?.length === 0) parts.push(h('p', { className: 'bad' }, 'No face found in the frames looked at.'));
    entry.body.replaceChildren(...parts);
    changed();
  }

  async function take(entry, sending) {
    changed();
    try {
      entry.about = await sending;
      await look(entry);
    } catch (error) {
      say(error.message);
      if (files.includes(entry)) files.splice(files.indexOf(entry), 1);
      entry.box.remove();
      changed();
    }
  }

  function send(chosen) {
    say('');
    for (const file of many ? chosen : [...chosen].slice(0, 1)) {
      if (file.size > most()) { say(`${file.name}: ${size(most())} at most.`); continue; }
      const entry = entryOf(file.name, file.size);
      take(entry, upload(file, (share) => { entry.bar.value = share; }));
    }
  }

  input.addEventListener('change', () => { send([...input.files]); input.value = ''; });
  for (const name of ['dragenter', 'dragover']) zone.addEventListener(name, () => zone.classList.add('over'));
  for (const name of ['dragleave', 'drop']) zone.addEventListener(name, () => zone.classList.remove('over'));
  return {
    element,
    adopt(about) { const entry = entryOf(about.name, about.bytes); entry.about = about; return take(entry, Promise.resolve(about)); },
    clear() { files.length = 0; list.replaceChildren(); changed(); },
    ids: () => files.filter((entry) => entry.about).map((entry) => entry.about.id),
    id: () => files[0]?.about?.id ?? null,
    about: () => files[0]?.about ?? null,
    person: () => files[0]?.person ?? null,
    ready: () => files.length > 0 && files.every((entry) => entry.about?.look?.kind),
  };
}

export function field(name, control, hint = '') {
  const id = `field-${++count}`;
  control.id = id;
  return h('div', { className: 'field' }, h('label', { className: 'name', htmlFor: id }, name), control, hint && h('span', { className: 'hint' }, ` ${hint}`));
}

export function pick(options) {
  const element = h('select', {}, ...options.map(([value, text]) => h('option', { value }, text)));
  return { element, value: () => element.value, set(choices) {
    if (JSON.stringify(choices) === element.dataset.choices) return;
    const before = element.value;
    element.dataset.choices = JSON.stringify(choices);
    element.replaceChildren(...choices.map(([value, text]) => h('option', { value }, text)));
    if (choices.some(([value]) => value === before)) element.value = before;
  } };
}

// One of a few, as buttons.
export function choices(legend, options, onchange = () => {}) {
  const name = `choice-${++count}`;
  const inputs = options.map(([value], n) => h('input', { type: 'radio', name, value, checked: n === 0, onchange: () => onchange(value) }));
  const element = h('fieldset', {}, h('legend', {}, legend), h('div', { className: 'choices' },
    ...options.map(([, text], n) => h('label', {}, inputs[n], h('span', {}, text)))));
  return { element, value: () => inputs.find((input) => input.checked).value };
}

export function check(text, checked = false) {
  const input = h('input', { type: 'checkbox', checked });
  return { element: h('label', { className: 'check' }, input, text), value: () => input.checked };
}

export function slider(name, { min = 0, max = 1, step = 0.05, value = 0, onchange = () => {} } = {}) {
  const shown = h('output', { className: 'hint' }, String(value));
  const input = h('input', { type: 'range', min, max, step, value, oninput: () => { shown.textContent = input.value; onchange(Number(input.value)); } });
  const id = `slider-${++count}`;
  input.id = id;
  return { element: h('div', { className: 'field' }, h('div', { className: 'between' }, h('label', { htmlFor: id }, name), shown), input), value: () => Number(input.value) };
}

// A form that starts a job; `said` makes what is sent, or throws what is missing.
export function starter(title, parts, said, text = 'Start') {
  const button = h('button', { className: 'primary big', type: 'submit' }, text);
  const fault = h('p', { className: 'bad', role: 'alert', hidden: true });
  const form = h('form', { noValidate: true, onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    fault.hidden = true;
    try { await begin(said()); } catch (error) { fault.textContent = error.message; fault.hidden = false; }
    button.disabled = false;
  } }, h('h2', {}, title), ...parts, fault, button);
  return form;
}

export function need(place, what) {
  if (!place.ready()) throw new Error(place.id() ? 'Wait until the file has been looked at.' : `Give ${what} first.`);
}

export async function demo() { return (await post('/api/demo')).uploads; }
