// @ts-check
/** One WebSocket to the server, kept open: what was missed is replayed, or the page is told to read everything anew. */

import { base } from './api.js';

const FIRST_WAIT = 250;
const LONGEST_WAIT = 10_000;
const LOGGED_OUT = 4401;

/**
 * Events: `frame` (detail: the server's frame), `begin` (from `seq` on nothing will be missed; what was read of an
 * earlier moment is to be read again), `resync` (everything is), `status` (see `open`), `refused` (the socket did not
 * open, or was closed because we are logged out: ask who we are).
 */
export class Live extends EventTarget {
  /** Whether frames come in now. */
  open = false;

  /** The server's count of our events, as far as we have seen them; null before its first word. */
  seq = /** @type {number | null} */ (null);
  epoch = /** @type {string | null} */ (null);
  /** The number that `begin` told of. */
  from = 0;

  #socket = /** @type {WebSocket | null} */ (null);
  #attempts = 0;
  #timer = 0;
  #wanted = /** @type {AbortController | null} */ (null);

  start() {
    this.#wanted = new AbortController();
    const { signal } = this.#wanted;
    addEventListener('online', () => this.#now(), { signal });
    addEventListener('offline', () => this.#lost(), { signal });
    document.addEventListener('visibilitychange', () => this.#now(), { signal });
    this.#connect();
  }

  stop() {
    this.#wanted?.abort();
    this.#wanted = null;
    clearTimeout(this.#timer);
    this.#drop();
  }

  /** Try at once instead of when the wait is over: somebody is looking, or the network is back. */
  #now() {
    if (this.#wanted !== null && this.#socket === null && document.visibilityState === 'visible') {
      clearTimeout(this.#timer);
      this.#connect();
    }
  }

  /** The browser knows that there is no network: nobody will close this socket for us. */
  #lost() {
    this.#drop();
    this.#later();
  }

  #connect() {
    const url = new URL('api/ws', base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('render', 'html');
    if (this.epoch !== null) {
      url.searchParams.set('since', String(this.seq));
      url.searchParams.set('epoch', this.epoch);
    }
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.addEventListener('message', (event) => {
      if (socket === this.#socket) this.#take(event.data);
    });
    socket.addEventListener('close', (event) => {
      if (socket !== this.#socket) return;
      const never = !this.open;
      this.#socket = null;
      this.#setOpen(false);
      this.#later();
      if (never || event.code === LOGGED_OUT) this.dispatchEvent(new Event('refused'));
    });
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    // A browser complains of a socket that is closed before it was open.
    if (socket?.readyState === WebSocket.CONNECTING) socket.addEventListener('open', () => socket.close());
    else socket?.close();
    this.#setOpen(false);
  }

  #later() {
    if (this.#wanted === null) return;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#attempts) * (0.5 + Math.random() / 2);
    this.#attempts += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  /** @param {string} data */
  #take(data) {
    const frame = JSON.parse(data);
    if (frame.type === 'hello') {
      this.#attempts = 0;
      const missed = this.epoch !== null && this.epoch !== frame.epoch;
      if (this.epoch !== frame.epoch) this.#stand(frame);
      this.#setOpen(true);
      if (missed) this.dispatchEvent(new Event('resync'));
    } else if (frame.type === 'resync') {
      this.#stand(frame);
      this.dispatchEvent(new Event('resync'));
    } else {
      if (typeof frame.seq === 'number') this.seq = frame.seq;
      this.dispatchEvent(new CustomEvent('frame', { detail: frame }));
    }
  }

  /** @param {{epoch: string, seq: number}} frame */
  #stand({ epoch, seq }) {
    this.epoch = epoch;
    this.seq = this.from = seq;
    this.dispatchEvent(new Event('begin'));
  }

  /** @param {boolean} open */
  #setOpen(open) {
    if (this.open === open) return;
    this.open = open;
    this.dispatchEvent(new Event('status'));
  }
}
