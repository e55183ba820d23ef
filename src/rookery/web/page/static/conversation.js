// @ts-check
/**
 * One chat as this tab knows it: what is in its transcript, what is being answered, and what we say.
 *
 * The transcript is the truth. What streams in is shown beside it until the transcript has it, so that a reload, a
 * second tab and a new connection show the same.
 */

import { ask, newKey, Problem } from './api.js';

const PAGE = 50;
const RETRY = 3_000;

/**
 * @typedef {object} Outgoing something we say that the transcript does not have yet
 * @property {string} key its Idempotency-Key
 * @property {string} text
 * @property {number} at
 * @property {'sending' | 'unsent' | 'queued' | 'failed'} state
 * @property {string} [turnId] once it is accepted
 * @property {string} [reason] why it failed, null when it was stopped
 */
/** @typedef {{html: string, more: string}} Block rendered HTML, and text that came since for the code still open in it */
/** @typedef {{kind: 'text', key: string, text: string, html: string | null, blocks: Block[] | null}} TextPart */
/** @typedef {{kind: 'tool', key: string, name: string, state: 'running'|'waiting'|'done'|'failed'|'unknown'|'denied'|'expired', input: string, output: string}} ToolPart */
/** @typedef {{kind: 'user', key: string, turnId: string | null, at: Date, text: string, images: number, sender: string | null, outgoing: Outgoing | null}} UserItem */
/** @typedef {{turnId: string, n: number, words: string, until: Date}} Asks a call that waits for our yes, and how long */
/** @typedef {{state: 'allowed'|'denied'|'expired', step: number}} Word what became of the last of them, and in which step */
/** @typedef {{kind: 'reply', key: string, turnId: string, at: Date | null, parts: (TextPart | ToolPart)[], state: string, error: string | null, place: number | null, asks: Asks | null}} ReplyItem */
/** @typedef {{kind: 'aside', key: string, at: Date, text: string, from: string | null}} AsideItem */
/** @typedef {UserItem | ReplyItem | AsideItem} Item */
/** @typedef {{text: string, blocks: Block[] | null, tools: string[]}} LiveStep */
/** @typedef {{turnId: string, turnIds: string[], offset: number, steps: Map<number, LiveStep>, over: boolean, place: number | null, asks: Asks | null, word: Word | null}} Running */

/**
 * Events: `change` (look at it again), `opened` (the server made the session: `session` is set), `said` (detail: the
 * text of a reply that just ended), `answered` (detail: what became of a call that waited for our yes), `sent` (we just
 * said something).
 */
export class Conversation extends EventTarget {
  /** @type {any} */ session;
  /** @type {'new' | 'loading' | 'ready' | 'failed' | 'gone'} */ state;
  /** Whether there is more before what is shown. */
  hasOlder = false;

  /** @type {any[]} */ #entries = [];
  /** @type {string | null} */ #olderCursor = null;
  /** @type {Running | null} */ #running = null;
  /** @type {Outgoing[]} */ #outgoing = [];
  /** @type {{item: AsideItem | UserItem, after: string | null}[]} */ #asides = [];
  /** Turns that ended while we looked, with the number of the event that said so. */
  #ended = /** @type {Map<string, number>} */ (new Map());
  /** What the server has accepted and not begun to answer; what other tabs and networks said is among it. */
  #waiting = /** @type {{turnId: string, text: string, createdAt: string}[]} */ ([]);
  /** Where the state stood that was read. */
  #position = { epoch: '', seq: 0 };
  /** The socket tells of everything after this: a state that is older has a gap behind it. */
  #floor = { epoch: '', seq: 0 };
  #reading = false;
  #readAgain = false;
  /** Frames that came while the state is being read: those that are younger than it are applied to it as well. */
  #meanwhile = /** @type {any[]} */ ([]);
  #draining = false;
  /** The message that is being handed in: until it is, nobody can tell which of the server's it is. */
  #delivering = /** @type {Promise<void> | null} */ (null);
  #timer = 0;
  #keep;
  #opening;
  /** @type {string | null} */ #chosen = null;

