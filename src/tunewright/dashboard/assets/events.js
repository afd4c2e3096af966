// Events of the tuner and of the service: sessions, requests, failures, throttling, retries, interruptions, notes.
import {h, choice, clampedText, setText} from "./dom.js";
import {formatDuration, formatWall, plural} from "./format.js";
import {experimentAddress} from "./list.js";
import {DataTable} from "./table.js";

const EVENT_SHAPES = {
  failed: "\u2715",
  throttled: "\u2026",
  retried: "\u21BB",
  interrupted: "\u25CC",
  waiting: "\u25F7",
  replaced: "\u21C4",
  session: "\u25B6",
  request: "\u270E",
  drop: "\u2212",
  note: "\u201C",
};

export const eventsView = {
  title: "Events",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.kind = context.route.query.kind ?? "";
    this.count = h("p", {class: "small", role: "status"});
    const frame = h("section", {class: "card flush"});
    container.append(
      h(
        "div",
        {class: "toolbar"},
        choice("Kind", [["", "all"], ...Object.keys(EVENT_SHAPES)], this.kind, kind => {
          this.kind = kind;
          context.setQuery({kind});
          this.table.page = 0;
          this.draw();
        }),
      ),
      this.count,
      frame,
    );
    this.table = new DataTable(frame, {
      label: "Events",
      rows: () => this.shown(),
      pageSize: 100,
      kind: "cards",
      empty: () =>
        this.kind ? `No event of the kind "${this.kind}".` : "No event yet. Sessions, requests, failures, throttled and retried calls are listed here.",
      columns: [
        {title: "Time", isNumber: true, text: row => formatDuration(row.time)},
        {
          title: "Kind",
          text: row => row.kind,
          fill: (cell, row) =>
            cell.append(
              h(
                "span",
                {class: `pill ${row.kind === "failed" ? "failed" : ""}`},
                h("span", {class: "shape", "aria-hidden": "true"}, EVENT_SHAPES[row.kind] ?? "\u25CB"),
                row.kind,
              ),
            ),
        },
        {
          title: "Trial",
          isNumber: true,
          text: row => (row.trial_id === null || row.trial_id === undefined ? "" : String(row.trial_id)),
          fill: (cell, row) => {
            if (row.trial_id !== null && row.trial_id !== undefined)
              cell.append(h("a", {href: experimentAddress(context.tag, context.name, `trials/${row.trial_id}`)}, String(row.trial_id)));
          },
        },
        {title: "Event", isWide: true, text: row => row.text, fill: (cell, row) => cell.append(...clampedText(row.text, "", 300))},
        {title: "Date", text: row => formatWall(row.wall)},
      ],
    });
    this.draw();
  },

  /** Events of the chosen kind, latest first. */
  shown() {
    return this.store.events.filter(event => !this.kind || event.kind === this.kind).reverse();
  },

  draw() {
    this.table.draw();
    const {n} = this.table;
    setText(this.count, n > 1 ? `${plural(n, "event")}, latest first` : plural(n, "event"));
  },

  update(change) {
    if (change.has("events")) this.draw();
  },

  dispose() {},
};
