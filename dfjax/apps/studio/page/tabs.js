// The tabs: what each asks for, and what it sends.

import { begin, facts, runsThatCan, state } from '/app.js';
import { address, get, h, post, size } from '/dom.js';
import { check, choices, demo, drop, field, need, pick, slider, starter } from '/parts.js';
import { compare } from '/jobs.js';
import { runsTab } from '/runs.js';

function swapTab() {
  const face = drop({ label: 'Whose face', hint: 'A video, or one or more photographs', kinds: ['video', 'image'], many: true, people: 'Whose face of these?' });
  const into = drop({ label: 'Into which video', hint: 'A video or a picture', kinds: ['video', 'image'], people: 'Whom to replace?' });
  const minutes = h('input', { type: 'number', min: 1, max: 10080, value: 30, inputMode: 'numeric' });
  const own = field('Minutes', minutes);
  own.hidden = true;
  const long = choices('How long', [['0', 'At once'], ['10', '10 minutes'], ['60', '1 hour'], ['own', 'Other']], (value) => { own.hidden = value !== 'own'; });
  const config = pick([['', 'What suits this machine']]);
  const colour = pick([['reinhard', 'Of the video'], ['none', 'As they are'], ['lct', 'lct'], ['mkl', 'mkl'], ['idt', 'idt'], ['sot', 'sot']]);
  const from = pick([['', 'Nothing']]);
  const sample = h('button', { type: 'button', className: 'link', onclick: async () => {
    sample.disabled = true;
    sample.textContent = 'Drawing two people …';
    try {
      const [video, person] = await demo();
      face.clear(); into.clear();
      await Promise.all([into.adopt(video), face.adopt(person)]);
      sample.textContent = 'Two rendered people are there: press Start';
    } catch (error) { sample.textContent = error.message; }
    sample.disabled = false;
  } }, 'No videos at hand? Take two rendered people');
  const form = starter('Put a face into a video', [
    h('div', { className: 'pair' }, face.element, into.element),
    h('p', {}, sample),
    long.element, own,
    h('p', { className: 'hint' }, 'At once mixes pictures of the person, untrained. Training learns gaze, teeth and light; you can use it at any time, and go on later.'),
    h('details', {}, h('summary', {}, 'More'), field('Net', config.element), field('Colours', colour.element), field('Begin with what this run has learnt', from.element)),
  ], () => {
    need(face, 'a video or photographs of the person');
    need(into, 'the video');
    const length = long.value() === 'own' ? Number(minutes.value) : Number(long.value());
    return { verb: 'swap', face: face.ids(), into: into.id(), whom: face.person(), person: into.person(), minutes: length, config: config.element.value, colour: colour.element.value, start_from: from.element.value };
  });
  const update = async () => {
    const { systems } = await facts();
    const able = Object.entries(systems).filter(([, system]) => system.functions.includes('swap'));
    config.set([['', 'What suits this machine'], ...able.flatMap(([name, { variants }]) => variants.map((variant) => [`${name}:${variant}`, `${name}: ${variant}`]))]);
    from.set([['', 'Nothing'], ...(await runsThatCan('swap')).filter((run) => run.step).map((run) => [run.name, `${run.name} (step ${run.step})`])]);
  };
  return { element: form, update: () => update().catch(() => {}) };
}