  /**
   * @param {any} session as `/api/sessions` gives it; null for one that the first message will open
   * @param {import('./keep.js').Keep} keep
   * @param {object} [opening] what `POST /api/sessions/create` is asked with for that
   */
  constructor(session, keep, opening = {}) {
    super();
    this.session = session;
    this.state = session === null ? 'new' : 'loading';
    this.#keep = keep;
    this.#opening = opening;
    this.#outgoing = keep.get(`outgoing.${this.id}`) ?? [];
  }

  /** Who is to answer in a chat that is not begun yet; null for one's main assistant. @param {string | null} agentId */
  choose(agentId) {
    if (this.state === 'new') this.#chosen = agentId;
  }

  /** Who was chosen; null for one's main assistant. */
  get chosen() {
    return this.#chosen;
  }

  /** What drafts are kept under. */
  get id() {
    return this.session?.sessionId ?? 'new';
  }

  get draft() {
    return this.#keep.get(`draft.${this.id}`) ?? '';
  }

  set draft(text) {
    this.#keep.set(`draft.${this.id}`, text);
  }

  /** Whether something is being answered right now. */
  get answering() {
    return this.#running !== null && !this.#running.over;
  }

  /** Whether something is answered, or waits to be. */
  get busy() {
    if (this.answering) return true;
    return this.#waiting.length > 0 || this.#outgoing.some((one) => one.state === 'queued');
  }

  /** What we said last, to be said again. */
  get lastSaid() {
    const said = this.items().filter((item) => item.kind === 'user');
    return /** @type {UserItem | undefined} */ (said.at(-1))?.text ?? '';
  }

  // --- reading --------------------------------------------------------------------------------------------------

