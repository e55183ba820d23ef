// @ts-check
/** Text that the server rendered: shown block by block as it streams in, with a way to copy code. */

import { h, icon, trusted } from '../dom.js';
import { t } from '../i18n.js';

/** @typedef {import('../conversation.js').TextPart} TextPart */
/** @typedef {{element: HTMLElement, html: string, more: string}} Shown */

/** @type {WeakMap<Element, Shown[]>} */
const shownIn = new WeakMap();

/**
 * Make an element show a text. What is there already stays as it is: selections and scrolled code are kept.
 * @param {HTMLElement} element
 * @param {TextPart} part
 */
export function showText(element, part) {
  const blocks = part.html !== null ? [{ html: part.html, more: '' }] : part.blocks;
  if (blocks === null) {
    element.className = 'md plain';
    if (element.textContent !== part.text) element.textContent = part.text;
    shownIn.delete(element);
    return;
  }
  element.className = 'md';
  const shown = shownIn.get(element) ?? [];
  if (shown.length === 0) element.replaceChildren();
  // The whole text at the end is what its blocks were: there is nothing to do.
  const same = part.html !== null && shown.length > 1 && shown.map(({ html }) => html).join('') === part.html;
  if (!same) showBlocks(element, shown, blocks);
  shownIn.set(element, shown);
}

/**
 * @param {HTMLElement} element
 * @param {Shown[]} shown
 * @param {{html: string, more: string}[]} blocks
 */
function showBlocks(element, shown, blocks) {
  for (const gone of shown.splice(blocks.length)) gone.element.remove();
  blocks.forEach((block, index) => {
    let there = shown[index];
    if (there === undefined) {
      there = { element: h('div', { class: 'md-block' }), html: '', more: '' };
      shown.push(there);
      element.append(there.element);
    }
    if (there.html !== block.html || !block.more.startsWith(there.more)) {
      trusted(there.element, block.html);
      equip(there.element);
      Object.assign(there, { html: block.html, more: '' });
    }
    if (there.more !== block.more) {
      const codes = there.element.querySelectorAll('pre code, pre');
      codes[codes.length - 1]?.append(block.more.slice(there.more.length));
      there.more = block.more;
    }
  });
}

/** Give code its language and a button to copy it, and tables a frame to scroll in. @param {HTMLElement} block */
function equip(block) {
  for (const pre of block.querySelectorAll('pre')) {
    const box = h('div', { class: 'code-box' });
    pre.replaceWith(box);
    pre.tabIndex = 0;
    box.append(h('div', { class: 'code-head' }, h('span', {}, pre.dataset.lang ?? t('code.plain')), copyCode(pre)), pre);
  }
  for (const table of block.querySelectorAll('table')) {
    const frame = h('div', { class: 'table', role: 'region', tabindex: 0, 'aria-label': t('table.label') });
    table.replaceWith(frame);
    frame.append(table);
  }
}

/** @param {HTMLElement} pre */
function copyCode(pre) {
  const label = h('span', {}, t('code.copy'));
  const button = h('button', { type: 'button', class: 'code-copy', on: { click: copy } }, icon('copy'), label);
  return button;

  async function copy() {
    if (await toClipboard(pre.textContent ?? '')) shortly(label, t('code.copied'), t('code.copy'));
  }
}

/** @param {string} text @returns {Promise<boolean>} whether it worked */
export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // On plain http there is no clipboard but this old one.
    const area = h('textarea', { class: 'for-ears', value: text, 'aria-hidden': 'true' });
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    focused?.focus();
    return copied;
  }
}

/** Say one thing for a moment, then another. @param {HTMLElement} element @param {string} now @param {string} then */
export function shortly(element, now, then) {
  element.textContent = now;
  setTimeout(() => (element.textContent = then), 1_500);
}
