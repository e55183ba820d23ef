// @ts-check
/** Everything one signed-in person sees in this tab: who they are, their chats, and the socket that keeps them new. */

import { ask, login, Problem } from './api.js';
import { askEntries, Conversation } from './conversation.js';
import { Keep } from './keep.js';
import { Live } from './socket.js';

const SHELF = 60;
const OPEN = '#chat=';

/** @typedef {{list: Promise<any>, entries: Promise<any> | undefined}} Early */

/**
 * Ask for what the page will show, before it is known who is here: it all comes in one round trip.
 * @returns {Early}
 */
export function askEarly() {
  const named = addressed();
  const maybe = (/** @type {Promise<any>} */ asked) => asked.catch(() => undefined); // then it is asked for again
  return {
    list: maybe(ask('GET', 'sessions', { query: shelf(), quiet: true })),
    entries: named === null ? undefined : maybe(askEntries(named, {}, true)),
  };
}

/**
 * Events: `list` (the chats, or what is known of them, changed), `current` (another chat is shown), `status` (the
 * connection came or went), `me` (the person changed), `agents` (their own assistants are known).
 */
export class House extends EventTarget {
  /** @type {any[]} */ sessions = [];
  /** Whether the list was read. */
  listed = false;
  /** Whether there are more chats than are listed. */
  hasMore = false;
  /** @type {Set<string>} */ running = new Set();
  /** @type {Set<string>} */ unread = new Set();
  /** @type {{id: string, name: string, enabled: boolean}[]} */ agents = [];
  /** @type {Conversation} */ current;
  live = new Live();

  /** @type {Map<string, Conversation>} */ #open = new Map();
  /** @type {string | null} */ #cursor = null;
  #here = new AbortController();

  /** @param {any} me as `/api/me` gives it */
  constructor(me) {
    super();
    this.me = me;
    this.keep = new Keep(me.id);
    this.current = this.#fresh();
  }

  /** Begin: the list, the chat that was open, and the socket, all at once. @param {Early} [early] */
  start(early) {
    this.#here = new AbortController();
    const { signal } = this.#here;
    this.live.addEventListener('frame', (event) => this.#take(/** @type {CustomEvent} */ (event).detail), { signal });
    this.live.addEventListener('begin', () => this.#follow(), { signal });
    this.live.addEventListener('resync', () => this.#readAgain(), { signal });
    this.live.addEventListener('refused', () => this.#whoAmI(), { signal });
    this.live.addEventListener('status', () => this.#onStatus(), { signal });
    addEventListener('hashchange', () => this.#followAddress(), { signal });
    this.live.start();
    const named = addressed();
    if (named !== null) this.#show(this.#conversation({ sessionId: named }, early?.entries));
    void this.#list(undefined, early?.list).then(() => {
      void this.#readAgents();
      const untouched = this.current.state === 'new' && this.current.items().length === 0 && this.current.draft === '';
      if (named === null && untouched && this.sessions.length > 0) {
        this.open(this.sessions[0].sessionId, { replace: true });
      }
    });
  }

  stop() {
    this.#here.abort();
    this.live.stop();
  }

  // --- chats ----------------------------------------------------------------------------------------------------

  /** @param {string} sessionId @param {{replace?: boolean}} [options] */
  open(sessionId, { replace = false } = {}) {
    const session = this.sessions.find((one) => one.sessionId === sessionId) ?? { sessionId };
    setAddress(sessionId, replace);
    this.#show(this.#conversation(session));
  }

  /** Their own assistants, the main one first; others are somebody else's, or shared. */
  async #readAgents() {
    try {
      const { items } = await ask('GET', 'agents', { quiet: true });
      const own = items.filter((/** @type {any} */ agent) => agent.owner === this.me.id);
      this.agents = own.sort((/** @type {any} */ one) => (one.id === this.me.id ? -1 : 0));
      this.dispatchEvent(new Event('agents'));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  /** Who answers in a chat, where it is one of their friends; empty for their main assistant. @param {any} session */
  friendIn(session) {
    const { agentId } = session ?? {};
    if (agentId === undefined || agentId === this.me.id) return '';
    return this.agents.find((agent) => agent.id === agentId)?.name ?? '';
  }

  /** An empty chat; the server hears of it with the first message. */
  openNew() {
    void this.#readAgents();
    if (this.current.session !== null) {
      setAddress(null, false);
      this.#show(this.#fresh());
    } else this.dispatchEvent(new Event('current'));
  }

  async more() {
    if (this.#cursor !== null) await this.#list(this.#cursor);
  }

  #fresh() {
    // The first chat of all is the main one, which the person's other networks lead to as well.
    const conversation = new Conversation(null, this.keep, this.sessions.length === 0 ? { scope: 'global' } : {});
    this.#watch(conversation);
    conversation.addEventListener('opened', () => {
      this.#followed(conversation);
      this.#open.set(conversation.session.sessionId, conversation);
      this.#put(conversation.session);
      if (conversation === this.current) setAddress(conversation.session.sessionId, true);
    });
    return conversation;
  }

  /** @param {any} session @param {Promise<any>} [early] its newest page, when it was asked for already */
  #conversation(session, early) {
    let conversation = this.#open.get(session.sessionId);
    if (conversation === undefined) {
      conversation = new Conversation(session, this.keep);
      this.#watch(conversation);
      this.#followed(conversation);
      this.#open.set(session.sessionId, conversation);
      void conversation.load(early);
    } else if (conversation.state === 'failed') void conversation.load();
    return conversation;
  }

  /**
   * A chat that was read knows whether it is being answered, also where that began before the socket told of anything.
   * @param {Conversation} conversation
   */
  #watch(conversation) {
    conversation.addEventListener('change', () => {
      const { id, answering } = conversation;
      if (conversation.state !== 'ready' || answering === this.running.has(id)) return;
      this.#mark(() => (answering ? this.running.add(id) : this.running.delete(id)));
    });
  }

  /** @param {Conversation} conversation */
  #show(conversation) {
    this.current = conversation;
    this.unread.delete(conversation.id);
    this.dispatchEvent(new Event('current'));
    this.dispatchEvent(new Event('list'));
  }

  #followAddress() {
    const named = addressed();
    if (named !== null && named !== this.current.id) this.#show(this.#conversation(this.#known(named)));
    else if (named === null && this.current.session !== null) this.#show(this.#fresh());
  }

  /** @param {string} sessionId */
  #known(sessionId) {
    return this.sessions.find((one) => one.sessionId === sessionId) ?? { sessionId };
  }