  /**
   * Read the state again: the newest page, what waits and what runs, all of one moment. What came after that moment
   * is applied to it, so that nothing is missed and nothing seen twice.
   * @param {Promise<any>} [early] the answer, when it was asked for already
   */
  async load(early) {
    if (this.session === null) return;
    this.#readAgain = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#readAgain) {
        this.#readAgain = false;
        this.#meanwhile = [];
        let page = (await early) ?? (await this.#page());
        early = undefined;
        if (this.#hasGap(page)) page = await this.#page();
        if (this.#delivering !== null) await Promise.race([this.#delivering, soon()]);
        this.#adopt(page);
        this.#change();
      }
      void this.#askAfter();
      void this.#drain();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) this.state = 'gone';
      else if (this.state !== 'ready') this.state = 'failed';
      // Otherwise the socket is lost as well, and with the next one everything is read.
      this.#change();
    } finally {
      this.#reading = false;
      this.#meanwhile = [];
      // Somebody asked while this reading, which failed, was still under way: the server may be back by now.
      if (this.#readAgain) void this.load();
    }
  }

  /** @param {any} page */
  #adopt(page) {
    const newest = messages(page.items);
    const from = this.#entries.findIndex((entry) => entry.id === newest[0]?.id);
    if (from === -1) this.#older(page); // nothing of what is here goes on into the page
    this.#entries = from === -1 ? newest : [...this.#entries.slice(0, from), ...newest];
    this.#waiting = page.waiting;
    this.#position = { epoch: page.epoch, seq: page.seq };
    this.#join(page.running);
    this.state = 'ready';
    for (const frame of this.#meanwhile.filter(({ seq }) => seq > page.seq)) {
      this.#apply(frame);
      this.#readAgain ||= this.#asksForReading(frame);
    }
    this.#settle();
  }

  /** The socket tells of everything after this, and of nothing before. @param {string} epoch @param {number} seq */
  follow(epoch, seq) {
    this.#floor = { epoch, seq };
    if (this.state === 'ready' && this.#hasGap(this.#position)) void this.load();
  }

  /** @param {{epoch: string, seq: number}} state */
  #hasGap({ epoch, seq }) {
    return epoch === this.#floor.epoch && seq < this.#floor.seq;
  }

  async loadOlder() {
    if (this.#olderCursor === null) return;
    const page = await this.#page({ before: this.#olderCursor });
    const known = new Set(this.#entries.map((entry) => entry.id));
    this.#entries = [...messages(page.items).filter((entry) => !known.has(entry.id)), ...this.#entries];
    this.#older(page);
    this.#change();
  }

  /** @param {Record<string, string>} [query] */
  #page(query = {}) {
    return askEntries(this.session.sessionId, query);
  }

  /** @param {{nextCursor?: string | null}} page */
  #older(page) {
    this.#olderCursor = page.nextCursor ?? null;
    this.hasOlder = this.#olderCursor !== null;
  }

  // --- following ------------------------------------------------------------------------------------------------

  /** @param {any} frame an event of this session */
  take(frame) {
    if (this.#position.epoch === this.#floor.epoch && frame.seq <= this.#position.seq) return; // it is in the state
    if (this.#reading) this.#meanwhile.push(frame);
    if (this.state !== 'ready') return;
    if (this.#position.epoch !== this.#floor.epoch) {
      void this.load(); // the server is another one than the state is of: nothing can be added to that
      return;
    }
    this.#apply(frame);
    if (frame.type === 'turn.finished') {
      for (const turnId of frame.turnIds) this.#ended.set(turnId, frame.seq);
      if (frame.reply) this.dispatchEvent(new CustomEvent('said', { detail: frame.reply }));
    }
    if (frame.type === 'turn.approval' && frame.state !== 'asked') {
      this.dispatchEvent(new CustomEvent('answered', { detail: frame.state }));
    }
    if (this.#asksForReading(frame)) void this.load();
    this.#change();
  }

  /** @param {any} frame */
  #apply(frame) {
    if (frame.type === 'turn.started') {
      const { turnId, turnIds } = frame;
      this.#running = { turnId, turnIds, offset: this.#stepsOf(turnId).length, steps: new Map(), over: false, place: null, asks: null, word: null };
      return;
    }
    const running = this.#running;
    if (running === null || running.turnId !== frame.turnId || frame.type === 'turn.joined') return;
    if (frame.type === 'turn.waiting') {
      running.place = frame.position;
      return;
    }
    if (frame.type === 'turn.approval') {
      const asked = frame.state === 'asked';
      running.asks = asked ? asksOf(frame.turnId, frame) : null;
      running.word = asked ? null : { state: frame.state, step: latest(running) };
      return;
    }
    if (frame.step === undefined) return; // it says nothing of the text
    const step = stepOf(running, frame.step);
    if (frame.type === 'turn.tool') step.tools.push(frame.tool);
    else if (frame.type === 'turn.delta') {
      step.text += frame.text;
      if (frame.patch) step.blocks = patched(step.blocks ?? [], frame.patch);
    } else if (frame.type === 'turn.finished') {
      running.over = true;
      if (frame.status === 'done' && frame.patch) step.blocks = patched(step.blocks ?? [], frame.patch);
    }
  }

  /** Whether the state has something after a frame that no frame brings: the words of the transcript. @param {any} frame */
  #asksForReading(frame) {
    if (['turn.started', 'turn.joined', 'turn.finished'].includes(frame.type)) return true;
    if (frame.type === 'turn.approval' && frame.state === 'asked') return true; // with what the call would be made
    if (this.#running?.turnId !== frame.turnId) return true;
    const known = new Set(this.#entries.flatMap((entry) => entry.accepted ?? []));
    const waiting = [...this.#outgoing, ...this.#waiting].map(({ turnId }) => turnId);
    return !this.#running.turnIds.every((id) => known.has(id) || waiting.includes(id));
  }

  /** A word of the gateway's own, such as what a command says. @param {any} notice */
  takeNotice(notice) {
    if (this.#asides.some(({ item }) => item.key === `aside:${notice.turnId}`)) return;
    this.#aside({
      kind: 'aside',
      key: `aside:${notice.turnId}`,
      at: new Date(),
      text: notice.text,
      from: notice.from?.name ?? null,
    });
    this.#change();
  }

  /** The connection is back: what could not be sent goes out. */
  connected() {
    void this.#drain();
  }

  /** @param {any} running what the server says is being answered right now */
  #join(running) {
    if (!running || typeof running !== 'object') {
      this.#running = null;
      return;
    }
    const steps = this.#stepsOf(running.turnId);
    const { step = 0, text = '', blocks = null } = running;
    const kept = text !== '' && steps.length > 0 && textOf(steps[steps.length - 1]) === text;
    this.#running = {
      turnId: running.turnId,
      turnIds: running.turnIds,
      offset: steps.length - (kept ? 1 : 0) - step,
      steps: new Map([[step, { text, blocks: blocksOf(blocks), tools: [] }]]),
      over: false,
      place: running.queuePosition ?? null,
      asks: running.approval ? asksOf(running.turnId, running.approval) : null,
      word: null,
    };
  }

  /** The assistant's entries of a turn. @param {string} turnId @returns {any[]} */
  #stepsOf(turnId) {
    return this.#entries.filter((entry) => entry.turnId === turnId && entry.role === 'assistant');
  }

  /** Forget what the transcript has by now. */
  #settle() {
    const known = new Set(this.#entries.flatMap((entry) => entry.accepted ?? []));
    this.#outgoing = this.#outgoing.filter((one) => one.turnId === undefined || !known.has(one.turnId));
    for (const one of this.#outgoing) {
      if (this.#isOver(one.turnId)) Object.assign(one, { state: 'failed', reason: '' });
    }
    this.#keepOutgoing();
  }

  /** Whether a turn had ended at the moment of our state. @param {string | undefined} turnId */
  #isOver(turnId) {
    const seq = turnId === undefined ? undefined : this.#ended.get(turnId);
    return seq !== undefined && seq <= this.#position.seq;
  }

  /** What was accepted before a reload may be over by now without having come to the transcript. */
  async #askAfter() {
    const waiting = new Set(this.#waiting.map(({ turnId }) => turnId));
    for (const one of this.#outgoing.filter(({ state, turnId }) => state === 'queued' && !waiting.has(turnId ?? ''))) {
      try {
        const turn = await ask('GET', `turns/${one.turnId}`);
        if (turn.finishedAt) this.#ended.set(turn.turnId, 0);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.status === 404) this.#ended.set(/** @type {string} */ (one.turnId), 0);
      }
      if (this.#ended.has(one.turnId ?? '')) void this.load();
    }
  }

  // --- saying ---------------------------------------------------------------------------------------------------

  /** Say something. It is kept until the server has it, whatever happens to the connection. @param {string} text */
  send(text) {
    this.#outgoing.push({ key: newKey(), text, at: Date.now(), state: 'sending' });
    this.#keepOutgoing();
    this.dispatchEvent(new Event('sent'));
    this.#change();
    void this.#drain();
  }

  /** @param {string} key */
  again(key) {
    const one = this.#outgoing.find((outgoing) => outgoing.key === key);
    if (one === undefined) return;
    // Its turn is over, or was never: under the old key nothing would happen.
    Object.assign(one, { key: newKey(), turnId: undefined, state: 'sending' });
    this.#change();
    void this.#drain();
  }

  /** @param {string} key */
  discard(key) {
    this.#outgoing = this.#outgoing.filter((one) => one.key !== key);
    this.#keepOutgoing();
    this.#change();
  }

  /** Stop what is answered, and what waits. */
  async stop() {
    if (this.session === null) return;
    try {
      await ask('POST', `sessions/${this.session.sessionId}/stop`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  /**
   * Allow the call that a turn of ours waits with, or not; whether that was heard.
   * @param {Asks} asks @param {boolean} allow
   */
  async answer(asks, allow) {
    try {
      await ask('POST', `turns/${asks.turnId}/approvals/${asks.n}`, { body: { allow } });
      return true;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      void this.load(); // it was answered elsewhere, or too late: what holds is in the state
      return false;
    }
  }

  /** Send what waits, one after the other, in the order it was written. */
  async #drain() {
    if (this.#draining) return;
    this.#draining = true;
    clearTimeout(this.#timer);
    try {
      for (let next = this.#next(); next !== undefined; next = this.#next()) {
        next.state = 'sending';
        this.#change();
        this.#delivering = this.#deliver(next);
        await this.#delivering;
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      for (const one of this.#outgoing) if (one.state === 'sending') one.state = 'unsent';
      this.#timer = setTimeout(() => this.#drain(), (problem.retryAfter ?? 0) * 1000 || RETRY);
    } finally {
      this.#delivering = null;
      this.#draining = false;
      this.#keepOutgoing();
      this.#change();
    }
  }

  #next() {
    return this.#outgoing.find(({ state }) => state === 'sending' || state === 'unsent');
  }

  /** @param {Outgoing} one Throws a `Problem` when trying again later may help. */
  async #deliver(one) {
    try {
      if (this.session === null) await this.#open(one);
      const turn = await ask('POST', `sessions/${this.session.sessionId}/messages`, {
        body: { text: one.text },
        key: one.key,
      });
      one.turnId = turn.turnId;
      one.state = 'queued';
      if (turn.finishedAt && turn.reply && one.text.startsWith('/')) this.#answered(one, turn);
      else this.#settle();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.passing || problem.status === 401 || problem.status === 429) throw problem;
      one.state = 'failed';
      one.reason = problem.message;
    }
  }

  /** @param {Outgoing} first */
  async #open(first) {
    const title = titleFor(first.text);
    const asked = this.#chosen === null ? this.#opening : { agentId: this.#chosen };
    const body = title === null ? asked : { title, ...asked };
    const draft = this.draft;
    const session = await ask('POST', 'sessions/create', { body, key: `open.${first.key}` });
    this.draft = '';
    this.#keep.set('outgoing.new', null);
    this.session = session;
    this.draft = draft;
    this.state = 'ready';
    this.#keepOutgoing();
    this.dispatchEvent(new Event('opened'));
    void this.load();
  }

  /** A command was answered at once, and is no part of the transcript. @param {Outgoing} one @param {any} turn */
  #answered(one, turn) {
    this.#outgoing = this.#outgoing.filter((other) => other !== one);
    this.#aside({
      kind: 'user',
      key: `said:${turn.turnId}`,
      turnId: null,
      at: new Date(one.at),
      text: one.text,
      images: 0,
      sender: null,
      outgoing: null,
    });
    this.takeNotice({ turnId: turn.turnId, text: turn.reply });
  }

  /** @param {AsideItem | UserItem} item */
  #aside(item) {
    this.#asides.push({ item, after: this.#entries.at(-1)?.id ?? null });
  }

  #keepOutgoing() {
    this.#keep.set(`outgoing.${this.id}`, this.#outgoing);
  }

