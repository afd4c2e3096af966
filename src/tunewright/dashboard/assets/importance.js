// Importance of the hyperparameters, as the server estimates it.
import {h, card, emptyNote, foldedTable} from "./dom.js";
import {formatShare, shortened} from "./format.js";
import {Chart, axis, isNarrowPage, plotGrid, themeColour, tooltip} from "./charts.js";

const LEAST_IMPORTANCE_TRIALS = 10;

export const importanceView = {
  title: "Importance",

  render(container, context) {
    this.context = context;
    this.frame = h("div", {});
    this.text = h("p", {class: "small"});
    this.empty = emptyNote("Estimating\u2026");
    this.again = h("button", {type: "button", onclick: () => this.read()}, "Estimate again");
    this.again.hidden = context.source.isFrozen;
    const holder = card("Importance of hyperparameters", this.again, this.frame, this.text, this.empty);
    container.append(holder);
    this.chart = new Chart(this.frame, {
      label: "Importance of hyperparameters",
      height: 380,
      build: () => this.values?.length && this.option(),
    });
    holder.append(
      foldedTable(
        () => ["hyperparameter", "share", "deviation"],
        () => (this.values ?? []).map(row => [row.name, formatShare(row.share), formatShare(row.deviation)]),
      ),
    );
    this.frame.hidden = true;
    this.read();
  },

  async read() {
    const {source, path, store} = this.context;
    const isKnown = store.ranked().length >= LEAST_IMPORTANCE_TRIALS;
    const found = isKnown ? await source.get(`${path}/importance`).catch(error => ({error: error.message})) : {};
    if (this.isDisposed) return;
    this.values = found.error ? null : [...(found.values ?? [])].sort((a, b) => b.share - a.share).slice(0, 30);
    const isEmpty = !this.values?.length;
    this.frame.hidden = this.text.hidden = isEmpty;
    this.empty.hidden = !isEmpty;
    this.empty.textContent = found.error ?? store.nothingYet(`Importance needs ${LEAST_IMPORTANCE_TRIALS} trials with a value.`);
    this.text.textContent = found.text ?? "";
    if (!isEmpty) this.chart.setHeight(Math.max(140, 60 + 30 * this.values.length));
    this.chart.draw();
  },

  option() {
    const rows = [...this.values].reverse(),
      isNarrow = isNarrowPage(),
      ink = themeColour("ink");
    return {
      grid: plotGrid({right: 44}),
      yAxis: axis("category", "", {data: rows.map(row => row.name), axisLabel: {color: ink, formatter: name => shortened(name, isNarrow ? 14 : 26)}}),
      xAxis: axis("value", isNarrow ? "share of the variation" : `share of the variation of ${shortened(this.context.store.metric.name, 40)}`, {
        min: 0,
        scale: false,
        splitNumber: isNarrow ? 2 : 5,
        axisLabel: {formatter: formatShare},
      }),
      tooltip: tooltip(
        point => {
          const row = rows[point.dataIndex];
          return `${shortened(row.name, 60)}: ${formatShare(row.share)}${row.deviation ? ` \u00B1 ${formatShare(row.deviation)}` : ""}`;
        },
        {trigger: "item"},
      ),
      series: [
        {
          id: "shares",
          type: "bar",
          data: rows.map(row => row.share),
          barMaxWidth: 16,
          itemStyle: {color: themeColour("accent"), borderRadius: [0, 3, 3, 0]},
        },
        {
          id: "deviations",
          type: "custom",
          silent: true,
          z: 4,
          data: rows.map(({share, deviation}, index) => [Math.max(0, share - (deviation ?? 0)), share + (deviation ?? 0), index]),
          encode: {x: [0, 1], y: 2}, // the axis reaches to the end of the bars
          renderItem: (params, api) => {
            const [x0, y] = api.coord([api.value(0), api.value(2)]),
              [x1] = api.coord([api.value(1), api.value(2)]);
            return x1 > x0
              ? {type: "line", shape: {x1: x0, y1: y, x2: x1, y2: y}, style: {stroke: ink, lineWidth: 1.5}}
              : {type: "group", children: []};
          },
        },
      ],
    };
  },

  update() {},

  dispose() {
    this.isDisposed = true;
    this.chart?.dispose();
  },
};
