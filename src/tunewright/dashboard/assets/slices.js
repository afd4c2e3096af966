// Slices: the best value of each trial over each hyperparameter.
import {h, card, emptyNote, checkbox, foldedTable} from "./dom.js";
import {formatCount, formatNumber, formatValue, shortened} from "./format.js";
import {Chart, axis, axisType, plotGrid, sampledRows, tooltip, worstToBest} from "./charts.js";
import {experimentAddress} from "./list.js";

const MOST_POINTS = 1500,
  MOST_SLICES = 24;

export const slicesView = {
  title: "Slices",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.isLog = context.route.query.scale === "log";
    this.frame = h("div", {class: "small-charts"});
    this.text = h("p", {class: "small"});
    this.empty = emptyNote("");
    this.dimensions = this.store.tuned();
    this.head = h("div", {class: "between"});
    this.head.append(
        this.text,
        checkbox("Log scale of the metric", this.isLog, value => {
          this.isLog = value;
          context.setQuery({scale: value ? "log" : ""});
          this.draw();
        }),
    );
    container.append(this.head, this.frame, this.empty);
    this.charts = this.dimensions.slice(0, MOST_SLICES).map(dimension => {
      const body = h("div", {});
      const holder = card(shortened(dimension.name, 60), null, body);
      this.frame.append(holder);
      return new Chart(body, {
        label: `${this.store.metric.name} over ${dimension.name}`,
        height: 260,
        build: () => this.option(dimension),
        onclick: event => {
          if (event.value) location.hash = experimentAddress(context.tag, context.name, `trials/${event.value[2]}`);
        },
      });
    });
    this.values = container.appendChild(
      foldedTable(
        () => ["trial", this.store.metric.name, ...this.dimensions.map(({name}) => name)],
        () =>
          this.store
            .ranked()
            .map(trial => [
              String(trial.id),
              formatNumber(trial.best),
              ...this.dimensions.map(({name}) => formatValue(trial.config[name])),
            ]),
      ),
    );
    this.draw();
  },

  option(dimension) {
    const type = axisType(dimension),
      metric = this.store.metric.name,
      isCategory = type === "category";
    const data = this.rows
      .filter(trial => trial.config[dimension.name] !== undefined)
      .map(trial => [isCategory ? formatValue(trial.config[dimension.name]) : trial.config[dimension.name], trial.best, trial.id]);
    const bounds = isCategory
      ? {data: dimension.values.map(formatValue), axisLabel: {formatter: value => shortened(value, 12), hideOverlap: true}}
      : {min: dimension.low ?? undefined, max: dimension.high ?? undefined};
    const ids = this.rows.map(trial => trial.id),
      last = Math.max(...ids),
      first = Math.min(last - 1, ...ids);
    return {
      grid: plotGrid(),
      xAxis: axis(type, "", {...bounds, nameGap: 24}),
      yAxis: axis(this.isLog ? "log" : "value", "", {splitNumber: 4}),
      tooltip: tooltip(
        point =>
          `trial ${point.value[2]}\n${shortened(dimension.name, 40)} ${formatValue(point.value[0])}\n${shortened(metric, 40)} ${formatNumber(point.value[1])}`,
        {trigger: "item"},
      ),
      visualMap: {show: false, type: "continuous", dimension: 2, min: first, max: last, inRange: {color: worstToBest()}},
      series: [
        {
          id: "trials",
          type: "scatter",
          data,
          symbolSize: data.length > 500 ? 4 : 7,
          itemStyle: {opacity: data.length > 500 ? 0.55 : 0.8},
          cursor: "pointer",
        },
      ],
    };
  },

  draw() {
    const ranked = this.store.ranked();
    this.rows = sampledRows(ranked, MOST_POINTS);
    this.frame.hidden = this.head.hidden = this.values.hidden = !ranked.length;
    this.empty.hidden = ranked.length > 0;
    this.empty.textContent = this.store.nothingYet("No value yet. Each trial becomes a point once it has reported its metric.");
    const parts = [`Best ${shortened(this.store.metric.name, 80)} of each trial. Later trials have stronger colours.`];
    if (this.rows.length < ranked.length)
      parts.push(`${formatCount(this.rows.length)} of ${formatCount(ranked.length)} trials: the best half of them and an even sample.`);
    if (this.dimensions.length > MOST_SLICES) parts.push(`The first ${MOST_SLICES} of ${this.dimensions.length} hyperparameters.`);
    this.text.textContent = ranked.length ? parts.join(" ") : "";
    if (ranked.length) this.drawFrom(0, (this.turn = {}));
  },

  /** Draw one chart after the other, with room for input between; a newer call ends an older one. */
  drawFrom(index, turn) {
    if (this.turn !== turn || index === this.charts.length) return;
    this.charts[index].draw();
    setTimeout(() => this.drawFrom(index + 1, turn), 0);
  },

  update(change) {
    if (change.has("trials", "status")) this.draw();
  },

  dispose() {
    this.turn = null;
    for (const chart of this.charts) chart.dispose();
  },
};
