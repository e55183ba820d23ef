// @ts-check
/** Coming in by user name and password. */

import { ask, Problem } from '../api.js';
import { fill, h } from '../dom.js';
import { t } from '../i18n.js';
import { field, form, gate, inWords } from './fields.js';

/** Event `in`, detail: the person. The attribute `again` is there for who was signed out. */
class SignIn extends HTMLElement {
  connectedCallback() {
    document.title = `${t('signin.title')} · Rookery`;
    const username = field(t('field.username'), {
      autocomplete: 'username',
      autocapitalize: 'none',
      required: true,
      name: 'username',
      value: this.getAttribute('username') ?? '',
    });
    const password = field(t('field.password'), {
      type: 'password',
      autocomplete: 'current-password',
      required: true,
      name: 'password',
    });
    const submit = async () => {
      const body = { username: username.input.value.trim(), password: password.input.value };
      try {
        const me = await ask('POST', 'login', { body, quiet: true });
        this.dispatchEvent(new CustomEvent('in', { detail: me }));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.status === 401 || (problem.status === 400 && problem.code !== 'bad_origin')) {
          password.say(t('signin.wrong'));
          password.input.select();
          password.input.focus();
        } else if (problem.status === 429 && problem.retryAfter !== null) {
          throw new Problem(429, problem.code, t('signin.wait', { time: minutes(problem.retryAfter) }));
        } else throw new Problem(problem.status, problem.code, inWords(problem));
      }
    };
    const lead = this.hasAttribute('again') ? t('signin.again') : null;
    const hint = h('p', { class: 'gate-hint' }, t('signin.hint'));
    const fields = [username.element, password.element];
    fill(this, gate(t('signin.title'), lead, form(fields, t('signin.go'), submit), hint));
    (username.input.value === '' ? username : password).input.focus();
  }
}

/** @param {number} seconds */
function minutes(seconds) {
  const unit = seconds < 90 ? 'second' : 'minute';
  const value = unit === 'second' ? seconds : Math.ceil(seconds / 60);
  return new Intl.NumberFormat(document.documentElement.lang, { style: 'unit', unit, unitDisplay: 'long' }).format(value);
}

customElements.define('rk-sign-in', SignIn);
