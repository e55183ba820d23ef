// @ts-check
/** The chat that is open: its head, what the connection is doing, the messages, and the box to write in. */

import { fill, h, iconButton } from '../dom.js';
import { t } from '../i18n.js';
import { titleOf } from './chats.js';
import './composer.js';
import './messages.js';

/** How long the connection may be gone before that is worth a word. */
const GRACE = 1_000;

/** Event `chats`: the list is to be shown. */
class Chat extends HTMLElement {
  /** @type {import('../house.js').House} */ house = /** @type {any} */ (undefined);

  #away = new AbortController();
  #title = h('h1', { class: 'chat-title' });
  #speaker = h('span', { class: 'chat-speaker', hidden: true });
  #notice = h('p', { class: 'chat-notice', role: 'status' });
  #place = h('main', { class: 'chat-place' });
  #timer = 0;

  connectedCallback() {
    const { signal } = this.#away;
    const { house } = this;
    house.addEventListener('current', () => this.#open(), { signal });
    house.addEventListener('list', () => this.#name(), { signal });
    house.addEventListener('agents', () => this.#name(), { signal });
    house.addEventListener('status', () => this.#status(), { signal });
    addEventListener('offline', () => this.#status(), { signal });
    addEventListener('online', () => this.#status(), { signal });
    document.addEventListener('keydown', (event) => this.#key(event), { signal });
    const head = h(
      'header',
      { class: 'chat-head' },
      iconButton('menu', t('chats.open'), () => this.dispatchEvent(new Event('chats')), {
        class: 'icon-button phone-only',
        'aria-controls': 'side',
      }),
      this.#title,
      this.#speaker,
      iconButton('new', t('chats.new'), () => house.openNew(), { class: 'icon-button phone-only' }),
    );
    fill(this, head, this.#notice, this.#place);
    this.#open();
    this.#status();
  }

  disconnectedCallback() {
    this.#away.abort();
    clearTimeout(this.#timer);
  }

  #open() {
    const conversation = this.house.current;
    const messages = Object.assign(h('rk-messages'), { conversation, me: this.house.me, house: this.house });
    const composer = Object.assign(h('rk-composer'), { conversation });
    messages.addEventListener('try', (/** @type {any} */ event) => conversation.send(event.detail));
    fill(this.#place, messages, composer);
    this.#name();
  }

  #name() {
    const { session } = this.house.current;
    const friend = this.house.friendIn(session);
    this.#speaker.textContent = friend;
    this.#speaker.hidden = friend === '';
    const title = session === null ? t('chats.new') : titleOf(session);
    if (this.#title.textContent === title) return;
    this.#title.textContent = title;
    document.title = `${title} · Rookery`;
  }

  #status() {
    clearTimeout(this.#timer);
    if (this.house.live.open) {
      this.#notice.textContent = '';
      return;
    }
    const say = () => (this.#notice.textContent = t(navigator.onLine ? 'status.lost' : 'status.offline'));
    if (navigator.onLine) this.#timer = setTimeout(say, GRACE);
    else say();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || event.isComposing) return;
    if (event.shiftKey) /** @type {any} */ (this.querySelector('rk-composer')).focusBox();
    else if (document.querySelector(':popover-open') === null) void this.house.current.stop();
  }
}

customElements.define('rk-chat', Chat);
