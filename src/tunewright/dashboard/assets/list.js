// All experiments: one row each, with search, filters and sorting in the address.
import {h, choice, clampedText, fillChoice, setText, statusPill} from "./dom.js";
import {formatCount, formatMoney, formatNumber, formatShare, formatWall, plural} from "./format.js";
import {DataTable} from "./table.js";
import {Change, Redraw} from "./store.js";

const LIST_FILTERS = ["tag", "method", "benchmark", "status"];
const LIST_SORTS = [
  ["updated", "Last change"],
  ["name", "Name"],
  ["best", "Best value"],
  ["progress", "Progress"],
  ["cost", "Cost"],
  ["created", "Creation"],
];

/** Address of an experiment's page. */
export function experimentAddress(tag, name, view = "overview") {
  return `#/e/${encodeURIComponent(tag)}/${encodeURIComponent(name)}/${view}`;
}

/** A bar with its share as text. */
export function progressBar(share, text) {
  if (share === null || share === undefined) return h("span", {class: "small"}, text || "no limit");
  return h(
    "div",
    {class: "progress"},
    h("progress", {max: "1", value: share, "aria-label": `Progress: ${[formatShare(share), text].filter(Boolean).join(", ")}`}),
    h("span", {class: "small"}, text),
  );
}

export const listView = {
  title: "Experiments",

  async render(container, context) {
    this.context = context;
    this.rows = new Map();
    this.filters = {q: "", sort: "updated", ...context.route.query};
    const document = await context.source.get("api/experiments");
    for (const row of document.experiments) this.rows.set(row.id, row);
    this.search = h("input", {
      type: "search",
      placeholder: "Search ( / )",
      maxlength: "500",
      "aria-label": "Search experiments",
      oninput: () => this.filter("q", this.search.value),
    });
    this.search.value = this.filters.q;
    this.choices = Object.fromEntries(
      LIST_FILTERS.map(key => [key, choice(key[0].toUpperCase() + key.slice(1), [["", "all"]], "", value => this.filter(key, value))]),
    );
    this.count = h("p", {class: "small", role: "status"});
    this.compare = h("p", {class: "compare"});
    const sort = choice("Sort", LIST_SORTS, this.filters.sort, value => this.filter("sort", value));
    container.append(
      h("h1", {}, "Experiments"),
      h(
        "div",
        {class: "toolbar"},
        h("label", {class: "field grow"}, h("span", {}, "Search"), this.search),
        Object.values(this.choices),
        sort,
      ),
      h("div", {class: "between"}, this.count, this.compare),
    );
    const frame = h("section", {class: "card flush"});
    container.append(frame);
    this.table = new DataTable(frame, {
      label: "Experiments",
      columns: listColumns(),
      rows: () => this.shown(),
      pageSize: 100,
      kind: "cards",
      empty: () =>
        this.rows.size
          ? "No experiment matches. Clear the search or a filter."
          : "No experiments yet. tunewright tune starts one, and it appears here.",
    });
    this.draw();
    this.redraw = new Redraw(() => this.draw());
    this.stream = context.source.stream(
      "api/experiments/stream",
      () => "",
      {
        list: changed => {
          for (const row of changed.experiments) this.rows.set(row.id, row);
          for (const id of changed.removed ?? []) this.rows.delete(id);
          this.redraw.request(new Change(["all"]));
        },
      },
      context.onstate,
    );
  },

  filter(key, value) {
    this.filters[key] = value;
    this.context.setQuery(this.filters, {sort: "updated"});
    this.table.page = 0;
    this.draw();
  },

  shown() {
    const words = this.filters.q.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...this.rows.values()].filter(
      row => LIST_FILTERS.every(key => !this.filters[key] || row[key] === this.filters[key]) && hasWords(row, words),
    );
    const key = this.filters.sort;
    const texts = key === "name",
      sign = key === "best" && rows.every(row => row.goal?.startsWith("min")) ? 1 : -1;
    return rows.sort((a, b) =>
      texts
        ? a.name.localeCompare(b.name, "en", {numeric: true})
        : key === "created"
          ? String(b.created).localeCompare(String(a.created))
          : sign * ((a[key] ?? sign * Infinity) - (b[key] ?? sign * Infinity)) || a.id.localeCompare(b.id),
    );
  },

  draw() {
    for (const key of LIST_FILTERS) {
      const values = [...new Set([...this.rows.values()].map(row => row[key]).filter(Boolean))].sort();
      const select = this.choices[key].querySelector("select");
      fillChoice(select, [["", "all"], ...values], this.filters[key] ?? "");
      this.choices[key].hidden = values.length < 2 && !this.filters[key];
    }
    const shown = this.shown();
    const all = plural(this.rows.size, "experiment");
    setText(this.count, shown.length === this.rows.size ? all : `${formatCount(shown.length)} of ${all}`);
    const tags = new Map();
    for (const row of shown) tags.set(row.tag, (tags.get(row.tag) ?? 0) + 1);
    const compared = [...tags]
      .filter(([, n]) => n > 1)
      .map(([tag]) => tag)
      .slice(0, 3)
      .join("\u0000");
    if (this.compare.dataset.tags !== compared) {
      this.compare.dataset.tags = compared;
      this.compare.replaceChildren(
        ...compared
          .split("\u0000")
          .filter(Boolean)
          .map(tag => h("a", {href: `#/compare/${encodeURIComponent(tag)}`, class: "button"}, `Compare ${tag}`)),
      );
    }
    this.table.draw();
  },

  update() {},

  dispose() {
    this.stream?.close();
    this.redraw?.close();
  },
};