function animateTab() {
  const image = drop({ label: 'Picture', hint: 'A photograph, a painting, a statue', kinds: ['image'], people: 'Who is to move?' });
  const driving = drop({ label: 'Moves like', hint: 'A video of a face', kinds: ['video', 'image'] });
  const seconds = slider('Seconds', { min: 1, max: 20, step: 1, value: 4 });
  const seed = slider('Which talk', { min: 0, max: 50, step: 1, value: 7 });
  const talk = h('div', { hidden: true }, seconds.element, seed.element);
  const how = choices('Driven by', [['video', 'A video'], ['talk', 'A talk, no video needed']], (value) => { talk.hidden = value !== 'talk'; driving.element.hidden = value === 'talk'; });
  const parts = { pose: check('Head', true), eyes: check('Eyes', true), brows: check('Brows', true), mouth: check('Mouth', true) };
  const gain = slider('How much', { max: 2, value: 1 });
  const absolute = check('Take over the very pose, not its changes');
  const run = pick([['', 'None: bend the picture']]);
  const form = starter('Make a picture move', [
    image.element, how.element, driving.element, talk,
    h('fieldset', {}, h('legend', {}, 'What moves'), ...Object.values(parts).map((part) => part.element)),
    gain.element,
    h('details', {}, h('summary', {}, 'More'), absolute.element, field('Trained run', run.element)),
  ], () => {
    need(image, 'a picture');
    if (how.value() === 'video') need(driving, 'a video');
    const moving = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.value()]));
    return { verb: 'animate', image: image.id(), person: image.person(), driving: how.value() === 'video' ? driving.id() : null, seconds: seconds.value(), seed: seed.value(), gain: gain.value(), absolute: absolute.value(), run: run.element.value, ...moving };
  });
  const update = async () => run.set([['', 'None: bend the picture'], ...named(await runsThatCan('animate'))]);
  return { element: form, update: () => update().catch(() => {}) };
}

function lipsyncTab() {
  const face = drop({ label: 'Who speaks', hint: 'A video or a picture of the person', kinds: ['video', 'image'], people: 'Who is to speak?' });
  const audio = drop({ label: 'What is said', hint: 'A sound, or a video with one', kinds: ['sound', 'video'] });
  const gain = slider('How far the mouth moves', { max: 2, value: 1 });
  const options = { still: check('A picture keeps still'), keep: check('Go on after the sound ends'), loop: check('Begin a short video again') };
  const run = pick([['', 'None: use the person’s own mouth']]);
  const form = starter('Make a face say something', [
    h('div', { className: 'pair' }, face.element, audio.element), gain.element,
    h('details', {}, h('summary', {}, 'More'), ...Object.values(options).map((option) => option.element), field('Trained run', run.element)),
  ], () => {
    need(face, 'a video or a picture');
    need(audio, 'a sound');
    const said = Object.fromEntries(Object.entries(options).map(([name, option]) => [name, option.value()]));
    return { verb: 'lipsync', face: face.id(), person: face.person(), audio: audio.id(), gain: gain.value(), run: run.element.value, ...said };
  });
  const update = async () => run.set([['', 'None: use the person’s own mouth'], ...named(await runsThatCan('lipsync'))]);
  return { element: form, update: () => update().catch(() => {}) };
}

const named = (runs) => runs.map((run) => [run.name, `${run.name} (${run.system}, step ${run.step})`]);

function none(what, config, long) {
  const fault = h('p', { className: 'bad', role: 'alert' });
  const button = h('button', { type: 'button', className: 'primary', onclick: () => begin({ verb: 'train', config }).then(() => { location.hash = 'runs'; }, (error) => { fault.textContent = error.message; }) }, 'Train one on rendered people');
  return h('div', { className: 'card empty' }, h('p', {}, `No run in this folder can ${what} yet.`), button, h('p', { className: 'hint' }, long), fault);
}

