// @ts-check
/** What was said, oldest first. It stays at its end only for who is there; who reads above is not moved. */

import { fill, h, icon, iconButton, keyed } from '../dom.js';
import { clockTime, day, t, wholeTime } from '../i18n.js';
import { shortly, showText, toClipboard } from './markdown.js';

/** @typedef {import('../conversation.js').Item} Item */
/** @typedef {import('../conversation.js').UserItem} UserItem */
/** @typedef {import('../conversation.js').ReplyItem} ReplyItem */
/** @typedef {import('../conversation.js').AsideItem} AsideItem */
/** @typedef {import('../conversation.js').ToolPart} ToolPart */
/** @typedef {{kind: 'day', key: string, text: string}} DayItem */

/** How far from the end still counts as being there, in pixels. */
const NEAR = 64;
/** Characters of a reply that are read out; the rest is in the list. */
const READ_OUT = 1_500;

/** Event `try`, detail: a text that somebody wants to begin with. */
class Messages extends HTMLElement {
  /** @type {import('../conversation.js').Conversation} */ conversation = /** @type {any} */ (undefined);
  /** @type {any} */ me;
  /** @type {import('../house.js').House} */ house = /** @type {any} */ (undefined);

  #away = new AbortController();
  #older = h('button', { type: 'button', class: 'button quiet', hidden: true }, t('chat.older'));
  #list = h('div', { class: 'list' });
  #middle = h('div', { class: 'middle' });
  #log = h('div', { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': t('chat.log'), tabindex: 0 });
  #latest = iconButton('down', t('chat.latest'), () => this.#toEnd(true), { class: 'icon-button round latest', hidden: true });
  #ears = h('div', { class: 'for-ears', 'aria-live': 'polite' });
  #atEnd = true;
  #due = false;
  #size = new ResizeObserver(() => this.#atEnd && this.#toEnd(false));

