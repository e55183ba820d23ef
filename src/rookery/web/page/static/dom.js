// @ts-check
/** Making and changing elements. Text becomes text nodes; `trusted` is the one way for HTML, and only our server's. */

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */
/** @typedef {Record<string, any>} Props */

const AS_PROPERTY = new Set(['value', 'checked', 'disabled', 'hidden', 'inert', 'popover', 'htmlFor']);

/**
 * An element with attributes, listeners (`on: {click: …}`) and children.
 * @param {string} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElement & Record<string, any>}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'on') {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (value === null || value === undefined || value === false) {
      continue;
    } else if (AS_PROPERTY.has(name)) {
      /** @type {any} */ (element)[name] = value;
    } else {
      if (/^on|^srcdoc$/i.test(name)) throw new Error(`h() sets no ${name}.`);
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * Make an element's children exactly these.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/** @type {WeakMap<Element, Map<string, Element>>} */
const nodesOf = new WeakMap();

/**
 * Show one child for each item, in order. A child stays the same element as long as its key is there, and is moved
 * only when it must be, so that focus, selection and scroll position are kept.
 * @template T
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => Element} create
 * @param {(element: any, item: T) => void} update called for new children as well
 */
export function keyed(parent, items, keyOf, create, update) {
  const nodes = nodesOf.get(parent) ?? new Map();
  nodesOf.set(parent, nodes);
  const wanted = new Set(items.map(keyOf));
  for (const [key, node] of nodes) {
    if (!wanted.has(key)) {
      node.remove();
      nodes.delete(key);
    }
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = nodes.get(key);
    if (node === undefined) {
      node = create(item);
      nodes.set(key, node);
    }
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
    update(node, item);
  }
}

/** @type {{createHTML: (html: string) => any}} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('rookery', {
  createHTML: (/** @type {string} */ html) => html,
}) ?? { createHTML: (html) => html };

/**
 * Show HTML that our server rendered from Markdown and cleaned. Nothing else may ever come here.
 * @param {Element} element
 * @param {string} html
 */
export function trusted(element, html) {
  element.innerHTML = policy.createHTML(html);
}

const SVG = 'http://www.w3.org/2000/svg';
const icons = new URL('icons.svg', import.meta.url).href;

/**
 * One of our own drawings; it says nothing to a screen reader: the button around it does.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `${icons}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button that is an icon; its label is read out and shown as its tooltip.
 * @param {string} name
 * @param {string} label
 * @param {(event: Event) => void} onClick
 * @param {Props} [props]
 */
export function iconButton(name, label, onClick, props = {}) {
  return h(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': label, title: label, on: { click: onClick }, ...props },
    icon(name),
  );
}
