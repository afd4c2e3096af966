// One experiment as the page knows it. Documents are merged: rows by id, points by appending; nothing is computed twice.

const ANSWER_MS = 3000;

/** The parts of an experiment that a merge changed. */
export class Change {
  constructor(kinds = []) {
    this.kinds = new Set(kinds);
    this.trials = new Set();
  }

  has(...kinds) {
    return kinds.some(kind => this.kinds.has(kind)) || this.kinds.has("all");
  }

  add(other) {
    for (const kind of other.kinds) this.kinds.add(kind);
    for (const id of other.trials) this.trials.add(id);
  }
}

/** Trials, curves and events of one experiment up to a byte of its journal. */
export class ExperimentStore {
  constructor(experiment) {
    this.experiment = experiment;
    this.clear();
  }

  clear() {
    this.offset = 0;
    this.time = 0;
    this.wall = 0;
    this.trials = new Map();
    this.curves = new Map();
    this.best = [];
    this.runs = new Map();
    this.events = [];
    this.decisions = [];
    this.sampled = null;
    this.answers ??= new Map();
    this.totals = {n_trials: 0, n_running: 0, n_paused: 0, n_completed: 0, n_stopped: 0, n_failed: 0, n_results: 0, cost: null};
  }

  /** Add a delta that begins where the store ends; one that begins at 0 replaces everything. */
  merge(delta) {
    const change = new Change();
    if (delta.after === 0) {
      this.clear();
      change.kinds.add("all");
    }
    this.offset = delta.offset;
    this.time = delta.time ?? this.time;
    this.wall = delta.wall ?? this.wall;
    if (delta.sampled) this.sampled = delta.sampled;
    if (delta.totals) {
      this.totals = delta.totals;
      change.kinds.add("totals");
    }
    for (const trial of delta.trials ?? []) {
      this.trials.set(trial.id, trial);
      change.trials.add(trial.id);
      change.kinds.add("trials");
    }
    for (const [id, points] of Object.entries(delta.curves ?? {})) {
      this.append(Number(id), points);
      change.kinds.add("curves");
    }
    for (const [kind, key] of [
      ["best", null],
      ["events", null],
      ["decisions", null],
      ["runs", "id"],
    ]) {
      const rows = delta[kind] ?? [];
      if (!rows.length) continue;
      change.kinds.add(kind);
      if (key) for (const row of rows) this[kind].set(row[key], row);
      else this[kind].push(...rows);
    }
    for (const event of delta.events ?? []) this.settle(event.request, event);
    return change;
  }

  /** Wait for the event that answers a request; null if the tuner ended without one. */
  answer(request) {
    const known = this.events.find(event => event.request === request);
    return known ? Promise.resolve(known) : new Promise(resolve => this.answers.set(request, resolve));
  }

  settle(request, event) {
    this.answers.get(request)?.(event);
    this.answers.delete(request);
  }

  append(id, points) {
    const curve = this.curves.get(id);
    if (!curve) {
      this.curves.set(id, {resource: [...points.resource], time: [...(points.time ?? [])], values: {...points.values}});
      return;
    }
    const before = curve.resource.length;
    curve.resource.push(...points.resource);
    curve.time.push(...(points.time ?? []));
    for (const [metric, values] of Object.entries(points.values)) {
      const known = curve.values[metric] ?? new Array(before).fill(null);
      curve.values[metric] = known.concat(values);
    }
    for (const values of Object.values(curve.values)) while (values.length < curve.resource.length) values.push(null);
  }

  get hasResults() {
    return this.totals.n_results > 0;
  }

  /** Whether a tuner works on the experiment. */
  get isRunning() {
    return this.experiment.status === "running";
  }

  /** Status of a trial: one that a killed session left running is interrupted. */
  statusOf(trial) {
    return trial.status === "running" && !this.isRunning ? "interrupted" : trial.status;
  }

  /** The sentence in place of values: `text` while some may come, else why there are none. */
  nothingYet(text) {
    if (this.isRunning || this.hasResults) return text;
    const {n_trials: n, n_failed: failed} = this.totals;
    if (n && failed === n) return `No result: ${n === 1 ? "the only trial" : `all ${n.toLocaleString("en-US")} trials`} failed. Trials shows the errors.`;
    return "No result: the experiment ended before a trial reported one.";
  }

  get metric() {
    return this.experiment.metrics[0];
  }

  /** Compare values of a metric: negative if the first is better. */
  order(metric = this.metric) {
    const sign = metric?.goal?.startsWith("max") ? -1 : 1;
    return (a, b) => sign * (a - b);
  }

  /** Trials with a value, best first. */
  ranked() {
    const order = this.order();
    return [...this.trials.values()].filter(trial => typeof trial.best === "number").sort((a, b) => order(a.best, b.best));
  }

