// Tabs, and the one state that all of them show: asked for every second while something is at work.

import { $, ask, Failed, get, h, post } from '/dom.js';
import { TABS } from '/tabs.js';
import { showJobs } from '/jobs.js';

export const state = { jobs: [], runs: [], consent: false, facts: null };
const forms = {};
let shown = null;
let timer = null;

export function say(text, bad = false) {
  $('status').textContent = text;
  $('status').className = bad ? 'bad' : '';
}

export async function refresh() {
  clearTimeout(timer);
  try {
    Object.assign(state, await get('/api/state'));
    const busy = state.jobs.filter((job) => ['running', 'stopping'].includes(job.state)).length;
    const waiting = state.jobs.filter((job) => job.state === 'queued').length;
    say(busy + waiting ? `${busy} at work${waiting ? `, ${waiting} waiting` : ''}` : '');
    paint();
  } catch (error) { say(error.message, true); }
  const active = state.jobs.some((job) => ['running', 'stopping', 'queued'].includes(job.state));
  timer = setTimeout(refresh, document.hidden ? 10000 : active ? 1000 : 4000);
}

// Starts a job, after the question that is asked once; the form says what went wrong.
export async function begin(said) {
  try {
    await post('/api/jobs', said);
  } catch (error) {
    if (!(error instanceof Failed) || error.status !== 409) throw error;
    if (!(await ask('consent'))) throw new Failed(0, 'Nothing is made without their consent.');
    await post('/api/consent', { agree: true });
    await post('/api/jobs', said);
  }
  await refresh();
  if (matchMedia('(max-width: 860px)').matches) $('results').scrollIntoView({ behavior: 'smooth' });
}

// The abilities of systems: known a few seconds after the start.
export async function facts() {
  state.facts ||= get('/api/facts').catch((error) => { state.facts = null; throw error; });
  return state.facts;
}

// Bytes of an upload; the server counts them in any case, but hangs up on those that go on.
export const most = () => state.limits?.bytes ?? Infinity;

export async function runsThatCan(...functions) {
  const { systems } = await facts();
  return state.runs.filter((run) => functions.every((name) => systems[run.system]?.functions.includes(name)));
}

function paint() {
  const tab = TABS[shown];
  forms[shown]?.update?.(state);
  showJobs($('results'), tab.verbs ? state.jobs.filter((job) => tab.verbs.includes(job.verb)) : null, tab.nothing);
}

function open(name, focus = false) {
  shown = name in TABS ? name : 'swap';
  for (const button of $('tabs').children) {
    const chosen = button.dataset.tab === shown;
    button.setAttribute('aria-selected', chosen);
    button.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) button.focus();
    if (chosen) button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  $('main').setAttribute('aria-labelledby', `tab-${shown}`);
  $('main').className = TABS[shown].verbs ? '' : 'wide';
  forms[shown] ||= TABS[shown].build();
  $('form').replaceChildren(forms[shown].element);
  if (location.hash !== `#${shown}`) history.replaceState(null, '', `#${shown}`);
  paint();
}

$('tabs').addEventListener('click', (event) => {
  const button = event.target.closest('[data-tab]');
  if (button) open(button.dataset.tab);
});
$('tabs').addEventListener('keydown', (event) => {
  const names = Object.keys(TABS);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const to = { Home: 0, End: names.length - 1 }[event.key] ?? (step ? (names.indexOf(shown) + step + names.length) % names.length : null);
  if (to === null) return;
  event.preventDefault();
  open(names[to], true);
});
window.addEventListener('hashchange', () => open(location.hash.slice(1)));
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });

open(location.hash.slice(1) || 'swap');
refresh();
facts().then(paint, () => {});
