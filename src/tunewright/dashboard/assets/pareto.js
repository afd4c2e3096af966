// Several metrics: results that no other dominates, and the hypervolume over time.
import {h, card, choice, emptyNote, foldedTable} from "./dom.js";
import {formatCount, formatDuration, formatNumber, formatShare, plural, shortened} from "./format.js";
import {Chart, axis, drawLegend, hiddenLegend, plotGrid, themeColour, timeAxis, tooltip, upAxis} from "./charts.js";
import {experimentAddress} from "./list.js";

const FRONT_INTERVAL_MS = 2000;

export const paretoView = {
  title: "Pareto",

  async render(container, context) {
    this.context = context;
    this.store = context.store;
    const names = this.store.experiment.metrics.map(({name}) => name),
      {query} = context.route;
    if (names.length < 2) {
      container.append(
        card(
          "Pareto front",
          null,
          emptyNote("This experiment tunes one metric. With two or more, the results that no other dominates appear here."),
        ),
      );
      return;
    }
    this.axes = {x: names.includes(query.x) ? query.x : names[0], y: names.includes(query.y) ? query.y : names[1]};
    const change = key => value => {
      this.axes[key] = value;
      context.setQuery(this.axes);
      this.draw();
    };
    const controls =
      names.length > 2
        ? [choice("Horizontal", names, this.axes.x, change("x")), choice("Vertical", names, this.axes.y, change("y"))]
        : null;
    this.front = h("div", {});
    this.keys = h("ul", {class: "legend", "aria-label": "Results"});
    this.volume = h("div", {});
    this.text = h("p", {class: "small"});
    this.empty = emptyNote("");
    const frontCard = card("Pareto front", controls, this.keys, this.front, this.text, this.empty);
    this.volumeCard = card("Hypervolume over time", null, this.volume);
    container.append(frontCard, this.volumeCard);
    this.frontChart = new Chart(this.front, {
      label: "Pareto front",
      height: 440,
      build: () => this.document && this.frontOption(),
      onclick: event => {
        location.hash = experimentAddress(context.tag, context.name, `trials/${event.value[2]}`);
      },
    });
    this.volumeChart = new Chart(this.volume, {
      label: "Hypervolume over time",
      height: 260,
      build: () => this.document && this.volumeOption(),
    });
    frontCard.append(
      foldedTable(
        () => ["trial", ...names],
        () =>
          (this.document?.pareto.points ?? [])
            .filter(point => point.is_front)
            .map(point => [String(point.trial_id), ...names.map(name => formatNumber(point.values[name]))]),
      ),
    );
    this.volumeCard.append(
      foldedTable(
        () => ["time", "hypervolume"],
        () => (this.document?.time ?? []).map((time, index) => [formatDuration(time), formatNumber(this.document.value[index])]),
      ),
    );
    await this.read();
  },

  async read() {
    this.readAt = performance.now();
    const {source, path} = this.context;
    const found = this.store.hasResults ? await source.get(`${path}/hypervolume`).catch(error => ({error: error.message})) : {};
    if (this.isDisposed) return;
    this.document = found.error || !found.pareto?.points.length ? null : found;
    this.empty.textContent = found.error ?? this.store.nothingYet("No result yet. Trials appear here once they have reported all metrics.");
    this.draw();
  },

  draw() {
    const isEmpty = !this.document;
    this.front.hidden = this.text.hidden = this.keys.hidden = isEmpty;
    this.empty.hidden = !isEmpty;
    this.volumeCard.hidden = isEmpty || !this.document.value?.length;
    if (isEmpty) return;
    const {points} = this.document.pareto,
      n = points.filter(point => point.is_front).length;
    this.text.textContent = `${formatCount(n)} of ${plural(points.length, "result")} ${n === 1 ? "is" : "are"} dominated by no other.`;
    this.frontChart.draw();
    this.volumeChart.draw();
  },

  frontOption() {
    const {x, y} = this.axes,
      row = point => [point.values[x], point.values[y], point.trial_id];
    const front = this.document.pareto.points
        .filter(point => point.is_front)
        .map(row)
        .sort((a, b) => a[0] - b[0]),
      others = this.document.pareto.points.filter(point => !point.is_front).map(row);
    const direction = name =>
      `${shortened(name, 40)} (${this.store.experiment.metrics.find(metric => metric.name === name)?.goal?.startsWith("max") ? "higher is better" : "lower is better"})`;
    const entries = [
      {name: "front", colour: "#D55E00", dash: "dashed"},
      {name: "dominated", colour: themeColour("soft"), isPoint: true},
    ];
    drawLegend(this.keys, entries, () => this.frontChart);
    return {
      legend: hiddenLegend(entries),
      grid: plotGrid({top: 4}),
      xAxis: axis("value", direction(x)),
      yAxis: upAxis("value", direction(y)),
      tooltip: tooltip(
        point =>
          `trial ${point.value[2]}\n${shortened(x, 40)} ${formatNumber(point.value[0])}\n${shortened(y, 40)} ${formatNumber(point.value[1])}`,
        {trigger: "item"},
      ),
      series: [
        {
          id: "others",
          name: "dominated",
          type: "scatter",
          data: others,
          symbolSize: others.length > 500 ? 4 : 7,
          itemStyle: {color: themeColour("soft"), opacity: 0.45},
          large: others.length > 4000,
        },
        {
          id: "front",
          name: "front",
          type: "line",
          data: front,
          symbol: "diamond",
          symbolSize: 11,
          itemStyle: {color: "#D55E00"},
          lineStyle: {color: "#D55E00", width: 1.5, type: "dashed"},
          z: 4,
          ...(this.store.experiment.metrics.length > 2 ? {lineStyle: {opacity: 0}} : {}),
        },
      ],
    };
  },

  volumeOption() {
    const {time, value} = this.document;
    return {
      grid: plotGrid({top: 4}),
      xAxis: timeAxis("time", this.store.time),
      yAxis: upAxis("value", "dominated share of the box", {axisLabel: {formatter: formatShare}}),
      tooltip: tooltip(([point]) => `${formatShare(point.value[1])} after ${formatDuration(point.value[0])}`, {trigger: "axis"}),
      series: [
        {
          id: "volume",
          type: "line",
          step: "end",
          showSymbol: time.length < 2,
          data: [...time.map((t, index) => [t, value[index]]), [this.store.time, value.at(-1)]],
          lineStyle: {color: themeColour("accent"), width: 2},
          itemStyle: {color: themeColour("accent")},
        },
      ],
    };
  },

  update(change) {
    if (!this.axes || !change.has("curves", "trials") || performance.now() - this.readAt < FRONT_INTERVAL_MS) return;
    this.read();
  },

  dispose() {
    this.isDisposed = true;
    this.frontChart?.dispose();
    this.volumeChart?.dispose();
  },
};
