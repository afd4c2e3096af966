// The table of trials: search, filters, sorting, pages.
import {h, checkbox, choice, setText, statusPill} from "./dom.js";
import {formatBrief, formatConfig, formatCount, formatDuration, formatMoney, formatNumber, formatValue, plural} from "./format.js";
import {experimentAddress} from "./list.js";
import {DataTable} from "./table.js";

export const TRIAL_STATUSES = ["running", "paused", "completed", "stopped", "failed", "interrupted"];
const COMPARISONS = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "=": (a, b) => String(a) === String(b),
  "!=": (a, b) => String(a) !== String(b),
};

export const trialsView = {
  title: "Trials",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.filters = {q: "", status: "", sort: "Trial", down: "1", wide: "", page: "", ...context.route.query};
    this.search = h("input", {
      type: "search",
      placeholder: "lr<0.01 width=64 text ( / )",
      maxlength: "500",
      "aria-label": "Search trials",
      "aria-describedby": "search-help",
      oninput: () => this.filter("q", this.search.value),
    });
    this.search.value = this.filters.q;
    this.count = h("p", {class: "small", role: "status"});
    const frame = h("section", {class: "card flush"});
    this.hasConfig = this.filters.wide ? this.filters.wide === "1" : this.store.tuned().length <= 12;
    container.append(
      h(
        "div",
        {class: "toolbar"},
        h("label", {class: "field grow"}, h("span", {}, "Search"), this.search),
        choice("Status", [["", "all"], ...TRIAL_STATUSES], this.filters.status, value => this.filter("status", value)),
        checkbox("A column per hyperparameter", this.hasConfig, value => {
          this.hasConfig = value;
          this.filter("wide", value ? "1" : "0");
        }),
      ),
      h(
        "p",
        {class: "small", id: "search-help"},
        "Words of the configuration or the error; comparisons such as lr<0.01, width=64, or value>0.9.",
      ),
      this.count,
      frame,
    );
    this.table = new DataTable(frame, {
      label: "Trials",
      columns: this.columns(),
      rows: () => this.shown(),
      sort: this.filters.sort,
      isDescending: this.filters.down === "1",
      page: Number(this.filters.page || 1) - 1,
      empty: () =>
        this.store.trials.size
          ? "No trial matches. Change the search or the status."
          : this.store.isRunning
            ? "No trial yet. Trials appear when they start."
            : "No trial: the experiment ended before one started.",
      rowClass: row => (row.id === this.store.best.at(-1)?.trial_id ? "best" : ""),
      onchange: ({sort, isDescending, page}) => {
        Object.assign(this.filters, {sort, down: isDescending ? "1" : "0", page: page ? String(page + 1) : ""});
        this.keepFilters();
      },
    });
    this.draw();
  },

  columns() {
    return trialColumns(this.store, this.context, this.hasConfig);
  },

  filter(key, value) {
    this.filters[key] = value;
    this.filters.page = "";
    this.keepFilters();
    this.table.page = 0;
    this.draw();
  },

  keepFilters() {
    this.context.setQuery(this.filters, {sort: "Trial", down: "1"});
  },

  shown() {
    const matches = trialFilter(this.filters.q, this.store);
    return [...this.store.trials.values()].filter(
      trial => (!this.filters.status || this.store.statusOf(trial) === this.filters.status) && matches(trial),
    );
  },

  draw() {
    this.table.setColumns(this.columns());
    this.table.draw();
    const n = this.table.n,
      all = this.store.trials.size;
    setText(this.count, n === all ? plural(all, "trial") : `${formatCount(n)} of ${plural(all, "trial")}`);
  },

  update(change) {
    if (change.has("trials", "best", "status")) this.draw();
  },

  dispose() {},
};

/** Whether an experiment costs anything. */
export function hasPrices(store) {
  return Boolean(store.experiment.cost || store.totals.cost);
}

