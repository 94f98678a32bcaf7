// Elements, and questions to the server. Text is only ever set as text, so that no name can become markup.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== 'list' && name !== 'form') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

export class Failed extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

export async function get(path) { return answer(await reach(path)); }

export async function post(path, said = {}) {
  return answer(await reach(path, { method: 'POST', body: JSON.stringify(said) }));
}

async function reach(path, options) {
  try { return await fetch(path, options); } catch { throw new Failed(0, 'The studio does not answer. Has it ended?'); }
}

async function answer(response) {
  let said = {};
  try { said = await response.json(); } catch { /* a refusal in plain text */ }
  if (response.ok) return said;
  if (response.status === 401) throw new Failed(401, 'The studio was started anew: open the address that it printed.');
  throw new Failed(response.status, said.error || `It failed (${response.status}).`);
}

// The browser streams the file; the server measures it as it comes.
export function upload(file, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/api/uploads');
    request.setRequestHeader('X-Name', encodeURIComponent(file.name));
    request.upload.onprogress = (event) => onprogress(event.loaded / (event.total || 1));
    request.onload = () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { said = { error: request.responseText }; }
      if (request.status === 200) resolve(said); else reject(new Failed(request.status, said.error || 'It was refused.'));
    };
    request.onerror = () => reject(new Failed(0, 'The upload was cut off: the studio has ended, or the file is too large.'));
    request.send(file);
  });
}

export function ask(id) {
  const dialog = $(id);
  return new Promise((resolve) => {
    const done = (event) => {
      if (event.target.tagName === 'BUTTON') dialog.close(event.target.value);
    };
    dialog.addEventListener('click', done);
    dialog.addEventListener('close', () => { dialog.removeEventListener('click', done); resolve(dialog.returnValue === 'yes'); }, { once: true });
    dialog.returnValue = '';
    dialog.showModal();
  });
}

// A run's name as a part of an address: folders stay folders.
export const address = (name) => name.split('/').map(encodeURIComponent).join('/');

export function time(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
}

export function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