function editTab() {
  const run = pick([]);
  const empty = h('div', {});
  const input = drop({ label: 'Picture or video', kinds: ['image', 'video'], onchange: () => look() });
  const sliders = h('div', {}, h('p', { className: 'hint' }, 'Choose a run: its attributes appear here.'));
  const detail = check('Keep the picture sharp', true);
  const shot = h('div', {});
  let controls = {};
  let looking = false;
  let again = false;

  const amounts = () => Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value()]).filter(([, value]) => value));

  async function look() {
    const about = input.about();
    if (about?.kind !== 'image' || !Object.keys(amounts()).length) return;
    if (looking) { again = true; return; }
    looking = true;
    do {
      again = false;
      try {
        await post('/api/edit', { input: about.id, run: run.element.value, amounts: amounts(), detail: detail.value() });
        shot.replaceChildren(compare(`/api/shots/${about.id}?t=${Date.now()}`, `/api/uploads/${about.id}/file`, 'image'));
      } catch (error) { shot.replaceChildren(h('p', { className: 'bad' }, error.message)); }
    } while (again);
    looking = false;
  }

  async function choose() {
    if (!run.element.value) return;
    sliders.replaceChildren(h('p', { className: 'hint working' }, 'Reading its attributes; the first time takes a while …'));
    try {
      const { attributes } = await get(`/api/details/${address(run.element.value)}`);
      controls = Object.fromEntries(Object.keys(attributes).map((name) => [name, slider(name.replaceAll('_', ' '), { min: -2, max: 2, step: 0.1, value: 0, onchange: look })]));
      sliders.replaceChildren(...Object.values(controls).map((control) => control.element));
    } catch (error) { sliders.replaceChildren(h('p', { className: 'bad' }, error.message)); }
  }
  run.element.addEventListener('change', choose);
  const edit = starter('Change attributes', [field('Run', run.element), input.element, sliders, shot, detail.element], () => {
    need(input, 'a picture or a video');
    return { verb: 'edit', run: run.element.value, input: input.id(), amounts: amounts(), detail: detail.value() };
  }, 'Make the whole file');

  const second = pick([]);
  const stops = drop({ label: 'Two or more pictures', hint: 'In the order of the transition', kinds: ['image'], many: true });
  const loop = check('Back to the first', true);
  const kind = choices('As', [['mp4', 'Video'], ['gif', 'GIF'], ['webp', 'WebP']]);
  const morph = starter('Morph', [field('Run', second.element), stops.element, loop.element, kind.element], () => {
    if (stops.ids().length < 2) throw new Error('Give two pictures or more.');
    return { verb: 'morph', run: second.element.value, stops: stops.ids(), loop: loop.value(), kind: kind.value() };
  });
  const update = async () => {
    const able = (await runsThatCan('encode', 'decode')).filter((r) => r.step || r.imported);
    const before = run.element.value;
    run.set(named(able));
    second.set(named(able));
    edit.hidden = morph.hidden = !able.length;
    empty.replaceChildren(able.length ? '' : none('edit', 'vae:laptop', 'About a quarter of an hour on two cores.'));
    if (run.element.value !== before) choose();
  };
  edit.hidden = morph.hidden = true;
  empty.append(h('p', { className: 'hint working' }, 'Looking for runs …'));
  return { element: h('div', {}, empty, edit, morph), update: () => update().catch(() => {}) };
}

function translateTab() {
  const input = drop({ label: 'Picture', hint: 'With a trained run also a video', kinds: ['image', 'video'] });
  const style = drop({ label: 'Style of this picture', kinds: ['image'] });
  const run = pick([]);
  const trained = field('Run', run.element);
  const strength = slider('Strength', { min: 0.1, max: 4, step: 0.1, value: 1 });
  const side = slider('Longer side, pixels', { min: 128, max: 1024, step: 64, value: 256 });
  const painting = h('div', {}, strength.element, side.element, h('p', { className: 'hint' }, 'Twice the side takes four times as long.'));
  const kinds = [['strokes', 'Strokes'], ['mosaic', 'Mosaic'], ['hatching', 'Hatching'], ['picture', 'A picture'], ['run', 'A trained run']];
  const showStyle = (value) => { style.element.hidden = value !== 'picture'; trained.hidden = value !== 'run'; painting.hidden = value === 'run'; };
  const what = choices('Style', kinds, showStyle);
  showStyle('strokes');
  const stylise = starter('Repaint in a style', [input.element, what.element, style.element, trained, painting], () => {
    need(input, 'a picture');
    if (what.value() === 'run' && !run.element.value) throw new Error('No run in this folder has learnt a style yet: train one under Runs.');
    if (what.value() === 'run') return { verb: 'stylize', input: input.id(), run: run.element.value };
    if (what.value() === 'picture') need(style, 'a picture of the style');
    const chosen = what.value() === 'picture' ? { like: style.id() } : { pattern: what.value() };
    return { verb: 'stylize', input: input.id(), strength: strength.value(), size: side.value(), ...chosen };
  });

  const other = pick([]);
  const source = drop({ label: 'Picture or video', kinds: ['image', 'video'] });
  const ways = h('div', {});
  let chosen = () => ({});
  async function choose() {
    if (!other.element.value) return;
    const { labels, sides } = await get(`/api/details/${address(other.element.value)}`);
    if (labels) {
      const picks = labels.map((name) => [name, pick([['', 'as it is'], ['1', 'with'], ['0', 'without']])]);
      ways.replaceChildren(...picks.map(([name, control]) => field(name.replaceAll('_', ' '), control.element)));
      chosen = () => ({ labels: Object.fromEntries(picks.filter(([, control]) => control.value()).map(([name, control]) => [name, Number(control.value())])) });
    } else if (sides?.length > 1) {
      const way = choices('Which way', [['ab', 'From a to b'], ['ba', 'From b to a']]);
      ways.replaceChildren(way.element);
      chosen = () => ({ side: way.value() });
    } else { ways.replaceChildren(); chosen = () => ({}); }
  }
  other.element.addEventListener('change', () => choose().catch(() => {}));
  const empty = h('div', {});
  const translate = starter('Translate', [field('Run', other.element), source.element, ways], () => {
    need(source, 'a picture or a video');
    return { verb: 'translate', run: other.element.value, input: source.id(), ...chosen() };
  });
  const update = async () => {
    run.set(named(await runsThatCan('paint')));
    const able = (await runsThatCan('translate')).filter((r) => r.step || r.imported);
    const before = other.element.value;
    other.set(named(able));
    translate.hidden = !able.length;
    empty.replaceChildren(able.length ? '' : none('translate', 'stargan:laptop', 'About half an hour on two cores.'));
    if (other.element.value !== before) choose().catch(() => {});
  };
  return { element: h('div', {}, stylise, translate, empty), update: () => update().catch(() => {}) };
}

