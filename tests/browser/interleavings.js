// A server that is only a model of ours, whose frames and answers reach the page's own `Conversation` in a random
// order (frames among themselves stay in theirs). Whatever the order: what is shown never has a gap or a double,
// and in the end is what a page shows that comes only now.
async ({ module, keepModule, seeds }) => {
  const { Conversation } = await import(module);
  const { Keep } = await import(keepModule);
  const wrong = [];
  let shown = 0;
  for (let seed = 1; seed <= seeds && wrong.length < 5; seed += 1) {
    const problem = await play(seed);
    if (problem !== null) wrong.push(`seed ${seed}: ${problem}`);
  }
  return { wrong, shown };

  async function play(seed) {
    const random = randomFrom(seed);
    const server = { epoch: 1, seq: 0, entries: [], waiting: [], running: null, turns: 0, said: new Map(), lost: new Map(), count: 0 };
    const frames = [];
    const requests = [];
    const responses = [];
    window.fetch = (url) => new Promise((answer) => requests.push({ url: new URL(url), answer }));
    sessionStorage.clear();
    const conversation = new Conversation({ sessionId: 's' }, new Keep('alice'));
    conversation.follow('epoch 1', 0);
    void conversation.load();

    const emit = (type, fields) => frames.push({ type, seq: (server.seq += 1), sessionId: 's', ...fields });
    const id = () => `x${(server.count += 1)}`;
    const message = (turnId, role, content, more) =>
      server.entries.push({ type: 'message', id: id(), timestamp: new Date(server.count * 1000).toISOString(), turnId, role, content, ...more });
    const text = (words) => [{ type: 'text', text: words }];
    const actions = {
      accept: () => {
        if (server.turns >= 3) return;
        const turnId = `t${(server.turns += 1)}`;
        server.waiting.push({ turnId, text: `asked ${turnId}`, createdAt: new Date(0).toISOString() });
      },
      begin: () => {
        if (server.running !== null || server.waiting.length === 0) return;
        const turns = server.waiting.slice(0, 1 + Math.floor(random() * server.waiting.length));
        const turnIds = turns.map((one) => one.turnId);
        server.running = { turnId: turnIds[0], turnIds, step: 0, text: '', state: 'told', words: 0 };
        server.said.set(turnIds[0], '');
        emit('turn.started', { turnId: turnIds[0], turnIds });
      },
      write: () => {
        const { running } = server;
        if (running?.state !== 'told') return;
        running.state = 'asked';
        const asked = server.waiting.filter((one) => running.turnIds.includes(one.turnId));
        server.waiting = server.waiting.filter((one) => !running.turnIds.includes(one.turnId));
        message(running.turnId, 'user', text(asked.map((one) => one.text).join('\n')), { accepted: running.turnIds });
      },
      speak: () => {
        const { running } = server;
        if (running?.state !== 'asked') return;
        const word = `${running.turnId}w${(running.words += 1)} `;
        running.text += word;
        server.said.set(running.turnId, server.said.get(running.turnId) + word);
        emit('turn.delta', { turnId: running.turnId, step: running.step, text: word });
      },
      call: () => {
        const { running } = server;
        if (running?.state !== 'asked' || running.text === '' || running.step >= 2) return;
        const call = { type: 'toolCall', id: id(), name: 'time', arguments: {} };
        emit('turn.tool', { turnId: running.turnId, step: running.step, tool: 'time' });
        message(running.turnId, 'assistant', [...text(running.text), call], { stopReason: 'toolCalls' });
        message(running.turnId, 'toolResult', text('noon'), { toolCallId: call.id });
        running.called = true;
        running.state = 'called';
      },
      goOn: () => {
        const { running } = server;
        if (running?.state !== 'called') return;
        Object.assign(running, { state: 'asked', step: running.step + 1, text: '' });
        actions.speak();
      },
      line: () => {
        const { running } = server;
        if (running?.state !== 'asked' || running.text !== '') return;
        running.place = running.place ? null : 1 + Math.floor(random() * 3);
        emit('turn.waiting', { turnId: running.turnId, position: running.place });
      },
      // What waits is in the transcript before the frame says so, and before the next step.
      join: () => {
        const { running } = server;
        const [one] = server.waiting;
        if (running?.state !== 'called' || one === undefined || random() < 0.5) return;
        server.waiting.shift();
        message(running.turnId, 'user', text(one.text), { accepted: [one.turnId] });
        running.turnIds = [...running.turnIds, one.turnId];
        emit('turn.joined', { turnId: running.turnId, turnIds: running.turnIds });
      },
      finish: () => {
        const { running } = server;
        if (running?.state !== 'asked' || running.text === '') return;
        message(running.turnId, 'assistant', text(running.text), { stopReason: 'stop' });
        running.state = 'written';
      },
      end: () => {
        const { running } = server;
        if (running?.state !== 'written') return;
        server.running = null;
        const { turnId, turnIds, step } = running;
        emit('turn.finished', { turnId, turnIds, status: 'done', reply: running.text, error: null, step });
      },
      // A crash takes what streams and was not written; the next life goes on after what was, counting from 0 again.
      crash: () => {
        if (random() < 0.97) return;
        frames.length = 0;
        requests.splice(0).forEach(({ answer }) => answer(Promise.reject(new TypeError('gone'))));
        responses.splice(0).forEach(({ answer }) => answer(Promise.reject(new TypeError('gone'))));
        Object.assign(server, { epoch: server.epoch + 1, seq: 0 });
        conversation.follow(`epoch ${server.epoch}`, 0);
        void conversation.load();
        const { running } = server;
        if (running === null) return;
        const kept = server.entries.filter((one) => one.turnId === running.turnId && one.role === 'assistant');
        const words = kept.map((one) => one.content[0].text).join('');
        server.lost.set(running.turnId, server.said.get(running.turnId)); // shown until the next life is heard of
        server.said.set(running.turnId, words);
        const state = { called: 'asked' }[running.state] ?? running.state;
        Object.assign(running, { step: 0, text: '', state });
        if (state !== 'written') emit('turn.started', { turnId: running.turnId, turnIds: running.turnIds });
      },
      hear: () => {
        const frame = frames.shift();
        if (frame !== undefined) conversation.take(frame);
      },
      look: () => {
        const request = requests.shift();
        if (request === undefined) return;
        responses.push({ ...request, body: JSON.stringify(answerTo(request.url)) });
      },
      answer: () => {
        const [response] = responses.splice(Math.floor(random() * responses.length), 1);
        response?.answer(new Response(response.body, { headers: { 'content-type': 'application/json' } }));
      },
    };

    function answerTo(url) {
      const turn = /turns\/(\w+)/.exec(url.pathname);
      if (turn !== null) return { turnId: turn[1], finishedAt: null };
      const { running } = server;
      const shown = running === null ? null : { turnId: running.turnId, turnIds: running.turnIds, step: running.step, text: running.text, blocks: null, queuePosition: running.place ?? null };
      return { items: server.entries, nextCursor: null, epoch: `epoch ${server.epoch}`, seq: server.seq, running: shown, waiting: server.waiting };
    }

    const names = Object.keys(actions);
    const quiet = () => !busy() && frames.length === 0 && requests.length === 0 && responses.length === 0;
    const busy = () => server.turns < 3 || server.waiting.length > 0 || server.running !== null;
    for (let step = 0; step < 4000; step += 1) {
      if (quiet()) {
        for (let pause = 0; pause < 10; pause += 1) await turns(8); // an answer is read in several of them
        if (quiet()) break;
      }
      actions[names[Math.floor(random() * names.length)]]();
      await turns(8);
      const problem = gapOrDouble(conversation, server);
      if (problem !== null) return problem;
      shown += 1;
    }
    if (busy() || frames.length > 0) return 'it did not come to an end';

    const fresh = new Conversation({ sessionId: 's' }, new Keep('alice'));
    const loading = fresh.load();
    await turns(8);
    while (requests.length > 0) {
      actions.look();
      actions.answer();
      await turns(8);
    }
    await loading;
    const [here, there] = [conversation, fresh].map((one) => JSON.stringify(one.items()));
    if (here !== there) return `in the end ${here} instead of ${there}`;
    const words = (of) => of.filter((part) => part.type === 'text').map((part) => part.text).join('');
    const written = server.entries.filter((one) => one.role !== 'toolResult').map((one) => words(one.content));
    const read = conversation.items().flatMap((item) => (item.kind === 'user' ? [item.text] : item.parts.filter((part) => part.kind === 'text').map((part) => part.text)));
    return read.join('|') === written.join('|') ? null : `read as ${read}, and written as ${written}`;
  }

  /** What is wrong with what is shown now; null when nothing is. */
  function gapOrDouble(conversation, server) {
    const items = conversation.items();
    const keys = items.flatMap((item) => [item.key, ...(item.parts ?? []).map((part) => part.key)]);
    if (new Set(keys).size !== keys.length) return `a key twice: ${keys}`;
    const turnIds = new Set(items.filter((item) => item.kind === 'reply').map((item) => item.turnId));
    for (const turnId of turnIds) {
      const parts = items.filter((item) => item.kind === 'reply' && item.turnId === turnId).flatMap((item) => item.parts);
      const words = parts.filter((part) => part.kind === 'text').map((part) => part.text).join('');
      const said = server.said.get(turnId) ?? '';
      const lost = server.lost.get(turnId) ?? '';
      if (!said.startsWith(words) && !lost.startsWith(words)) return `“${words}” of “${said}”`;
    }
    return null;
  }

  async function turns(count) {
    for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
    await new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done(port1.close());
      port2.postMessage(0);
    });
  }

  function randomFrom(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }
};
