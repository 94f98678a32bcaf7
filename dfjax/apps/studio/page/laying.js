// How a face is laid into frames: the settings of a swap that is done again by a trained run.

import { h } from '/dom.js';
import { field, pick, slider } from '/parts.js';
import { runsThatCan } from '/app.js';

const MODES = [['overlay', 'Laid over'], ['hist-match', 'With the histogram of the frame'], ['seamless', 'Seamless at the edge'], ['raw', 'The whole square of the net']];
const MASKS = [['auto', 'What the net has learnt of the face'], ['hull', 'All within the landmarks'], ['learned-source', 'As learnt of the one put in'], ['learned-destination', 'As learnt of the one replaced'], ['product', 'What both have'], ['union', 'What either has']];
const COLOURS = [['reinhard', 'Of the video'], ['none', 'As they are'], ['lct', 'lct'], ['mkl', 'mkl'], ['idt', 'idt'], ['sot', 'sot'], ['hist', 'hist']];

export function laying() {
  const mode = pick(MODES), mask = pick(MASKS), colour = pick(COLOURS);
  const net = pick([]);
  const nets = field('Mask net', net.element);
  nets.hidden = true;
  mask.element.addEventListener('change', () => { nets.hidden = mask.value() !== 'segment'; });
  runsThatCan('mask').then((runs) => {
    if (!runs.length) return;
    net.set(runs.map((run) => [run.name, run.name]));
    mask.set([...MASKS, ['segment', 'What a mask net sees of the face']]);
  }, () => {});
  const sliders = {
    erode: slider('Pull the edge in', { min: -0.2, max: 0.2, step: 0.01 }),
    blur: slider('Soften the edge', { max: 0.2, step: 0.01 }),
    scale: slider('Size of the face', { min: 0.5, max: 1.5, step: 0.01, value: 1 }),
    sharpen: slider('Sharpen', { min: -1, max: 3, step: 0.1 }),
  };
  const element = h('div', { className: 'laying' },
    field('How it is laid in', mode.element), field('Mask', mask.element), nets, field('Colours', colour.element),
    ...Object.values(sliders).map((one) => one.element));
  const value = () => ({ mode: mode.value(), mask: mask.value(), colour: colour.value(), mask_net: mask.value() === 'segment' ? net.value() : null, ...Object.fromEntries(Object.entries(sliders).map(([name, one]) => [name, one.value()])) });
  return { element, value };
}