  #change() {
    this.dispatchEvent(new Event('change'));
  }

  // --- showing --------------------------------------------------------------------------------------------------

  /** Everything there is to show, in order. @returns {Item[]} */
  items() {
    /** @type {Item[]} */ const items = [];
    /** @type {Map<string | null, Item[]>} */ const asides = new Map();
    for (const { item, after } of this.#asides) asides.set(after, [...(asides.get(after) ?? []), item]);
    items.push(...(asides.get(null) ?? []));
    for (const entry of this.#entries) {
      this.#showEntry(entry, items);
      items.push(...(asides.get(entry.id) ?? []));
    }
    const running = this.#running;
    const said = this.#saidLately();
    const asked = (/** @type {Outgoing} */ one) => running?.turnIds.includes(one.turnId ?? '') ?? false;
    items.push(...said.filter(asked).map((one) => outgoingItem(one, true)));
    if (running !== null) this.#showRunning(running, items);
    items.push(...said.filter((one) => !asked(one)).map((one) => outgoingItem(one, false)));
    return items;
  }

  /** What is said and not in the transcript: accepted by the server, in its order, then what is on its way. */
  #saidLately() {
    /** @type {Outgoing[]} */ const said = this.#waiting.map(({ turnId, text, createdAt }) => {
      const ours = this.#outgoing.find((one) => one.turnId === turnId);
      return ours ?? { key: turnId, text, at: Date.parse(createdAt), state: 'queued', turnId };
    });
    return [...said, ...this.#outgoing.filter((one) => !said.includes(one))];
  }

  /** @param {any} entry @param {Item[]} items */
  #showEntry(entry, items) {
    if (entry.role === 'user') {
      items.push({
        kind: 'user',
        key: entry.id,
        turnId: entry.turnId ?? null,
        at: new Date(entry.timestamp),
        text: textOf(entry),
        images: entry.content.filter((/** @type {any} */ part) => part.type === 'image').length,
        sender: entry.sender?.name ?? entry.sender?.id ?? null,
        outgoing: null,
      });
      return;
    }
    const reply = replyOf(items, entry.turnId ?? entry.id);
    if (entry.role === 'assistant') {
      reply.at = new Date(entry.timestamp);
      const number = reply.parts.filter((part) => part.kind === 'text').length;
      const text = textOf(entry);
      if (text !== '') {
        const key = `${reply.key.slice(REPLY.length)}.${number}`;
        reply.parts.push({ kind: 'text', key, text, html: entry.html ?? null, blocks: null });
      }
      for (const call of entry.content.filter((/** @type {any} */ part) => part.type === 'toolCall')) {
        const input = JSON.stringify(call.arguments, null, 2);
        reply.parts.push({ kind: 'tool', key: call.id, name: call.name, state: 'running', input, output: '' });
      }
      reply.state = entry.stopReason ?? 'stop';
      reply.error = entry.error ?? null;
    } else if (entry.role === 'toolResult') {
      const call = reply.parts.find((part) => part.key === entry.toolCallId);
      if (call?.kind === 'tool') {
        call.state = entry.outcomeUnknown ? 'unknown' : entry.isError ? (UNMADE[entry.errorKind] ?? 'failed') : 'done';
        call.output = textOf(entry);
      }
    }
  }

  /** @param {Running} running @param {Item[]} items */
  #showRunning(running, items) {
    const reply = replyOf(items, running.turnId);
    const kept = this.#stepsOf(running.turnId).length;
    if (!running.over) reply.state = 'running';
    if (!running.over) reply.place = running.place;
    if (!running.over) reply.asks = running.asks;
    for (const [number, step] of [...running.steps].sort(([one], [other]) => one - other)) {
      if (number + running.offset < kept) continue; // the transcript has it
      const texts = reply.parts.filter((part) => part.kind === 'text').length;
      if (step.text !== '') {
        const key = `${reply.key.slice(REPLY.length)}.${texts}`;
        reply.parts.push({ kind: 'text', key, text: step.text, html: null, blocks: step.blocks });
      }
      step.tools.forEach((name, index) => {
        const key = `live:${number}.${index}`;
        reply.parts.push({ kind: 'tool', key, name, state: 'running', input: '', output: '' });
      });
    }
    const begun = reply.parts.filter((part) => part.kind === 'tool' && part.state === 'running');
    const { asks, word } = running;
    if (asks !== null) for (const part of begun) /** @type {ToolPart} */ (part).state = 'waiting';
    else if (begun.length === 1 && word !== null && word.state !== 'allowed' && word.step === latest(running)) {
      /** @type {ToolPart} */ (begun[0]).state = word.state;
    }
  }
}

