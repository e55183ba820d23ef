// @ts-check
/** A password of one's own, in place of one that somebody else set. */

import { ask, Problem } from '../api.js';
import { fill, h } from '../dom.js';
import { t } from '../i18n.js';
import { field, form, gate, inWords } from './fields.js';

/** Event `in`, detail: the person. The attribute `username` says whose password it is. */
class NewPassword extends HTMLElement {
  connectedCallback() {
    document.title = `${t('password.title')} · Rookery`;
    // Nobody sees it: a password manager goes by it.
    const whose = { type: 'text', autocomplete: 'username', value: this.getAttribute('username') ?? '', hidden: true };
    const password = field(
      t('field.password.new'),
      { type: 'password', autocomplete: 'new-password', required: true, name: 'password' },
      t('field.password.hint'),
    );
    const submit = async () => {
      try {
        await ask('POST', 'me/password', { body: { password: password.input.value } });
        this.dispatchEvent(new CustomEvent('in', { detail: await ask('GET', 'me') }));
      } catch (problem) {
        if (!(problem instanceof Problem) || problem.status !== 400) throw problem;
        password.say(inWords(problem));
        password.input.focus();
      }
    };
    fill(this, gate(t('password.title'), t('password.lead'), form([h('input', whose), password.element], t('password.go'), submit)));
    password.input.focus();
  }
}

customElements.define('rk-new-password', NewPassword);
