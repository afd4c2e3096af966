// One trial: values, configuration, curve, live log, traceback, requests.
import {h, card, clampedText, copyButton, emptyNote, facts, foldedTable, redraw, setText, statusPill} from "./dom.js";
import {formatBrief, formatCount, formatDuration, formatMoney, formatNumber, shortened, toNumber} from "./format.js";
import {Chart, PALETTE, countAxis, plotGrid, tooltip, upAxis} from "./charts.js";
import {experimentAddress} from "./list.js";
import {trialControl} from "./actions.js";
import {SourceError} from "./source.js";
import {hasPrices} from "./trials.js";
import {configTable} from "./overview.js";

const LOG_LIMIT = 262_144,
  TRIAL_INTERVAL_MS = 2000,
  MOST_PANELS = 6,
  IGNORED_DECISIONS = ["repeat", "late", "invalid"],
  PANEL_HEIGHT = 170; // pixels of each of several metrics

export const trialView = {
  title: "Trial",

  async render(container, context) {
    this.context = context;
    this.store = context.store;
    this.id = Number(context.route.item);
    this.path = `${context.path}/trials/${this.id}`;
    this.detail = await this.read();
    if (this.isDisposed) return;
    this.head = h("div", {class: "between"});
    this.facts = h("div", {});
    this.error = h("pre", {class: "log bad", tabindex: "0", role: "region", "aria-label": "Error of the trial"});
    this.errorCard = card(
      "Error",
      copyButton("Copy", () => this.error.textContent),
      this.error,
    );
    this.config = h("div", {});
    this.curve = h("div", {});
    this.noCurve = emptyNote("");
    this.requests = h("ul", {class: "steps"});
    this.requestsCard = card("Requests", null, this.requests);
    const curveCard = card("Results", null, this.curve, this.noCurve);
    container.append(
      this.head,
      h(
        "div",
        {class: "columns"},
        h("div", {class: "column"}, this.errorCard, curveCard, this.logCard()),
        h("div", {class: "column"}, card("Trial", null, this.facts), card("Configuration", null, this.config), this.requestsCard),
      ),
    );
    this.chart = new Chart(this.curve, {label: `Results of trial ${this.id}`, height: 320, build: () => this.option()});
    curveCard.append(
      foldedTable(
        () => [this.store.experiment.resource, "time", "metrics", "decision", "reason"],
        () =>
          (this.detail.results ?? []).map(result => [
            String(result.resource),
            formatDuration(result.time),
            Object.entries(result.metrics)
              .map(([name, value]) => `${name} ${formatNumber(value)}`)
              .join(", "),
            result.decision ?? "",
            result.reason ?? "",
          ]),
      ),
    );
    this.draw();
    this.followLog();
  },

  /** The trial's document; a saved page may hold its row only. */
  async read() {
    if (!this.store.trials.has(this.id)) throw new SourceError(`There is no trial ${this.context.route.item}.`, 404);
    try {
      return await this.context.source.get(this.path);
    } catch (error) {
      const row = this.store.trials.get(this.id);
      if (!row || error.status !== 404) throw error;
      const curve = this.store.curves.get(this.id);
      const results = (curve?.resource ?? []).map((resource, index) => ({
        resource,
        time: curve.time[index],
        metrics: Object.fromEntries(Object.entries(curve.values).map(([name, values]) => [name, values[index]])),
        decision: "",
        reason: "",
      }));
      return {...row, results, log: null, requests: [], arguments: ""};
    }
  },

  draw() {
    const {detail, store, context} = this,
      {experiment} = store,
      address = id => experimentAddress(context.tag, context.name, `trials/${id}`);
    const neighbours = [this.id - 1, this.id + 1].map((id, index) =>
      store.trials.has(id) ? h("a", {class: "button", href: address(id)}, index ? "Next" : "Previous") : null,
    );
    const status = store.statusOf(detail),
      hasControl = experiment.control && !context.source.isFrozen && store.isRunning,
      isPausedByRequest = detail.requests?.findLast(({done}) => /^(pause|resume)_trial$/.test(done))?.done === "pause_trial";
    redraw(this.head, [status, hasControl, isPausedByRequest, neighbours.map(Boolean)], () => [
      h("div", {class: "toolbar"}, h("h2", {class: "title"}, `Trial ${this.id}`), statusPill(status)),
      h("div", {class: "toolbar"}, hasControl ? trialControl(context, detail, isPausedByRequest) : [], neighbours),
    ]);
    const last = Object.entries(detail.last ?? {})
      .filter(([name]) => name !== experiment.resource)
      .map(([name, value]) => `${name} ${formatNumber(value)}`)
      .join(", ");
    redraw(this.facts, [detail.best, last, {...detail, results: null, log: null}], () =>
      facts([
        [
          `Best ${shortened(store.metric.name, 60)}`,
          detail.best === null ? "" : `${formatNumber(detail.best)} (${experiment.resource} ${detail.best_resource})`,
        ],
        ["Last values", last && clampedText(last)],
        [experiment.resource, formatCount(detail.resource)],
        ["Rung", detail.rung === null || detail.rung === undefined ? "" : formatCount(detail.rung)],
        ["Began", formatDuration(detail.started)],
        ["Took", detail.ended === null ? "" : formatBrief(detail.ended - detail.started)],
        ["Cost", hasPrices(store) ? formatMoney(detail.cost) : ""],
        ["Attempts", String(detail.attempts ?? 1)],
        ["Origin", detail.is_known ? "known results" : ""],
      ]),
    );
    this.errorCard.hidden = !detail.error;
    setText(this.error, detail.error ?? "");
    redraw(this.config, [detail.config, detail.arguments], () => [
      configTable(detail.config),
      h(
        "div",
        {class: "toolbar copies"},
        h("span", {class: "small"}, "Copy as"),
        detail.arguments ? copyButton("Command line", detail.arguments) : "",
        copyButton("JSON", JSON.stringify(detail.config, null, 2)),
      ),
    ]);
    const requests = detail.requests ?? [];
    this.requestsCard.hidden = !requests.length;
    redraw(this.requests, requests, () => requests.map(request => h("li", {}, requestText(request))));
    const n = this.panels().length,
      isEmpty = !n;
    this.chart.setHeight(n > 1 ? PANEL_HEIGHT * n : 320);
    this.curve.hidden = isEmpty;
    this.noCurve.hidden = !isEmpty;
    setText(
      this.noCurve,
      status === "running" ? "No result yet. Values appear as the script reports them." : "The trial ended before it reported a result.",
    );
    setText(
      this.noLog,
      status === "running"
        ? "No log yet. The output of the script appears here, line by line."
        : "There is no output of this trial on this machine.",
    );
    if (!isEmpty) this.chart.draw();
  },

  /** Reports that count: not repeated, late or invalid ones. */
  results() {
    return (this.detail.results ?? []).filter(result => !IGNORED_DECISIONS.includes(result.decision));
  },

  /** Metrics that have a panel: the tuned ones first. */
  panels() {
    const {metrics, resource} = this.store.experiment,
      tuned = metrics.map(metric => metric.name);
    const names = [...new Set(this.results().flatMap(result => Object.keys(result.metrics)))].filter(
      name => !name.startsWith("st_") && name !== resource,
    );
    return [...tuned.filter(name => names.includes(name)), ...names.filter(name => !tuned.includes(name))].slice(0, MOST_PANELS);
  },

  /** A panel per metric, one above the other: their scales differ. */
  option() {
    const shown = this.panels(),
      results = this.results(),
      resources = results.map(result => result.resource),
      height = shown.length > 1 ? PANEL_HEIGHT : 320;
    return {
      grid: shown.map((_, index) => plotGrid({top: index * height + 4, bottom: undefined, height: height - 12})),
      axisPointer: {link: [{xAxisIndex: "all"}]},
      tooltip: tooltip(null, {trigger: "axis", valueFormatter: value => formatNumber(value)}),
      xAxis: shown.map((_, gridIndex) => ({
        ...countAxis(gridIndex === shown.length - 1 ? this.store.experiment.resource : "", resources),
        gridIndex,
      })),
      yAxis: shown.map((name, gridIndex) => upAxis("value", name, {gridIndex, splitNumber: shown.length > 2 ? 2 : 4})),
      series: shown.map((name, index) => ({
        id: `metric-${name}`,
        name: shortened(name, 40),
        type: "line",
        xAxisIndex: index,
        yAxisIndex: index,
        symbolSize: 5,
        itemStyle: {color: PALETTE[index % PALETTE.length]},
        lineStyle: {color: PALETTE[index % PALETTE.length]},
        data: results.filter(result => name in result.metrics).map(result => [result.resource, toNumber(result.metrics[name])]),
      })),
    };
  },

  logCard() {
    this.log = h("pre", {class: "log", tabindex: "0", role: "log", "aria-label": `Log of trial ${this.id}`, "aria-live": "off"});
    this.noLog = emptyNote("");
    this.log.hidden = true;
    this.logProblem = h("p", {class: "warning", role: "status", hidden: true});
    return card(
      "Log",
      copyButton("Copy", () => this.log.textContent),
      this.logProblem,
      this.log,
      this.noLog,
    );
  },

  followLog() {
    const {context} = this;
    let offset = this.detail.log?.offset ?? "";
    this.addLog(this.detail.log?.text);
    if (this.detail.status !== "running") return this.detail.log?.is_remote ? this.readLog() : undefined;
    this.stream = context.source.stream(
      `${this.path}/log/stream`,
      () => `after=${encodeURIComponent(offset)}`,
      {
        log: ({text, error}, id) => {
          offset = id;
          this.addLog(text);
          this.showLogProblem(error);
        },
      },
      () => {},
    );
  },

  /** Read the output of a trial that has ended from the service that holds it. */
  async readLog() {
    this.noLog.textContent = "Reading the output from the service\u2026";
    const found = await this.context.source.get(`${this.path}/log`).catch(error => ({text: "", error: error.message}));
    if (this.isDisposed) return;
    this.noLog.textContent = "The service holds no output of this trial.";
    this.noLog.hidden = Boolean(found.error);
    this.addLog(found.text);
    this.showLogProblem(found.error);
  },

  /** Say why a service does not give the output; an empty text removes it. */
  showLogProblem(text) {
    this.logProblem.textContent = text ?? "";
    this.logProblem.hidden = !text;
  },

  /** Append to the log; the view stays at the end if it was there. */
  addLog(text) {
    if (!text) return;
    const isAtEnd = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 8;
    this.log.hidden = false;
    this.noLog.hidden = true;
    this.log.append(document.createTextNode(text));
    if (this.log.textContent.length > LOG_LIMIT) this.log.textContent = this.log.textContent.slice(-LOG_LIMIT);
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  },

  /** Read the trial again if it changed: at once if its status did, else at most every two seconds. */
  update(change) {
    if (this.detail && change.has("status")) this.draw();
    if (!this.detail || (!change.trials.has(this.id) && !change.has("events", "all"))) return;
    const isDue = this.store.trials.get(this.id)?.status !== this.detail.status;
    if (isDue) clearTimeout(this.timer);
    if (isDue || !this.timer) this.timer = setTimeout(() => this.readAgain(), isDue ? 0 : TRIAL_INTERVAL_MS);
  },

  async readAgain() {
    this.timer = null;
    const before = this.detail.status;
    try {
      this.detail = await this.read();
    } catch (error) {
      if (error.status !== undefined) return; // the next change asks again
      throw error;
    }
    if (this.isDisposed) return;
    this.draw();
    if (before !== "running" && this.detail.status === "running") this.followLogAgain();
  },

  /** A trial that was resumed writes to its log again. */
  followLogAgain() {
    this.stream?.close();
    this.log.replaceChildren();
    this.followLog();
  },

  dispose() {
    this.isDisposed = true;
    clearTimeout(this.timer);
    this.stream?.close();
    this.chart?.dispose();
  },
};

/** A request about a trial and what was done, in words. */
function requestText({action, arguments: given, done, reason}) {
  const words = action === "note" ? `note: ${given?.text ?? ""}` : String(action).replaceAll("_", " ");
  return [words, done ? "" : ": refused", reason ? ` (${reason})` : ""].join("");
}