/** How a call is shown that was not made, by the transcript's word for why. @type {Record<string, 'denied' | 'expired'>} */
const UNMADE = { denied: 'denied', expired: 'expired', nobody_to_ask: 'denied', no_longer_allowed: 'denied' };

/**
 * A page of a session's entries with their HTML, and what goes on there, as it is at one moment.
 * @param {string} sessionId
 * @param {Record<string, string>} [query]
 * @param {boolean} [quiet]
 */
export function askEntries(sessionId, query = {}, quiet = false) {
  const path = `sessions/${encodeURIComponent(sessionId)}/entries`;
  return ask('GET', path, { query: { limit: PAGE, render: 'html', ...query }, quiet });
}

/** @param {string} turnId @param {any} approval @returns {Asks} */
function asksOf(turnId, { n, words, expiresAt }) {
  return { turnId, n, words, until: new Date(expiresAt) };
}

/** The number of the step that a turn is at. @param {Running} running */
function latest(running) {
  return Math.max(0, ...running.steps.keys());
}

/** @param {Running} running @param {number} number @returns {LiveStep} */
function stepOf(running, number) {
  let step = running.steps.get(number);
  if (step === undefined) {
    step = { text: '', blocks: null, tools: [] };
    running.steps.set(number, step);
  }
  return step;
}

