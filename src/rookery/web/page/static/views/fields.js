// @ts-check
/** Fields of a form: label, hint, what is wrong with it, each tied to the input for those who do not see them. */

import { Problem } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { t } from '../i18n.js';

let count = 0;

/**
 * @param {string} label
 * @param {Record<string, any>} attributes of the input
 * @param {string} [hint]
 */
export function field(label, attributes, hint) {
  const id = `field-${(count += 1)}`;
  const wrong = h('p', { class: 'field-wrong', id: `${id}-wrong`, hidden: true });
  const about = hint === undefined ? null : h('p', { class: 'field-hint', id: `${id}-hint` }, hint);
  const input = h('input', {
    id,
    'aria-describedby': `${id}-wrong${about === null ? '' : ` ${id}-hint`}`,
    spellcheck: 'false',
    ...attributes,
  });
  const shown = attributes.type === 'password' ? h('div', { class: 'field-secret' }, input, eye(input)) : input;
  const element = h('div', { class: 'field' }, h('label', { for: id }, label), shown, wrong, about);
  input.addEventListener('input', () => say(null));

  /** @param {string | null} text */
  function say(text) {
    wrong.textContent = text ?? '';
    wrong.hidden = text === null;
    input.toggleAttribute('aria-invalid', text !== null);
    if (text !== null) input.setAttribute('aria-invalid', 'true');
  }

  return { element, input: /** @type {HTMLInputElement} */ (/** @type {unknown} */ (input)), say };
}

/** @param {HTMLElement} input */
function eye(input) {
  const button = h('button', { type: 'button', class: 'icon-button', on: { click: turn } });
  /** @param {boolean} open */
  function show(open) {
    const label = t(open ? 'field.password.hide' : 'field.password.show');
    input.setAttribute('type', open ? 'text' : 'password');
    button.setAttribute('aria-label', label);
    button.setAttribute('title', label);
    fill(button, icon(open ? 'eye-shut' : 'eye'));
  }
  function turn() {
    show(input.getAttribute('type') === 'password');
  }
  show(false);
  return button;
}

/**
 * A form with one button, which waits while `submit` does; what it throws is said above the button.
 * @param {import('../dom.js').Child[]} content
 * @param {string} go what the button says
 * @param {() => Promise<void>} submit
 */
export function form(content, go, submit) {
  const wrong = h('p', { class: 'form-wrong', role: 'alert', hidden: true });
  const button = h('button', { type: 'submit', class: 'button primary' }, go);
  return h('form', { class: 'form', novalidate: true, on: { submit: onSubmit } }, ...content, wrong, button);

  /** @param {Event} event */
  async function onSubmit(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    wrong.hidden = true;
    try {
      await submit();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      wrong.textContent = inWords(problem);
      wrong.hidden = false;
    } finally {
      button.disabled = false;
    }
  }
}

/** What a refusal says, to a person. @param {Problem} problem */
export function inWords(problem) {
  if (problem.code === 'offline') return t('error.offline');
  return problem.message || t('error.unknown');
}

/** The frame around what is asked before one is in. @param {string} title @param {string | null} lead @param {...import('../dom.js').Child} content */
export function gate(title, lead, ...content) {
  return h(
    'main',
    { class: 'gate' },
    h('div', { class: 'gate-mark' }, icon('mark'), h('span', {}, 'Rookery')),
    h('div', { class: 'card' }, h('h1', {}, title), lead === null ? null : h('p', { class: 'lead' }, lead), ...content),
    h('p', { class: 'gate-foot' }, t('app.tagline')),
  );
}
