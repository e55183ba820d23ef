// @ts-check
/** The first account, made with the code of the set-up link. */

import { ask, base, Problem } from '../api.js';
import { fill, h } from '../dom.js';
import { spoken, t } from '../i18n.js';
import { field, form, gate, inWords } from './fields.js';

/** Event `in`, detail: the person. */
class Setup extends HTMLElement {
  connectedCallback() {
    const code = location.hash.slice(1);
    document.title = `${t('setup.title')} · Rookery`;
    fill(this, code === '' ? noCode() : this.#form(code));
    this.querySelector('input')?.focus();
  }

  /** @param {string} code */
  #form(code) {
    const username = field(
      t('field.username'),
      { autocomplete: 'username', autocapitalize: 'none', required: true, maxlength: 63, name: 'username' },
      t('field.username.hint'),
    );
    const name = field(t('field.name'), { autocomplete: 'name', maxlength: 100, name: 'name' }, t('field.name.hint'));
    const password = field(
      t('field.password'),
      { type: 'password', autocomplete: 'new-password', required: true, name: 'password' },
      t('field.password.hint'),
    );
    const submit = async () => {
      const body = {
        code,
        username: username.input.value.trim(),
        password: password.input.value,
        ...(name.input.value.trim() === '' ? {} : { name: name.input.value.trim() }),
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
        language: spoken(),
      };
      try {
        const me = await ask('POST', 'setup', { body, quiet: true });
        history.replaceState(null, '', base);
        this.dispatchEvent(new CustomEvent('in', { detail: me }));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        const about = blamed(problem, { username, password });
        if (about === null) throw problem;
        about.say(inWords(problem));
        about.input.focus();
      }
    };
    const fields = [username.element, name.element, password.element];
    return gate(t('setup.title'), t('setup.lead'), form(fields, t('setup.go'), submit));
  }
}

function noCode() {
  return gate(
    t('setup.nocode'),
    t('setup.nocode.hint'),
    h('p', {}, h('a', { class: 'link', href: base.href }, t('setup.signin'))),
  );
}

/**
 * Which field a refusal is about; null for none of them.
 * @template T
 * @param {Problem} problem
 * @param {{username: T, password: T}} fields
 */
function blamed(problem, { username, password }) {
  if (/password/i.test(problem.code)) return password;
  if (problem.code === 'invalid_id' || problem.code === 'conflict') return username;
  if (problem.status !== 400) return null;
  if (/password/i.test(problem.message)) return password;
  return /user|\bid\b/i.test(problem.message) ? username : null;
}

customElements.define('rk-setup', Setup);