/** @param {string[] | null | undefined} htmls @returns {Block[] | null} */
function blocksOf(htmls) {
  return htmls ? htmls.map((html) => ({ html, more: '' })) : null;
}

/**
 * What a list of blocks becomes by the server's patches; a block that no patch names stays the same object.
 * @param {Block[]} blocks
 * @param {[number, string | null, string?][]} patches
 * @returns {Block[]}
 */
export function patched(blocks, patches) {
  const next = [...blocks];
  for (const [index, html, text] of patches) {
    if (html === null) next[index] = { html: next[index].html, more: next[index].more + text };
    else if (html === '') next.length = Math.min(next.length, index);
    else next[index] = { html, more: '' };
  }
  return next;
}

/** @param {any[]} items @returns {any[]} the messages among them, oldest first */
function messages(items) {
  const found = items.filter((item) => item.type === 'message');
  return found.length > 1 && found[0].timestamp > found[found.length - 1].timestamp ? found.reverse() : found;
}

/** How long the state waits for a message to be handed in. */
function soon() {
  return new Promise((done) => setTimeout(done, 1_000));
}

/** @param {any} entry */
function textOf(entry) {
  const parts = entry.content.filter((/** @type {any} */ part) => part.type === 'text');
  return parts.map((/** @type {any} */ part) => part.text).join('\n\n');
}

