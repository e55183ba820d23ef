// @ts-check
/** The box to write in. It can always be written in; what is sent during an answer waits for its turn. */

import { fill, h, iconButton } from '../dom.js';
import { t } from '../i18n.js';

class Composer extends HTMLElement {
  /** @type {import('../conversation.js').Conversation} */ conversation = /** @type {any} */ (undefined);

  #away = new AbortController();
  #box = /** @type {HTMLTextAreaElement} */ (
    /** @type {unknown} */ (
      h('textarea', {
        id: 'message',
        rows: 1,
        placeholder: t('composer.placeholder'),
        enterkeyhint: 'send',
        autocomplete: 'off',
        'aria-describedby': 'message-hint',
      })
    )
  );
  #send = iconButton('send', t('composer.send'), () => this.#say(), { class: 'icon-button round send' });
  #stop = iconButton('stop', t('composer.stop'), () => this.conversation.stop(), { class: 'icon-button round stop' });

  connectedCallback() {
    const { signal } = this.#away;
    const box = this.#box;
    box.value = this.conversation.draft;
    box.addEventListener('input', () => this.#typed());
    box.addEventListener('keydown', (event) => this.#key(event));
    this.conversation.addEventListener('change', () => this.#show(), { signal });
    fill(
      this,
      h('label', { class: 'for-ears', for: 'message' }, t('composer.label')),
      h('div', { class: 'composer' }, box, this.#stop, this.#send),
      h('p', { class: 'composer-hint', id: 'message-hint' }, t('composer.hint')),
    );
    this.#grow();
    this.#show();
    if (matchMedia('(hover: hover)').matches) this.focusBox();
  }

  disconnectedCallback() {
    this.#away.abort();
  }

  focusBox() {
    this.#box.focus();
    this.#box.setSelectionRange(this.#box.value.length, this.#box.value.length);
  }

  #typed() {
    this.conversation.draft = this.#box.value;
    this.#grow();
    this.#show();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While a word is being composed (Japanese, Chinese …), Enter chooses it; Safari says so by the key code alone.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#say();
    } else if (event.key === 'ArrowUp' && this.#box.value === '') {
      const said = this.conversation.lastSaid;
      if (said === '') return;
      event.preventDefault();
      this.#put(said);
    }
  }

  #say() {
    const text = this.#box.value;
    if (text.trim() === '') return;
    this.#put('');
    this.conversation.send(text);
    this.focusBox();
  }

  /** @param {string} text */
  #put(text) {
    this.#box.value = text;
    this.#typed();
  }

  #grow() {
    this.#box.style.height = 'auto';
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  #show() {
    const empty = this.#box.value.trim() === '';
    const { busy, state } = this.conversation;
    this.#stop.hidden = !busy;
    this.#send.hidden = busy && empty;
    this.#send.disabled = empty;
    this.#box.disabled = state === 'gone';
  }
}

customElements.define('rk-composer', Composer);
