// @ts-check
/** Who is signed in, how the page looks to them, and the way out. */

import { Problem } from '../api.js';
import { fill, h, icon } from '../dom.js';
import { LANGUAGES, speak, spoken, t } from '../i18n.js';
import { setTheme, themeOf } from '../theme-of.js';

class Account extends HTMLElement {
  /** @type {import('../house.js').House} */ house = /** @type {any} */ (undefined);

  connectedCallback() {
    const { me } = this.house;
    const menu = h('div', { class: 'menu', id: 'account-menu', popover: 'auto' }, this.#themes(), this.#languages(), this.#out());
    const button = h(
      'button',
      { type: 'button', class: 'account', popovertarget: 'account-menu', title: t('account.menu') },
      h('span', { class: 'initial', 'aria-hidden': 'true' }, Array.from(me.name || me.id)[0].toUpperCase()),
      h(
        'span',
        { class: 'account-name' },
        h('strong', {}, me.name || me.id),
        h('small', {}, t(me.role === 'admin' ? 'account.admin' : 'account.member')),
      ),
      icon('more'),
    );
    fill(this, button, menu);
  }

  #themes() {
    const now = themeOf(this.house.me);
    const choices = /** @type {const} */ (['system', 'light', 'dark']).map((theme) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'theme',
          value: theme,
          checked: theme === now,
          on: { change: () => this.#change({ theme }, () => setTheme(theme)) },
        }),
        h('span', {}, t(`account.theme.${theme}`)),
      ),
    );
    return h('fieldset', { class: 'choices' }, h('legend', {}, t('account.theme')), h('div', {}, ...choices));
  }

  #languages() {
    const select = h(
      'select',
      { id: 'language', on: { change: () => this.#change({ language: select.value }, () => this.#speak(select.value)) } },
      ...Object.entries(LANGUAGES).map(([tag, name]) => h('option', { value: tag, selected: tag === spoken() }, name)),
    );
    return h('div', { class: 'choice' }, h('label', { for: 'language' }, t('account.language')), select);
  }

  #out() {
    const word = h('span', {}, t('account.signout'));
    const leave = () => this.house.signOut().catch(() => (word.textContent = t('error.offline')));
    return h('button', { type: 'button', class: 'button quiet', on: { click: leave } }, icon('leave'), word);
  }

  /** @param {Record<string, string>} change @param {() => void} show */
  async #change(change, show) {
    show();
    try {
      await this.house.changeMe(change);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem; // it holds in this tab, until the next time
    }
  }

  /** @param {string} language */
  async #speak(language) {
    await speak(language);
    this.dispatchEvent(new Event('spoken', { bubbles: true }));
  }
}

customElements.define('rk-account', Account);
