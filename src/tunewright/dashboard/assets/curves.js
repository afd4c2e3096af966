// Learning curves: the best few in colour, all others as a grey ground; rungs as vertical lines.
import {h, card, choice, emptyNote, foldedTable, switcher} from "./dom.js";
import {formatNumber, plural, toNumber} from "./format.js";
import {Chart, DASHES, PALETTE, countAxis, drawLegend, plotGrid, themeColour, timeAxis, upAxis} from "./charts.js";
import {experimentAddress} from "./list.js";
import {sampledText} from "./overview.js";
import {TRIAL_STATUSES} from "./trials.js";

const TOP_COUNTS = [
  ["5", "5"],
  ["10", "10"],
  ["20", "20"],
  ["50", "50"],
  ["0", "none"],
];

export const curvesView = {
  title: "Curves",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    const metrics = this.store.experiment.metrics.map(metric => metric.name),
      query = context.route.query;
    this.set = {
      metric: metrics.includes(query.metric) ? query.metric : metrics[0],
      top: query.top ?? "10",
      status: query.status ?? "",
      by: query.by ?? "resource",
      scale: query.scale ?? "linear",
      others: query.others ?? "all",
    };
    const change = key => value => {
      this.set[key] = value;
      context.setQuery(this.set, {metric: metrics[0], top: "10", by: "resource", scale: "linear", others: "all"});
      this.draw();
    };
    const controls = [
      metrics.length > 1 ? choice("Metric", metrics, this.set.metric, change("metric")) : null,
      choice("Coloured: best", TOP_COUNTS, this.set.top, change("top")),
      choice(
        "Others",
        [
          ["all", "grey"],
          ["none", "hidden"],
        ],
        this.set.others,
        change("others"),
      ),
      choice("Status", [["", "all"], ...TRIAL_STATUSES], this.set.status, change("status")),
      switcher(
        "Horizontal axis",
        [
          ["resource", this.store.experiment.resource],
          ["time", "Time"],
        ],
        this.set.by,
        change("by"),
      ),
      switcher(
        "Vertical scale",
        [
          ["linear", "Linear"],
          ["log", "Log"],
        ],
        this.set.scale,
        change("scale"),
      ),
    ];
    this.frame = h("div", {});
    this.keys = h("ul", {class: "legend", "aria-label": "Trials in colour"});
    this.readout = h("p", {class: "readout"});
    this.text = h("p", {class: "small"});
    this.empty = emptyNote("");
    const holder = card("Learning curves", controls, this.keys, this.frame, this.readout, this.text, this.empty);
    container.append(holder);
    this.chart = new Chart(this.frame, {
      label: `Learning curves of ${this.set.metric}`,
      height: 440,
      build: () => this.option(),
      onready: instance => this.listen(instance),
    });
    holder.append(
      foldedTable(
        () => ["trial", "status", "best", this.store.experiment.resource, "values"],
        () =>
          this.select().map(([id, curve]) => {
            const trial = this.store.trials.get(id);
            return [
              String(id),
              trial ? this.store.statusOf(trial) : "",
              formatNumber(trial?.best),
              String(curve.resource.at(-1)),
              (curve.values[this.set.metric] ?? [])
                .slice(-5)
                .map(value => formatNumber(value))
                .join(" "),
            ];
          }),
      ),
    );
    this.draw();
  },

  /** Curves of the chosen status, best first by their last value. */
  select() {
    const metric = this.store.experiment.metrics.find(({name}) => name === this.set.metric),
      order = this.store.order(metric);
    const end = curve => {
      const values = (curve.values[this.set.metric] ?? []).filter(Number.isFinite);
      return values.length ? values.reduce((a, b) => (order(a, b) <= 0 ? a : b)) : NaN;
    };
    const found = [...this.store.curves]
      .filter(([id]) => !this.set.status || this.hasStatus(this.store.trials.get(id)))
      .map(row => [...row, end(row[1])]);
    return found.sort((a, b) => Number.isNaN(a[2]) - Number.isNaN(b[2]) || order(a[2], b[2]) || a[0] - b[0]);
  },

  hasStatus(trial) {
    return trial !== undefined && this.store.statusOf(trial) === this.set.status;
  },

  option() {
    const shown = (this.shown = this.select()),
      {by, metric, scale} = this.set,
      top = shown.slice(0, Number(this.set.top));
    const others = this.set.others === "none" ? [] : shown.slice(Number(this.set.top));
    const ground = [];
    for (const [, curve] of others) {
      const values = curve.values[metric] ?? [];
      for (let i = 0; i < curve[by].length; i++) ground.push([curve[by][i], values[i] ?? NaN]);
      ground.push([NaN, NaN]);
    }
    const rungs = by === "resource" ? (this.store.experiment.rungs ?? []).filter(rung => rung > 0) : [];
    const line = {type: "line", symbol: "none", animation: false, silent: true};
    drawLegend(
      this.keys,
      top.map(([id], index) => ({
        name: `trial ${id}`,
        colour: PALETTE[index % PALETTE.length],
        dash: DASHES[Math.floor(index / PALETTE.length) % DASHES.length],
        href: experimentAddress(this.context.tag, this.context.name, `trials/${id}`),
      })),
    );
    const drawn = [...top, ...others].flatMap(([, curve]) => (curve.resource.length ? [curve.resource[0], curve.resource.at(-1)] : []));
    return {
      grid: plotGrid({top: 4}),
      xAxis: by === "time" ? timeAxis("time", this.store.time) : countAxis(this.store.experiment.resource, drawn.length ? drawn : [0, 1]),
      yAxis: upAxis(scale === "log" ? "log" : "value", metric, rungs.length ? {nameGap: 26} : {}),
      series: [
        {
          ...line,
          id: "others",
          data: ground,
          lineStyle: {color: themeColour("soft"), width: 1, opacity: others.length > 1000 ? 0.06 : others.length > 300 ? 0.16 : 0.34},
          z: 1,
          markLine: rungs.length
            ? {
                symbol: "none",
                silent: true,
                animation: false,
                lineStyle: {color: themeColour("soft"), type: "dashed", opacity: 0.5},
                label: {show: true, position: "end", distance: 3, formatter: "{c}", color: themeColour("soft"), fontSize: 11},
                data: rungs.map(xAxis => ({xAxis})),
              }
            : undefined,
        },
        ...top.map(([id, curve], index) => ({
          ...line,
          id: `top-${index}`,
          name: `trial ${id}`,
          z: 3,
          symbol: curve.resource.length === 1 ? "circle" : "none",
          symbolSize: 6,
          itemStyle: {color: PALETTE[index % PALETTE.length]},
          lineStyle: {
            color: PALETTE[index % PALETTE.length],
            width: 2,
            type: DASHES[Math.floor(index / PALETTE.length) % DASHES.length],
          },
          data: curve[by].map((x, i) => [x, toNumber((curve.values[metric] ?? [])[i])]),
        })),
      ],
    };
  },

  /** The curve nearest to the pointer is named below the chart; a click opens its trial. */
  listen(instance) {
    const near = event => {
      if (!instance.containPixel({gridIndex: 0}, [event.offsetX, event.offsetY])) return null;
      let best = null,
        distance = 400;
      const [x] = instance.convertFromPixel({gridIndex: 0}, [event.offsetX, event.offsetY]),
        {by, metric} = this.set;
      for (const [id, curve] of this.shown ?? []) {
        const index = nearestIndex(curve[by], x),
          value = curve.values[metric]?.[index];
        if (typeof value !== "number") continue;
        const [px, py] = instance.convertToPixel({gridIndex: 0}, [curve[by][index], value]),
          d = (px - event.offsetX) ** 2 + (py - event.offsetY) ** 2;
        if (d < distance) [best, distance] = [{id, curve, index, value}, d];
      }
      return best;
    };
    instance.getZr().on("mousemove", event => {
      const found = near(event);
      this.readout.textContent = found
        ? `Trial ${found.id}, ${this.store.experiment.resource} ${found.curve.resource[found.index]}: ${this.set.metric} ${formatNumber(found.value)} (click opens it)`
        : "";
    });
    instance.getZr().on("click", event => {
      const found = near(event);
      if (found) location.hash = experimentAddress(this.context.tag, this.context.name, `trials/${found.id}`);
    });
  },

  draw() {
    const isEmpty = !this.store.curves.size;
    for (const part of [this.keys, this.frame, this.readout, this.text]) part.hidden = isEmpty;
    this.empty.hidden = !isEmpty;
    this.empty.textContent = this.store.nothingYet("No curve yet. Each trial draws one as it reports its metric.");
    if (isEmpty) return;
    this.chart.draw();
    const n = this.select().length;
    this.text.textContent = [
      n ? "" : "No trial has this status.",
      sampledText(this.store) || `${plural(n, "curve")}.`,
      this.set.by === "resource" && this.store.experiment.rungs?.length ? "Dashed vertical lines are rungs." : "",
    ]
      .filter(Boolean)
      .join(" ");
  },

  update(change) {
    if (change.has("curves") || (this.set.status && change.has("trials"))) this.draw();
  },

  dispose() {
    this.chart.dispose();
  },
};

/** Index of the number nearest to x in an ascending list. */
function nearestIndex(values, x) {
  let low = 0,
    high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - values[low - 1] < values[low] - x ? low - 1 : low;
}