  /** Hyperparameters that vary. */
  tuned() {
    return (this.experiment.space ?? []).filter(dimension => dimension.type !== "constant");
  }
}

/** Path of an experiment's documents. */
export function experimentPath(tag, name) {
  return `api/e/${encodeURIComponent(tag)}/${encodeURIComponent(name)}`;
}

/** Keeps a store equal to the journal: everything at first, then deltas; a gap or a new journal begins again from what is known. */
export class ExperimentFollower {
  constructor(source, tag, name, {onchange, onstate, ongone}) {
    this.source = source;
    this.path = experimentPath(tag, name);
    this.onchange = onchange;
    this.onstate = onstate;
    this.ongone = ongone;
    this.store = null;
    this.isClosed = false;
    this.catchingUp = null;
    this.isBehind = false;
    this.reading = null;
  }

  /** Read the experiment; with its trials, or with a summary alone until `whole` is called. */
  async open(isWhole) {
    const rest = isWhole || this.source.isFrozen ? "since?after=0" : "summary";
    const [experiment, known] = await Promise.all([this.source.get(this.path), this.source.get(`${this.path}/${rest}`)]);
    this.store = new ExperimentStore(experiment);
    if (rest === "summary") Object.assign(this.store, known);
    else {
      this.store.merge(known);
      this.reading = Promise.resolve();
      this.follow();
    }
    return this.store;
  }

  /** Read the trials once; what fails comes by the stream. */
  whole() {
    if (this.isClosed) return Promise.resolve();
    return (this.reading ??= this.catchUp().then(() => this.follow()));
  }

  follow() {
    if (this.isClosed) return;
    this.stream = this.source.stream(
      `${this.path}/stream`,
      () => `after=${this.store.offset}`,
      {
        delta: delta => this.receive(delta),
        experiment: document => this.takeExperiment(document),
        reset: () => this.begin(),
        gone: () => {
          this.close();
          this.ongone();
        },
      },
      this.onstate,
    );
  }

  takeExperiment(document) {
    const change = new Change(["experiment"]);
    if (document.status !== this.store.experiment.status) change.kinds.add("status");
    this.store.experiment = document;
    this.onchange(change);
    if (!this.store.isRunning && this.store.answers.size) setTimeout(() => this.giveUpAnswers(), ANSWER_MS);
  }

  /** The tuner ended: requests that it did not take wait for the next one. */
  giveUpAnswers() {
    if (this.store.isRunning) return;
    for (const request of [...this.store.answers.keys()]) this.store.settle(request, null);
  }

  /** Apply a delta exactly once: one that is known already is dropped, one that overlaps or leaves a gap is asked for anew. */
  receive(delta) {
    if (delta.offset <= this.store.offset) return;
    if (this.catchingUp) this.isBehind = true;
    else if (delta.after === this.store.offset) this.onchange(this.store.merge(delta));
    else this.catchUp();
  }

  /** Read everything since the last byte that is known. */
  catchUp() {
    this.isBehind = false;
    this.catchingUp ??= this.source
      .get(`${this.path}/since?after=${this.store.offset}`)
      .then(delta => {
        if (delta.after !== this.store.offset || delta.offset <= delta.after) return;
        this.onchange(this.store.merge(delta));
      })
      .catch(error => {
        if (error.status === 409) this.begin();
      })
      .finally(() => {
        this.catchingUp = null;
        if (this.isBehind && !this.isClosed) this.catchUp();
      });
    return this.catchingUp;
  }

  /** Begin again: the journal was replaced. */
  begin() {
    this.store.clear();
    this.catchingUp = null;
    return this.catchUp();
  }

  close() {
    this.isClosed = true;
    this.stream?.close();
  }
}

/** Calls `draw` with all changes since the last call, at most once per interval, and not while the page is hidden. */
export class Redraw {
  constructor(draw, interval = 250) {
    this.draw = draw;
    this.interval = interval;
    this.pending = null;
    this.timer = null;
    this.last = 0;
    this.onvisible = () => {
      if (!document.hidden && this.pending) this.plan();
    };
    document.addEventListener("visibilitychange", this.onvisible);
  }

  request(change) {
    if (this.pending) this.pending.add(change);
    else {
      this.pending = new Change();
      this.pending.add(change);
    }
    this.plan();
  }

  plan() {
    if (this.timer || document.hidden) return;
    this.timer = setTimeout(
      () => {
        this.timer = null;
        const change = this.pending;
        this.pending = null;
        this.last = performance.now();
        if (change) this.draw(change);
      },
      Math.max(0, this.last + this.interval - performance.now()),
    );
  }

  close() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onvisible);
  }
}