  /** @param {string} [cursor] @param {Promise<any>} [early] */
  async #list(cursor, early) {
    try {
      const page = (await early) ?? (await ask('GET', 'sessions', { query: shelf(cursor) }));
      if (cursor === undefined) this.sessions = [];
      this.#cursor = page.nextCursor ?? null;
      this.hasMore = this.#cursor !== null;
      this.listed = true;
      for (const session of page.items) this.#put(session);
      this.dispatchEvent(new Event('list'));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  /** @param {any} session */
  #put(session) {
    this.sessions = [session, ...this.sessions.filter((one) => one.sessionId !== session.sessionId)];
    this.sessions.sort((one, other) => rank(other) - rank(one) || (one.updatedAt < other.updatedAt ? 1 : -1));
    const conversation = this.#open.get(session.sessionId);
    if (conversation !== undefined) conversation.session = session;
    this.dispatchEvent(new Event('list'));
  }

  // --- what comes in ----------------------------------------------------------------------------------------------

  /** @param {any} frame */
  #take(frame) {
    if (frame.type === 'notice') {
      this.current.takeNotice(frame);
      return;
    }
    const id = frame.sessionId;
    if (id === undefined) return;
    if (frame.type === 'session.updated') void this.#readSession(id);
    else if (frame.type === 'session.removed') this.#remove(id);
    else this.#open.get(id)?.take(frame);
    if (frame.type === 'turn.started') this.#mark(() => this.running.add(id));
    else if (frame.type === 'turn.finished') {
      this.#mark(() => {
        this.running.delete(id);
        if (id !== this.current.id) this.unread.add(id);
      });
      void this.#readSession(id);
    }
  }

  /** @param {() => void} change */
  #mark(change) {
    change();
    this.dispatchEvent(new Event('list'));
  }

  /** @param {string} id */
  async #readSession(id) {
    try {
      const session = await ask('GET', `sessions/${id}`);
      if (session.status === 'active' || session.status === 'pinned') this.#put(session);
      else this.#remove(id);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) this.#remove(id);
    }
  }

  /** @param {string} id */
  #remove(id) {
    this.sessions = this.sessions.filter((one) => one.sessionId !== id);
    this.running.delete(id);
    this.unread.delete(id);
    const conversation = this.#open.get(id);
    this.#open.delete(id);
    if (conversation !== undefined && conversation === this.current) void conversation.load();
    this.dispatchEvent(new Event('list'));
  }

  #follow() {
    for (const conversation of this.#open.values()) this.#followed(conversation);
  }

  /** @param {Conversation} conversation */
  #followed(conversation) {
    if (this.live.epoch !== null) conversation.follow(this.live.epoch, this.live.from);
  }

  /** Events were lost, or the server is another one: what is shown is read again, the rest when it is opened. */
  #readAgain() {
    this.running.clear();
    for (const [id, conversation] of this.#open) if (conversation !== this.current) this.#open.delete(id);
    void this.#list();
    void this.current.load();
  }

  #onStatus() {
    if (this.live.open) for (const conversation of [this.current, ...this.#open.values()]) conversation.connected();
    this.dispatchEvent(new Event('status'));
  }

  /** A socket that is not let in does not say why: asking who we are does. */
  async #whoAmI() {
    try {
      this.me = await ask('GET', 'me');
      this.dispatchEvent(new Event('me'));
      // It knows us and answers: only the socket does not get through. What happened is read the slow way.
      if (!this.live.open && this.current.busy) void this.current.load();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  // --- the person -------------------------------------------------------------------------------------------------

  /** @param {Record<string, unknown>} change */
  async changeMe(change) {
    this.me = await ask('PATCH', 'me', { body: change });
    this.dispatchEvent(new Event('me'));
  }

  /** Throws a `Problem` when the server cannot be reached: then one is still in. */
  async signOut() {
    this.stop(); // or the socket, which ends with it, would say that we were thrown out
    try {
      await ask('POST', 'logout', { quiet: true });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 401) {
        this.start();
        throw problem;
      }
    }
    Keep.clear();
    setAddress(null, true);
    login.dispatchEvent(new CustomEvent('loggedOut', { detail: 'asked' }));
  }
}

/** @param {any} session */
function rank(session) {
  return session.status === 'pinned' ? 1 : 0;
}

/** @param {string} [cursor] */
function shelf(cursor) {
  return { limit: SHELF, status: 'active', ...(cursor === undefined ? {} : { cursor }) };
}

/** The chat that the address names; it is no secret. */
function addressed() {
  return location.hash.startsWith(OPEN) ? decodeURIComponent(location.hash.slice(OPEN.length)) : null;
}

/** @param {string | null} sessionId @param {boolean} replace */
function setAddress(sessionId, replace) {
  const address = `${location.pathname}${sessionId === null ? '' : OPEN + encodeURIComponent(sessionId)}`;
  if (`${location.pathname}${location.hash}` === address) return;
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
}