const REPLY = 'reply:';

/**
 * Where what a turn says goes on: in its reply, or in a further one behind a message that joined it.
 * @param {Item[]} items @param {string} turnId @returns {ReplyItem}
 */
function replyOf(items, turnId) {
  const of = items.filter((item) => item.kind !== 'aside' && item.turnId === turnId);
  const last = of.at(-1);
  if (last?.kind === 'reply') return last;
  const before = of.filter((item) => item.kind === 'reply').length;
  const key = `${REPLY}${turnId}${before === 0 ? '' : `:${before}`}`;
  /** @type {ReplyItem} */
  const made = { kind: 'reply', key, turnId, at: null, parts: [], state: 'stop', error: null, place: null, asks: null };
  items.push(made);
  return made;
}

/** @param {Outgoing} one @param {boolean} heard @returns {UserItem} */
function outgoingItem(one, heard) {
  return {
    kind: 'user',
    key: one.key,
    turnId: null,
    at: new Date(one.at),
    text: one.text,
    images: 0,
    sender: null,
    outgoing: heard ? null : one,
  };
}

const TITLE = 48;

/** The first words of a chat, as its title; null for a command. @param {string} text */
function titleFor(text) {
  if (text.startsWith('/')) return null;
  const line = text.trim().split('\n', 1)[0].replace(/\s+/g, ' ');
  if (line.length <= TITLE) return line || null;
  const cut = line.slice(0, TITLE);
  return `${cut.slice(0, cut.lastIndexOf(' ') > TITLE / 2 ? cut.lastIndexOf(' ') : TITLE)}…`;
}
