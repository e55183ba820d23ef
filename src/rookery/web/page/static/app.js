// @ts-check
/** The page: who is here decides what is shown. */

import { ask, base, login, Problem } from './api.js';
import { fill, h, icon } from './dom.js';
import { askEarly, House } from './house.js';
import { speak, t } from './i18n.js';
import { remember, wasIn } from './keep.js';
import { setTheme, themeOf } from './theme-of.js';
import './views/house.js';
import './views/new-password.js';
import './views/setup.js';
import './views/sign-in.js';

const AGAIN = 2_000;

class App extends HTMLElement {
  /** @type {House | null} */ #house = null;

  async connectedCallback() {
    const speaking = speak();
    login.addEventListener('loggedOut', (event) => this.#loggedOut(event));
    this.addEventListener('spoken', () => this.#house !== null && this.#view(this.#house));
    await speaking;
    if (location.pathname === new URL('setup', base).pathname) this.#ask('rk-setup');
    else await this.#whoIsHere();
  }

  async #whoIsHere() {
    const early = wasIn() ? askEarly() : undefined;
    try {
      await this.#enter(await ask('GET', 'me', { quiet: true }), early);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 401) this.#ask('rk-sign-in');
      else this.#unreachable();
    }
  }

  /** @param {any} me @param {import('./house.js').Early} [early] */
  async #enter(me, early) {
    await speak(me.language);
    setTheme(themeOf(me));
    if (me.mustChangePassword) {
      this.#ask('rk-new-password', { username: me.id });
      return;
    }
    remember(true);
    this.#house = new House(me);
    this.#house.start(early);
    this.#view(this.#house);
  }

  /** @param {House} house */
  #view(house) {
    fill(this, Object.assign(h('rk-house'), { house }));
  }

  /** @param {string} form @param {Record<string, any>} [props] */
  #ask(form, props = {}) {
    const enter = (/** @type {CustomEvent} */ event) => this.#enter(event.detail);
    fill(this, h(form, { ...props, on: { in: enter } }));
  }

  /** @param {Event} event */
  #loggedOut(event) {
    if (this.#house === null) return;
    const asked = /** @type {CustomEvent} */ (event).detail === 'asked';
    const { me } = this.#house;
    remember(false);
    this.#house.stop();
    this.#house = null;
    this.#ask('rk-sign-in', asked ? {} : { again: true, username: me.id });
  }

  #unreachable() {
    document.title = `${t('app.unreachable')} · Rookery`;
    fill(
      this,
      h(
        'main',
        { class: 'gate' },
        h('div', { class: 'gate-mark' }, icon('mark'), h('span', {}, 'Rookery')),
        h('div', { class: 'card', role: 'status' }, h('h1', {}, t('app.unreachable')), h('p', { class: 'lead' }, t('app.unreachable.hint'))),
      ),
    );
    setTimeout(() => this.#whoIsHere(), AGAIN);
  }
}

customElements.define('rk-app', App);