function aboutTab() {
  const element = h('div', {}, h('p', { className: 'hint working' }, 'Looking at this machine …'));
  const rows = (pairs) => h('dl', {}, ...pairs.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
  async function fill() {
    const said = await facts();
    const device = await get('/api/device');
    const on = device.platform === 'cpu' ? `${device.cores} CPU core${device.cores > 1 ? 's' : ''}: training takes tens of minutes; a GPU is not found` : `${device.count} × ${device.kind}`;
    element.replaceChildren(
      h('div', { className: 'card' }, h('h2', {}, 'This machine'), rows([['Works on', on], ['Free memory', device.free === null ? 'not known' : `${device.free} GB`], ['Folder', said.folder], ['Uploads', `up to ${size(state.limits.bytes)} and ${state.limits.minutes} minutes`]])),
      h('div', { className: 'card' }, h('h2', {}, 'People'), h('p', {}, 'Show somebody doing what they never did only if they agree. Without that it harms them, and is a crime in many places.'), h('p', {}, state.consent ? 'You said that everyone you use here agrees.' : 'You will be asked once, before the first face is used.'), h('p', {}, 'What is made carries content credentials that say it was made by AI: dfjax verify reads them.')),
      h('div', { className: 'card' }, h('h2', {}, 'Privacy'), h('p', {}, 'All of it happens on this machine. The page loads nothing from elsewhere and tells nobody anything. Files that you sent lie in the folder under .studio; those that no job uses are deleted after a day.')),
      h('div', { className: 'card' }, h('h2', {}, 'Versions and licences'), rows([['dfjax', `${said.version}, Apache 2.0`], ['Python', said.python], ...Object.entries(device.versions)]), h('p', { className: 'hint' }, 'Faces are found by dlib’s detector and 68 landmarks. The landmarks were learnt from the 300-W pictures, whose licence excludes commercial use: ask Imperial College London first.')),
    );
  }
  const start = () => fill().catch((error) => element.replaceChildren(h('p', { className: 'bad' }, error.message)));
  start();
  return { element };
}

export const TABS = {
  swap: { build: swapTab, verbs: ['swap'], nothing: 'Your swaps will be here: previews while they train, and the result beside the input.' },
  animate: { build: animateTab, verbs: ['animate'], nothing: 'Moving pictures will be here.' },
  lipsync: { build: lipsyncTab, verbs: ['lipsync'], nothing: 'Speaking faces will be here.' },
  edit: { build: editTab, verbs: ['edit', 'morph'], nothing: 'Edits and morphs will be here.' },
  translate: { build: translateTab, verbs: ['translate', 'stylize'], nothing: 'Repainted pictures will be here.' },
  runs: { build: runsTab, verbs: ['train', 'convert', 'export', 'sample'], nothing: 'Trainings, swaps by a run, exports and samples will be here.' },
  about: { build: aboutTab },
};
