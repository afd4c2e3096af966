// Where documents come from: a server (live), or the page itself (frozen). Both have get, post and stream.

const RETRY_MS = 500,
  MOST_RETRY_MS = 10_000,
  HIDDEN_MS = 30_000,
  SILENCE_MS = 12_000, // the server sends something every five seconds
  PROBE_MS = 5000;

/** An answer that is no document: a sentence, and the status of HTTP (0: no answer). */
export class SourceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The source of this page. */
export function openSource() {
  const data = document.getElementById("data");
  return data ? frozenSource(JSON.parse(data.textContent)) : liveSource();
}

/** Documents of the server that served the page; all addresses are relative to it. */
function liveSource() {
  const token = new URLSearchParams(location.search).get("token");
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  async function request(path, options) {
    let response;
    try {
      response = await fetch(path, {...options, headers: {...headers, ...options.headers}});
    } catch {
      throw new SourceError("The server does not answer. Is tunewright dashboard still running?", 0);
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new SourceError(answer.error ?? `The server answered ${response.status}.`, response.status);
    return answer;
  }
  return {
    isFrozen: false,
    get: path => request(path, {}),
    post: (path, body) => request(path, {method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json"}}),
    stream: (path, position, handlers, onstate) =>
      openStream(path, position, handlers, onstate, headers, () =>
        request(path.replace(/\/stream$/, ""), {signal: AbortSignal.timeout(PROBE_MS)}),
      ),
  };
}

/**
 * Follow server-sent events. `position` returns the query parameter from which a new connection goes on, such as "after=17".
 * A connection that ends is opened again, unless `probe` finds that the server refuses this page, or that there is nothing to
 * follow any more (the handler "gone"); a page that is hidden for long gives its connection back.
 */
function openStream(path, position, handlers, onstate, headers, probe) {
  let connection = null,
    timer = null,
    isClosed = false,
    heardAt = 0,
    delay = RETRY_MS;
  const heard = () => {
    heardAt = Date.now();
  };
  const listening = Object.fromEntries(
    [["ping", () => {}], ...Object.entries(handlers)].map(([kind, handler]) => [
      kind,
      (...event) => {
        heard();
        handler(...event);
      },
    ]),
  );
  const connect = () => {
    timer = null;
    if (isClosed || connection || document.hidden) return;
    heard();
    const query = position(),
      address = query ? `${path}?${query}` : path;
    const opened = () => {
      delay = RETRY_MS;
      heard();
      onstate("live");
    };
    connection = headers.Authorization
      ? fetchStream(address, headers, listening, opened, lost)
      : eventStream(address, listening, opened, () => onstate("lost"), lost);
  };
  const lost = async () => {
    drop();
    onstate("lost");
    const status = await probe().then(
      () => 200,
      error => error.status,
    );
    if (status === 401) onstate("denied");
    else if (status === 404 && handlers.gone) handlers.gone();
    else if (!timer && !isClosed) timer = setTimeout(connect, (delay = Math.min(2 * delay, MOST_RETRY_MS)));
  };
  const drop = () => {
    connection?.close();
    connection = null;
  };
  // a computer that slept, a network that changed or a server that hangs leaves a connection that looks open
  const watch = setInterval(() => {
    if (connection && !document.hidden && Date.now() - heardAt > SILENCE_MS) lost();
  }, SILENCE_MS / 4);
  const onvisible = () => {
    clearTimeout(timer);
    timer = document.hidden
      ? setTimeout(() => {
          timer = null;
          drop();
        }, HIDDEN_MS)
      : null;
    if (document.hidden) return;
    heard();
    connect();
  };
  document.addEventListener("visibilitychange", onvisible);
  connect();
  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
      clearInterval(watch);
      drop();
      document.removeEventListener("visibilitychange", onvisible);
    },
  };
}

/** Events through EventSource, which opens a broken connection again by itself, except after an error of HTTP. */
function eventStream(address, handlers, onopen, onpause, onlost) {
  const source = new EventSource(address);
  source.onopen = onopen;
  source.onerror = () => (source.readyState === EventSource.CLOSED ? onlost() : onpause());
  for (const [kind, handler] of Object.entries(handlers))
    source.addEventListener(kind, event => handler(JSON.parse(event.data), event.lastEventId));
  return source;
}

/** Events through fetch, which can send the token as a header where cookies are blocked. */
function fetchStream(address, headers, handlers, onopen, onlost) {
  const abort = new AbortController();
  (async () => {
    const response = await fetch(address, {headers, signal: abort.signal});
    if (!response.ok) throw new Error(String(response.status));
    onopen();
    let rest = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const blocks = (rest + chunk.value.replaceAll("\r", "")).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) dispatchBlock(block, handlers);
    }
    throw new Error("the stream ended");
  })().catch(() => {
    if (!abort.signal.aborted) onlost();
  });
  return {close: () => abort.abort()};
}

/** Call the handler of one block of an event stream with its document and its id. */
function dispatchBlock(block, handlers) {
  let kind = "message",
    id = "";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("id:")) id = line.slice(3).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length) handlers[kind]?.(JSON.parse(data.join("\n")), id);
}

/** Documents in the page: `{paths: {"api/...": document}, start: "#/..."}`. */
function frozenSource(data) {
  return {
    isFrozen: true,
    start: data.start ?? "#/",
    async get(path) {
      const found = data.paths[path] ?? data.paths[decodeURIComponent(path)];
      if (found === undefined) throw new SourceError("This file does not hold that part. tunewright dashboard shows it.", 404);
      return found;
    },
    async post() {
      throw new SourceError("This page is a file: it cannot send requests.", 403);
    },
    stream: () => ({close() {}}),
  };
}
