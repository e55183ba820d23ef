// @ts-check
/** The page of who is signed in: their chats beside the chat that is open; on a phone the chats are a drawer. */

import { fill, h } from '../dom.js';
import { t } from '../i18n.js';
import './account.js';
import './chat.js';
import './chats.js';

const PHONE = matchMedia('(max-width: 48rem)');

class HouseView extends HTMLElement {
  /** @type {import('../house.js').House} */ house = /** @type {any} */ (undefined);

  #away = new AbortController();
  #aside = h('aside', { class: 'side', id: 'side', 'aria-label': t('chats.title') });
  #veil = h('div', { class: 'veil', on: { click: () => this.#draw(false) } });
  #drawn = false;

  connectedCallback() {
    const { signal } = this.#away;
    const { house } = this;
    const chats = Object.assign(h('rk-chats'), { house });
    const account = Object.assign(h('rk-account'), { house });
    const chat = Object.assign(h('rk-chat'), { house });
    fill(this.#aside, chats, account);
    fill(this, this.#aside, this.#veil, chat);
    chat.addEventListener('chats', () => this.#draw(true));
    chats.addEventListener('shut', () => this.#draw(false));
    house.addEventListener('current', () => this.#draw(false), { signal });
    PHONE.addEventListener('change', () => this.#draw(false), { signal });
    document.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#draw(false);
  }

  disconnectedCallback() {
    this.#away.abort();
  }

  /** Open or shut the drawer; beside a wide chat there is none, and the list is always there. @param {boolean} open */
  #draw(open) {
    const was = this.#drawn;
    this.#drawn = open && PHONE.matches;
    this.toggleAttribute('drawn', this.#drawn);
    this.#aside.inert = PHONE.matches && !this.#drawn;
    const chat = this.querySelector('rk-chat');
    if (chat !== null) /** @type {HTMLElement} */ (chat).inert = this.#drawn;
    if (this.#drawn) this.#aside.querySelector('button')?.focus();
    else if (was) /** @type {HTMLElement | null} */ (this.querySelector('.chat-head .icon-button'))?.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const meta = event.ctrlKey || event.metaKey;
    if (event.key === 'Escape' && this.#drawn) this.#draw(false);
    else if (meta && event.shiftKey && event.key.toLowerCase() === 'o') {
      event.preventDefault();
      this.house.openNew();
    }
  }
}

customElements.define('rk-house', HouseView);
