// @ts-check
/** The list of chats, and the way to a new one. */

import { fill, h, icon, iconButton, keyed } from '../dom.js';
import { clockTime, day, t } from '../i18n.js';

/** Event `shut`: the drawer is to be closed. */
class Chats extends HTMLElement {
  /** @type {import('../house.js').House} */ house = /** @type {any} */ (undefined);

  #away = new AbortController();
  #list = h('ul', { class: 'chats-list' });
  #none = h('p', { class: 'chats-none', hidden: true }, t('chats.none'));
  #more = h('button', { type: 'button', class: 'button quiet', hidden: true }, t('chats.more'));

  connectedCallback() {
    const { signal } = this.#away;
    this.house.addEventListener('list', () => this.#show(), { signal });
    this.house.addEventListener('current', () => this.#show(), { signal });
    this.house.addEventListener('agents', () => this.#show(), { signal });
    this.#more.addEventListener('click', () => this.house.more());
    const begin = h(
      'button',
      { type: 'button', class: 'button begin', on: { click: () => this.house.openNew() } },
      icon('new'),
      t('chats.new'),
    );
    fill(
      this,
      h(
        'div',
        { class: 'side-head' },
        h('div', { class: 'brand' }, icon('mark'), 'Rookery'),
        iconButton('close', t('chats.close'), () => this.dispatchEvent(new Event('shut')), {
          class: 'icon-button phone-only',
        }),
      ),
      begin,
      h('nav', { 'aria-label': t('chats.title') }, this.#list, this.#none, this.#more),
    );
    this.#show();
  }

  disconnectedCallback() {
    this.#away.abort();
  }

  #show() {
    const { house } = this;
    this.#none.hidden = !house.listed || house.sessions.length > 0;
    this.#more.hidden = !house.hasMore;
    keyed(
      this.#list,
      house.sessions,
      (session) => session.sessionId,
      (session) => this.#row(session.sessionId),
      (row, session) => {
        const [button] = row.children;
        const [name, mark] = button.children;
        const running = house.running.has(session.sessionId);
        const unread = house.unread.has(session.sessionId);
        const friend = house.friendIn(session);
        const title = friend === '' ? titleOf(session) : t('chats.of', { name: friend, title: titleOf(session) });
        if (name.textContent !== title) name.textContent = title;
        button.title = title;
        mark.className = `chats-mark${running ? ' running' : unread ? ' unread' : ''}`;
        mark.textContent = running ? t('chats.running') : unread ? t('chats.unread') : '';
        if (session.sessionId === house.current.id) button.setAttribute('aria-current', 'page');
        else button.removeAttribute('aria-current');
      },
    );
  }

  /** @param {string} id */
  #row(id) {
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', class: 'chats-row', on: { click: () => this.house.open(id) } },
        h('span', { class: 'chats-name' }),
        h('span', { class: 'chats-mark' }),
      ),
    );
  }
}

/** What a chat is called. @param {any} session */
export function titleOf(session) {
  if (session.title || session.label) return session.title || session.label;
  if (session.sessionKey?.split(':').length === 3) return t('chats.main');
  if (!session.createdAt) return t('chats.new');
  const made = new Date(session.createdAt);
  return t('chats.unnamed', { time: `${day(made)}, ${clockTime(made)}` });
}

customElements.define('rk-chats', Chats);
