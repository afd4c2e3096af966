// Parallel coordinates: an axis per hyperparameter; a range that is brushed on an axis filters the lines and the table below.
import {h, card, choice, emptyNote} from "./dom.js";
import {formatCount, formatNumber, formatTick, formatValue, shortened, plural} from "./format.js";
import {Chart, axisType, sampledRows, themeColour, worstToBest} from "./charts.js";
import {DataTable} from "./table.js";
import {trialColumns} from "./trials.js";

const MOST_LINES = 800,
  LEAST_GAP = 96, // pixels between two vertical axes; with less they lie, one above the other
  LYING_GAP = 72;

export const parallelView = {
  title: "Parallel",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    this.ranges = new Map();
    this.frame = h("div", {class: "parallel"});
    this.text = h("p", {class: "small", role: "status"});
    this.empty = emptyNote("");
    this.clear = h("button", {type: "button", onclick: () => this.clearRanges()}, "Clear ranges");
    this.form = this.rangeForm();
    container.append(card("Parallel coordinates", this.clear, this.frame, this.text, this.form, this.empty));
    const holder = (this.holder = h("section", {class: "card flush"}));
    container.append(holder);
    this.table = new DataTable(holder, {
      label: "Trials in the ranges",
      columns: trialColumns(this.store, context, this.store.tuned().length <= 12),
      rows: () => this.matching,
      sort: `Best ${this.store.metric.name}`,
      isDescending: this.store.order()(0, 1) > 0,
      pageSize: 25,
      empty: "No trial lies in all ranges. Widen one, or clear them.",
    });
    this.chart = new Chart(this.frame, {
      label: "Parallel coordinates of the trials",
      height: 440,
      build: () => this.option(),
      onready: instance => instance.on("axisareaselected", event => this.readBrush(event)),
      onresize: () => {
        if (this.isLying !== this.needsLying()) this.draw();
      },
    });
    this.draw();
  },

  /** Ranges without a mouse. */
  rangeForm() {
    const names = this.dimensions().map((dimension, index) => [String(index), dimension.name]);
    const low = h("input", {type: "text", "aria-label": "From", placeholder: "from", size: "8"});
    const high = h("input", {type: "text", "aria-label": "To", placeholder: "to", size: "8"});
    const axisChoice = choice("Axis", names, "0", () => {});
    const apply = h(
      "button",
      {
        type: "button",
        onclick: () => {
          const index = Number(axisChoice.querySelector("select").value);
          const dimension = this.dimensions()[index];
          const isCategory = dimension.kind === "category";
          const place = (input, missing) => {
            const text = input.value.trim();
            const found = text === "" ? missing : isCategory ? dimension.values.map(formatValue).indexOf(text) : Number(text);
            input.setCustomValidity(Number.isNaN(found) || (isCategory && found === -1) ? `${dimension.name} has no such value.` : "");
            return found;
          };
          const range = [place(low, -Infinity), place(high, Infinity)].sort((a, b) => a - b);
          if (low.reportValidity() && high.reportValidity()) this.setRange(index, range);
        },
      },
      "Apply",
    );
    return h(
      "details",
      {class: "values"},
      h("summary", {}, "Set a range by numbers"),
      h("div", {class: "toolbar"}, axisChoice, low, high, apply),
    );
  },

  /** Axes: tuned hyperparameters, then the metric. */
  dimensions() {
    const metric = this.store.metric.name;
    return [
      ...this.store
        .tuned()
        .slice(0, 24)
        .map(dimension => ({
          name: dimension.name,
          kind: axisType(dimension),
          values: dimension.values,
          low: dimension.low,
          high: dimension.high,
          read: trial => trial.config[dimension.name],
        })),
      {name: metric, kind: "value", read: trial => trial.best},
    ];
  },

  /** Place of a trial on an axis; categories have their index. */
  place(dimension, trial) {
    const value = dimension.read(trial);
    return value === undefined || value === null
      ? null
      : dimension.kind === "category"
        ? dimension.values.findIndex(option => option === value || formatValue(option) === formatValue(value))
        : value;
  },

  needsLying() {
    return this.frame.clientWidth < LEAST_GAP * this.dimensions().length;
  },

  option() {
    if (!this.ranked.length) return null;
    const dimensions = this.dimensions(),
      rows = sampledRows(this.ranked, MOST_LINES),
      ink = themeColour("ink"),
      soft = themeColour("soft"),
      isLying = (this.isLying = this.needsLying()),
      gap = isLying ? this.chart.width - 40 : this.chart.width / dimensions.length;
    this.chart.setHeight(isLying ? 96 + LYING_GAP * dimensions.length : 440);
    this.chart.element.style.touchAction = isLying ? "pan-y" : ""; // a finger along an axis selects, across it scrolls
    const values = rows.map(trial => trial.best),
      order = this.store.order(),
      sorted = [...values].sort((a, b) => a - b);
    const edge = share => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    const span = order(0, 1) < 0 ? [sorted[0], edge(0.9)] : [edge(0.1), sorted.at(-1)];
    const colours = order(0, 1) < 0 ? worstToBest().reverse() : worstToBest();
    return {
      parallel: isLying
        ? {layout: "vertical", left: 20, right: 20, top: 36, bottom: 96}
        : {layout: "horizontal", left: gap / 2, right: gap / 2, top: 40, bottom: 56},
      parallelAxis: dimensions.map((dimension, dim) => ({
        id: `axis-${dim}`,
        dim,
        name: shortened(dimension.name, Math.max(8, Math.floor(gap / 8))),
        ...(isLying ? {nameLocation: "middle", nameGap: -16} : {nameLocation: "end", nameGap: 14}),
        nameTextStyle: {
          color: ink,
          fontWeight: dim === dimensions.length - 1 ? 600 : 400,
          align: "center",
          ...(isLying ? {backgroundColor: themeColour("card"), padding: [0, 4]} : {}),
        },
        nameTruncate: {maxWidth: gap - 10},
        type: dimension.kind,
        ...(dimension.kind === "category"
          ? {data: dimension.values.map(value => shortened(formatValue(value), 14))}
          : {scale: true, ...(dimension.low === undefined || dimension.low === null ? {} : {min: dimension.low, max: dimension.high})}),
        axisLine: {lineStyle: {color: soft}},
        axisTick: {lineStyle: {color: soft}},
        axisLabel: {
          color: ink,
          fontSize: 11,
          backgroundColor: themeColour("card"),
          padding: [1, 3],
          borderRadius: 2,
          ...(dimension.kind === "category" ? {} : {formatter: value => (Number.isInteger(value) ? formatTick(value) : formatNumber(value, 3))}),
        },
        areaSelectStyle: {width: 18, borderWidth: 1, borderColor: themeColour("accent"), color: themeColour("accent"), opacity: 0.25},
        realtime: rows.length < 400,
      })),
      visualMap: {
        type: "continuous",
        hoverLink: false,
        dimension: dimensions.length - 1,
        min: span[1] > span[0] ? span[0] : span[0] - 1,
        max: span[1] > span[0] ? span[1] : span[0] + 1,
        orient: "horizontal",
        left: "center",
        bottom: 0,
        itemWidth: 12,
        itemHeight: isLying ? 100 : 140,
        inRange: {color: colours},
        text: [`${shortened(this.store.metric.name, isLying ? 10 : 24)} ${formatNumber(span[1], 4)}`, formatNumber(span[0], 4)],
        textStyle: {color: soft},
      },
      series: [
        {
          id: "trials",
          type: "parallel",
          animation: false,
          smooth: false,
          progressive: 200,
          inactiveOpacity: 0.03,
          activeOpacity: 0.8,
          lineStyle: {width: 1.4, opacity: rows.length > 600 ? 0.15 : rows.length > 150 ? 0.35 : 0.65},
          data: [...rows].reverse().map(trial => dimensions.map(dimension => this.place(dimension, trial) ?? "-")),
        },
      ],
    };
  },

  /** Take the ranges of an axis after a brush. */
  readBrush({parallelAxisId, intervals}) {
    const index = Number(parallelAxisId.split("-")[1]);
    const ranges = intervals.map(([low, high]) => (low <= high ? [low, high] : [high, low]));
    if (ranges.length) this.ranges.set(index, ranges);
    else this.ranges.delete(index);
    this.filter();
  },

  /** Set the range of an axis, as a brush does; null: none. */
  setRange(index, range) {
    const {instance} = this.chart;
    const [first, last] = instance.getModel().getComponent("parallelAxis", index).axis.scale.getExtent();
    const intervals = range ? [[Math.max(first, range[0]), Math.min(last, range[1])]] : [];
    instance.dispatchAction({type: "axisAreaSelect", parallelAxisId: `axis-${index}`, intervals});
  },

  clearRanges() {
    for (const index of [...this.ranges.keys()]) this.setRange(index, null);
  },

  /** Keep the trials that lie in a range on every axis that has some. */
  filter() {
    const dimensions = this.dimensions();
    this.matching = this.ranked.filter(trial =>
      [...this.ranges].every(([index, intervals]) => {
        const place = this.place(dimensions[index], trial);
        return place !== null && intervals.some(([low, high]) => low <= place && place <= high);
      }),
    );
    this.clear.hidden = !this.ranges.size;
    const drawn = Math.min(MOST_LINES, this.ranked.length);
    this.text.textContent = [
      this.ranges.size
        ? `${formatCount(this.matching.length)} of ${formatCount(this.ranked.length)} trials lie in the ranges.`
        : `${plural(this.ranked.length, "trial")} with a value. Drag along an axis to select a range.`,
      drawn < this.ranked.length ? `Lines: the best ${formatCount(MOST_LINES / 2)} trials and an even sample of the others.` : "",
    ]
      .filter(Boolean)
      .join(" ");
    this.table.draw();
  },

  draw() {
    this.ranked = this.store.ranked();
    const isEmpty = !this.ranked.length;
    this.frame.hidden = this.text.hidden = this.holder.hidden = this.form.hidden = isEmpty;
    this.empty.hidden = !isEmpty;
    this.empty.textContent = this.store.nothingYet("No value yet. A trial draws a line once it has reported its metric.");
    if (!isEmpty) this.chart.draw();
    this.filter();
  },

  update(change) {
    if (change.has("trials", "status")) this.draw();
  },

  dispose() {
    this.chart.dispose();
  },
};