  connectedCallback() {
    const { signal } = this.#away;
    const { conversation } = this;
    conversation.addEventListener('change', () => this.#showSoon(), { signal });
    conversation.addEventListener('sent', () => (this.#atEnd = true), { signal });
    conversation.addEventListener('said', (event) => this.#readOut(/** @type {CustomEvent} */ (event).detail), { signal });
    conversation.addEventListener('answered', (event) => this.#readOut(t(ANSWERED[/** @type {CustomEvent} */ (event).detail])), { signal });
    this.house.addEventListener('agents', () => this.#friendsCame(), { signal });
    this.#log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#older.addEventListener('click', () => this.#showOlder());
    fill(this.#log, h('div', { class: 'column' }, this.#older, this.#list, this.#middle));
    fill(this, this.#log, this.#latest, this.#ears);
    this.#size.observe(this.#log);
    this.#size.observe(this.#list);
    this.#show();
    this.#toEnd(false);
  }

  disconnectedCallback() {
    this.#away.abort();
    this.#size.disconnect();
  }

  #showSoon() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      if (this.isConnected) this.#show();
    });
  }

  #show() {
    const { conversation } = this;
    const items = conversation.items();
    this.#older.hidden = !conversation.hasOlder;
    const speaker = this.house.friendIn(conversation.session) || t('message.assistant');
    keyed(this.#list, withDays(items), (item) => item.key, create, (row, item) => update(row, item, speaker));
    this.#list.hidden = items.length === 0;
    this.#showMiddle(items.length === 0);
    if (this.#atEnd) this.#toEnd(false);
  }

  /** What stands where no messages are: a welcome, or why there are none. @param {boolean} empty */
  #showMiddle(empty) {
    const { state } = this.conversation;
    const shown = state === 'gone' || state === 'failed' ? state : empty ? (state === 'loading' ? 'loading' : 'empty') : '';
    if (this.#middle.dataset.shown === shown) return;
    this.#middle.dataset.shown = shown;
    if (shown === 'empty') fill(this.#middle, this.#welcome());
    else if (shown === 'gone') fill(this.#middle, h('p', { class: 'word' }, t('chat.gone')));
    else if (shown === 'loading') fill(this.#middle, h('p', { class: 'word dots', role: 'status' }, h('span', { class: 'for-ears' }, t('app.loading')), dots()));
    else if (shown === 'failed') {
      const again = h('button', { type: 'button', class: 'button', on: { click: () => this.conversation.load() } }, t('chat.retry'));
      fill(this.#middle, h('p', { class: 'word' }, t('chat.failed.load')), again);
    } else fill(this.#middle);
  }

  #welcome() {
    const name = String(this.me.name || this.me.id).split(' ', 1)[0];
    const tries = /** @type {const} */ (['chat.try.1', 'chat.try.2', 'chat.try.3']).map((key) =>
      h('button', { type: 'button', class: 'try', on: { click: () => this.#try(t(key)) } }, t(key)),
    );
    return h(
      'div',
      { class: 'welcome' },
      icon('mark'),
      h('h2', {}, t('chat.empty.title', { name })),
      h('p', {}, t('chat.empty.lead')),
      this.#choice(),
      h('p', { class: 'welcome-try' }, t('chat.empty.try')),
      h('div', { class: 'tries' }, ...tries),
    );
  }

  /** Who is to answer a chat that is begun here, for who has more than one; nothing for anybody else. */
  #choice() {
    const { agents } = this.house;
    const awake = agents.filter((agent) => agent.enabled);
    if (this.conversation.state !== 'new' || awake.length < 2) return null;
    const options = awake.map(({ id, name }) => h('option', { value: id }, name));
    const select = h('select', {}, ...options);
    select.value = this.conversation.chosen ?? this.me.id;
    select.addEventListener('change', () => this.conversation.choose(select.value === this.me.id ? null : select.value));
    return h('label', { class: 'choice who' }, h('span', {}, t('chat.who')), select);
  }

  /** Their names are known now, or have changed. */
  #friendsCame() {
    if (this.#middle.dataset.shown === 'empty' && !this.#middle.contains(document.activeElement)) delete this.#middle.dataset.shown;
    this.#show();
  }

  /** @param {string} text */
  #try(text) {
    this.dispatchEvent(new CustomEvent('try', { detail: text }));
  }

  async #showOlder() {
    const before = this.#log.scrollHeight - this.#log.scrollTop;
    await this.conversation.loadOlder();
    this.#show();
    this.#log.scrollTop = this.#log.scrollHeight - before;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    this.#latest.hidden = this.#atEnd;
  }

  /** @param {boolean} smoothly */
  #toEnd(smoothly) {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#log.scrollTo({ top: this.#log.scrollHeight, behavior: smoothly && !still ? 'smooth' : 'instant' });
    if (smoothly) this.#latest.hidden = this.#atEnd = true;
  }

  /** What had the focus goes away: it stays among the messages. */
  holdFocus() {
    this.#log.focus({ preventScroll: true });
  }

  /** @param {string} text */
  #readOut(text) {
    this.#ears.textContent = text.slice(0, READ_OUT);
  }
}

/** @param {Item[]} items @returns {(Item | DayItem)[]} */
function withDays(items) {
  /** @type {(Item | DayItem)[]} */ const all = [];
  let last = '';
  for (const item of items) {
    const date = item.at?.toDateString() ?? last;
    if (date !== last && item.at !== null) all.push({ kind: 'day', key: `day:${date}`, text: day(item.at) });
    last = date;
    all.push(item);
  }
  return all;
}

/** @param {Item | DayItem} item @returns {HTMLElement} */
function create(item) {
  if (item.kind === 'day') return h('div', { class: 'day' }, h('span', {}));
  const body = h('div', { class: 'body' });
  const foot = h('div', { class: 'foot' });
  const who = h('h2', { class: 'for-ears' });
  return h('article', { class: `message ${item.kind}` }, who, body, foot);
}

/** @param {HTMLElement} element @param {Item | DayItem} item @param {string} speaker who answers in this chat */
function update(element, item, speaker) {
  if (item.kind === 'day') {
    const [span] = element.children;
    if (span.textContent !== item.text) span.textContent = item.text;
  } else {
    const [who, body, foot] = /** @type {HTMLElement[]} */ ([...element.children]);
    const name = nameOf(item, speaker);
    if (who.textContent !== name) who.textContent = name;
    if (item.kind === 'user') updateUser(body, foot, item);
    else if (item.kind === 'reply') updateReply(body, foot, item);
    else updateAside(body, foot, item);
  }
}

/** @param {Item} item @param {string} speaker */
function nameOf(item, speaker) {
  if (item.kind === 'user') return item.sender ?? t('message.you');
  if (item.kind === 'reply') return speaker;
  return item.from ?? t('message.system');
}

/** @param {HTMLElement} body @param {HTMLElement} foot @param {UserItem} item */
function updateUser(body, foot, item) {
  const text = [item.text, ...Array(item.images).fill(`[${t('message.image')}]`)].filter(Boolean).join('\n');
  if (body.textContent !== text) body.textContent = text;
  const { outgoing } = item;
  const state = outgoing === null ? '' : `${outgoing.state} ${outgoing.reason ?? ''}`;
  if (foot.dataset.state === state) return;
  foot.dataset.state = state;
  if (outgoing === null) fill(foot, time(item.at));
  else if (outgoing.state === 'failed') {
    const word = outgoing.reason ? t('message.failed', { reason: outgoing.reason }) : t('message.stopped');
    fill(
      foot,
      h('span', { class: 'bad' }, word),
      act(t('chat.retry'), foot, 'again', outgoing.key),
      act(t('message.discard'), foot, 'discard', outgoing.key),
    );
  } else {
    const word = { sending: 'message.sending', unsent: 'message.unsent', queued: 'message.queued' };
    fill(foot, h('span', {}, t(/** @type {any} */ (word[outgoing.state]))));
  }
}

/** @param {string} label @param {HTMLElement} foot @param {'again' | 'discard'} what @param {string} key */
function act(label, foot, what, key) {
  const click = () => /** @type {Messages} */ (foot.closest('rk-messages')).conversation[what](key);
  return h('button', { type: 'button', class: 'link', on: { click } }, label);
}

/** @param {HTMLElement} body @param {HTMLElement} foot @param {ReplyItem} item */
function updateReply(body, foot, item) {
  keyed(
    body,
    item.parts,
    (part) => part.key,
    (part) => (part.kind === 'text' ? h('div', { class: 'md' }) : toolCard()),
    (element, part) => (part.kind === 'text' ? showText(element, part) : updateTool(element, part)),
  );
  const text = item.parts.flatMap((part) => (part.kind === 'text' ? [part.text] : [])).join('\n\n');
  const asked = item.state === 'running' ? item.asks : null;
  const state = `${item.state} ${item.error ?? ''} ${text === '' && item.parts.length === 0} ${item.place ?? ''} ${asked?.n ?? ''}`;
  /** @type {any} */ (foot).text = text;
  if (foot.dataset.state === state) return;
  foot.dataset.state = state;
  if (asked !== null) fill(foot, question(foot, asked));
  else if (item.state === 'running' && item.place !== null) fill(foot, h('span', { class: 'dots' }, inLine(item.place), dots()));
  else if (item.state === 'running') fill(foot, h('span', { class: 'dots' }, h('span', { class: 'for-ears' }, t('message.thinking')), dots()));
  else {
    fill(
      foot,
      ending(item),
      text === '' ? null : iconButton('copy', t('message.copy'), (event) => copy(event, foot)),
      item.at === null ? null : time(item.at),
    );
  }
}

/** What a turn waits with until we allow it. @param {HTMLElement} foot @param {import('../conversation.js').Asks} asks */
function question(foot, asks) {
  /** @param {boolean} allow */
  const answer = (allow) => async () => {
    const messages = /** @type {Messages} */ (foot.closest('rk-messages'));
    const buttons = [...foot.querySelectorAll('button')];
    messages.holdFocus();
    for (const button of buttons) button.disabled = true;
    const heard = await messages.conversation.answer(asks, allow);
    for (const button of buttons) button.disabled = heard;
  };
  return h(
    'div',
    { class: 'asks', role: 'group', 'aria-label': t('message.asks') },
    h('p', { role: 'alert' }, h('strong', {}, t('message.asks')), ' ', h('span', {}, asks.words)),
    h('button', { type: 'button', class: 'button', on: { click: answer(true) } }, t('message.allow')),
    h('button', { type: 'button', class: 'button', on: { click: answer(false) } }, t('message.deny')),
    h('span', { class: 'until' }, t('message.until', { time: clockTime(asks.until) })),
  );
}

/** @type {Record<string, 'message.allowed' | 'message.denied' | 'message.expired'>} */
const ANSWERED = { allowed: 'message.allowed', denied: 'message.denied', expired: 'message.expired' };

/** @param {number} place */
function inLine(place) {
  return place === 1 ? t('message.next') : t('message.inline', { place });
}

/** @param {ReplyItem} item */
function ending(item) {
  if (item.error !== null) return h('span', { class: 'bad' }, item.error);
  if (item.state === 'stopped') return h('span', {}, t('message.stopped'));
  if (item.state === 'interrupted') return h('span', { class: 'bad' }, t('message.interrupted'));
  if (item.state === 'length') return h('span', {}, t('message.length'));
  if (item.parts.length === 0) return h('span', {}, t('message.nothing'));
  return null;
}

/** @param {Event} event @param {HTMLElement} foot */
async function copy(event, foot) {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  if (!(await toClipboard(/** @type {any} */ (foot).text))) return;
  const word = h('span', { class: 'copied', role: 'status' });
  fill(button, icon('done'));
  button.after(word);
  shortly(word, t('message.copied'), '');
  setTimeout(() => {
    word.remove();
    fill(button, icon('copy'));
  }, 1_500);
}

/** @param {HTMLElement} body @param {HTMLElement} foot @param {AsideItem} item */
function updateAside(body, foot, item) {
  if (body.textContent !== item.text) body.textContent = item.text;
  const word = item.from === null ? t('message.system') : t('message.notice', { name: item.from });
  if (foot.textContent !== word) foot.textContent = word;
}

function toolCard() {
  return h('details', { class: 'tool' }, h('summary', {}, icon('tool'), h('span', {})), h('pre', { class: 'tool-text', tabindex: 0 }));
}

/** @param {HTMLElement} element @param {ToolPart} part */
function updateTool(element, part) {
  const label = t(`tool.${part.state}`, { name: part.name });
  const [summary, pre] = element.children;
  const word = summary.children[1];
  if (word.textContent !== label) word.textContent = label;
  const text = [part.input, part.output].filter((one) => one !== '' && one !== '{}').join('\n\n');
  if (pre.textContent !== text) pre.textContent = text;
  element.classList.toggle('empty', text === '');
  element.dataset.state = part.state;
}

/** @param {Date} at */
function time(at) {
  return h('time', { datetime: at.toISOString(), title: wholeTime(at) }, clockTime(at));
}

function dots() {
  return h('span', { class: 'dots-three', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));
}

customElements.define('rk-messages', Messages);