/** Return whether the texts of a row contain all words. */
function hasWords(row, words) {
  const text = [row.id, row.method, row.benchmark, row.metric, row.note, row.status].join(" ").toLowerCase();
  return words.every(word => text.includes(word));
}

function listColumns() {
  return [
    {
      title: "Experiment",
      text: row => [row.id, row.note].join("\n"),
      fill: (cell, row) =>
        cell.append(
          h("a", {href: experimentAddress(row.tag, row.name), class: "name"}, row.name),
          h("span", {class: "small block"}, row.tag),
          ...(row.note ? clampedText(row.note, "note block") : []),
        ),
    },
    {title: "Status", text: row => row.status, fill: (cell, row) => cell.append(statusPill(row.status))},
    {
      title: "Method",
      text: row => `${row.method}\n${row.benchmark}, seed ${row.seed}`,
      fill: (cell, row) =>
        cell.append(
          h("span", {class: "block clip"}, row.method),
          h("span", {class: "small block clip"}, `${row.benchmark}, seed ${row.seed ?? "-"}`),
        ),
    },
    {
      title: "Best",
      isNumber: true,
      text: row => `${formatNumber(row.best)}\n${row.metric}\n${row.best_trial}`,
      fill: (cell, row) =>
        cell.append(
          h("span", {class: "block value"}, formatNumber(row.best)),
          h("span", {class: "small block clip"}, row.best === null ? (row.metric ?? "") : `${row.metric}, trial ${row.best_trial}`),
        ),
    },
    {
      title: "Progress",
      text: row => `${row.progress} ${row.progress_text}`,
      fill: (cell, row) => cell.append(progressBar(row.progress, row.progress_text)),
    },
    {
      title: "Trials",
      isNumber: true,
      text: row => `${row.n_trials} ${row.n_running} ${row.n_failed}`,
      fill: (cell, row) =>
        cell.append(
          h("span", {class: "block"}, formatCount(row.n_trials)),
          h(
            "span",
            {class: "small block"},
            [row.n_running ? `${formatCount(row.n_running)} running` : "", row.n_failed ? `${formatCount(row.n_failed)} failed` : ""].filter(Boolean).join(", "),
          ),
        ),
    },
    {title: "Cost", isNumber: true, text: row => (row.cost ? formatMoney(row.cost) : "-")},
    {title: "Last change", text: row => formatWall(row.updated).slice(0, -3)},
  ];
}