/** Columns of a table of trials. */
export function trialColumns(store, context, hasConfig) {
  const {metrics, resource} = store.experiment,
    {tag, name} = context;
  const trials = [...store.trials.values()],
    hasCost = hasPrices(store),
    isBest = row => row.id === store.best.at(-1)?.trial_id;
  const columns = [
    {
      title: "Trial",
      isNumber: true,
      sort: row => row.id,
      text: row => `${row.id}${isBest(row) ? " best" : ""}`,
      fill: (cell, row) =>
        cell.append(
          isBest(row) ? h("span", {class: "star", title: "best", role: "img", "aria-label": "best"}, "\u2605 ") : "",
          h("a", {href: experimentAddress(tag, name, `trials/${row.id}`)}, String(row.id)),
        ),
    },
    {
      title: "Status",
      sort: row => store.statusOf(row),
      text: row => `${store.statusOf(row)}${row.is_known ? " known" : ""}`,
      fill: (cell, row) => cell.append(statusPill(store.statusOf(row)), row.is_known ? h("span", {class: "small"}, " known") : ""),
    },
    {title: `Best ${metrics[0].name}`, isNumber: true, sort: row => row.best, text: row => formatNumber(row.best)},
    ...metrics.map(metric => ({
      title: `Last ${metric.name}`,
      isNumber: true,
      sort: row => row.last?.[metric.name],
      text: row => formatNumber(row.last?.[metric.name]),
    })),
    {title: resource, isNumber: true, sort: row => row.resource, text: row => formatCount(row.resource)},
  ];
  if (hasConfig) {
    for (const dimension of store.tuned()) {
      const isNumber = dimension.type === "float" || dimension.type === "int";
      columns.push({
        title: dimension.name,
        isNumber,
        sort: row => row.config[dimension.name],
        text: row => formatValue(row.config[dimension.name]),
      });
    }
  } else columns.push({title: "Configuration", isLong: true, text: row => formatConfig(row.config)});
  return [
    ...columns,
    {title: "Began", isNumber: true, sort: row => row.started, text: row => formatDuration(row.started)},
    {
      title: "Took",
      isNumber: true,
      sort: row => (row.ended === null ? null : row.ended - row.started),
      text: row => (row.ended === null ? "-" : formatBrief(row.ended - row.started)),
    },
    ...(hasCost ? [{title: "Cost", isNumber: true, sort: row => row.cost, text: row => formatMoney(row.cost)}] : []),
    ...(trials.some(row => row.attempts > 1)
      ? [{title: "Attempts", isNumber: true, sort: row => row.attempts, text: row => String(row.attempts)}]
      : []),
    ...(trials.some(row => row.error)
      ? [{title: "Error", isLong: true, sort: row => row.error || null, text: row => row.error ?? ""}]
      : []),
  ];
}

/** A test of trials by words and comparisons, all of which must hold; a comparison that is not written to its end holds. */
export function trialFilter(query, store) {
  const {resource} = store.experiment,
    metric = store.metric.name;
  const named = (trial, name) => {
    if (name in trial.config) return trial.config[name];
    if (name === "value" || name === metric) return trial.best;
    if (name === "trial") return trial.id;
    if (name === "status") return store.statusOf(trial);
    if (name === resource) return trial.resource;
    if (name === "cost" || name === "attempts" || name === "rung") return trial[name];
    return trial.last?.[name];
  };
  const tests = query
    .replace(/\s*(<=|>=|!=|<|>|=)\s*/g, "$1")
    .split(/\s+/)
    .filter(Boolean)
    .map(word => {
      const found = /^(.+?)(<=|>=|!=|<|>|=)(.*)$/.exec(word);
      if (!found) {
        const text = word.toLowerCase();
        return trial =>
          `${trial.id} ${store.statusOf(trial)} ${formatConfig(trial.config)} ${trial.error ?? ""}`.toLowerCase().includes(text);
      }
      const [, name, sign, wanted] = found,
        number = Number(wanted),
        compare = COMPARISONS[sign];
      if (!wanted) return () => true;
      return trial => {
        const value = named(trial, name);
        if (value === null || value === undefined) return false;
        if (typeof value !== "number") return compare(String(value), wanted);
        return Number.isNaN(number) ? sign === "!=" : compare(value, number);
      };
    });
  return trial => tests.every(test => test(trial));
}
